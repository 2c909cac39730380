//! The user's application on a real cluster, end to end: real kubectl, containerd, images, rules and disk.
//!
//! The node is a network namespace, which a second one reaches from outside. The same steps run in both shapes; in the
//! separate one each process is killed and started again in their middle. `SKIFF_STEPS=up,deploy` runs only those.
//!
//! Upstream: test/e2e
//! Left out: the rows of tests/app/README.md that need more than one node or kinds that aren't served yet.

#[path = "application/ports.rs"]
mod ports;

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use skiff::settings::Shape;
use tests::{
    application::{
        cluster::{Cluster, kill_9},
        images, machine, part,
        registry::Registry,
        requests::{Report, Running, ask},
        scan::Scan,
        workspace,
    },
    rig::{Namespace, namespace::NODE_ADDRESS},
};

/// Another machine's address, on the node's network.
const OUTSIDE_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// What kubectl waits for at most, on a slow machine.
const PATIENCE: &str = "--timeout=180s";
/// How long what nothing announces may take.
const SETTLES: Duration = Duration::from_secs(60);

#[test]
fn the_application_runs_on_separate_processes_that_are_killed_midway() {
    run("the_application_runs_on_separate_processes_that_are_killed_midway", Shape::Separate);
}

#[test]
fn the_application_runs_on_one_process() {
    run("the_application_runs_on_one_process", Shape::One);
}

fn run(test: &str, shape: Shape) {
    // Two at once would only wait for each other.
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    if !machine::is_own(test) {
        return;
    }
    Namespace::new().run(async |namespace| {
        let mut application = Application::prepare(&namespace, shape).await.expect("images in a registry");
        let outcome = application.steps();
        if let Err(error) = &outcome {
            println!("FAILED: {error:#}\nmore in {}", application.cluster.explain().display());
        }
        // A failed run leaves nothing behind either.
        let deleted = application.cluster.delete();
        application.outside.take();
        outcome.expect("every step succeeds");
        deleted.expect("what was started can be deleted");
    });
}

type Step = (&'static str, fn(&mut Application) -> anyhow::Result<()>);

const STEPS: [Step; 18] = [
    ("up", Application::up),
    ("warm", Application::a_pod_reaches_the_api_by_name),
    ("ports", Application::every_component_shows_itself),
    ("deploy", Application::everything_becomes_ready),
    ("answers", Application::frontend_answers_on_every_address),
    ("names", Application::names_resolve),
    ("rows", Application::rows_survive_a_new_database_pod),
    ("kills", Application::killed_processes_interrupt_nothing),
    ("spread", Application::connections_spread_evenly),
    ("abrupt", Application::errors_end_within_a_second_of_a_kill),
    ("rollout", Application::a_rollout_fails_no_request),
    ("undo", Application::undo_goes_back),
    ("rights", Application::the_account_may_read_pods_and_nothing_else),
    ("streams", Application::logs_exec_and_port_forward_work),
    ("readme", Application::the_five_minutes_of_the_readme_work),
    ("resume", Application::a_stopped_cluster_goes_on_where_it_was),
    ("clean", Application::nothing_is_left_of_the_application),
    ("delete", Application::nothing_is_left_of_the_cluster),
];

struct Application {
    outside: Option<Namespace>,
    cluster: Cluster,
    registry: Registry,
    _folder: tempfile::TempDir,
    /// The host before `up`.
    pristine: Scan,
    /// The host with an idle cluster.
    idle: Option<Scan>,
    began: Instant,
}

impl Application {
    async fn prepare(namespace: &Namespace, shape: Shape) -> anyhow::Result<Application> {
        let began = Instant::now();
        let folder = tempfile::tempdir()?;
        let outside = outside_of(namespace);
        let registry = Registry::start(folder.path())?;
        for (repository, tag, image) in images::all() {
            registry.push(repository, tag, image).await?;
        }
        let name = if shape == Shape::Separate { "app-separate" } else { "app-one" };
        let cluster = Cluster::new(name, shape, NODE_ADDRESS, folder.path());
        cluster.delete()?; // of a run that was interrupted
        let pristine = Scan::take(&cluster.layout)?;
        println!("{:>6.1} s  images are in the registry", began.elapsed().as_secs_f64());
        Ok(Application { outside: Some(outside), cluster, registry, _folder: folder, pristine, idle: None, began })
    }

    fn steps(&mut self) -> anyhow::Result<()> {
        let chosen = env::var("SKIFF_STEPS").unwrap_or_default();
        let chosen: Vec<&str> = chosen.split(',').filter(|name| !name.is_empty()).collect();
        for (name, step) in STEPS {
            if !chosen.is_empty() && !chosen.contains(&name) {
                continue;
            }
            let began = Instant::now();
            step(self).with_context(|| format!("step {name}"))?;
            let (total, took) = (self.began.elapsed().as_secs_f64(), began.elapsed().as_secs_f64());
            println!("{total:>6.1} s  {name} ({took:.1} s)");
        }
        Ok(())
    }

    fn kubectl(&self, arguments: &str) -> anyhow::Result<String> {
        self.cluster.kubectl(&arguments.split(' ').collect::<Vec<_>>())
    }

    fn get(&self, arguments: &str) -> anyhow::Result<Value> {
        self.cluster.get(&arguments.split(' ').collect::<Vec<_>>())
    }

    fn manifest(name: &str) -> String {
        workspace().join("tests/app").join(name).display().to_string()
    }
}

// The steps, in their order.
impl Application {
    fn up(&mut self) -> anyhow::Result<()> {
        self.registry.mirror_docker_hub(&self.cluster.layout.config.join("certs.d"))?;
        self.cluster.up()?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready node/n1"))?;
        Ok(())
    }

    /// Also the sign that the rules for the first Services are in the kernel.
    fn a_pod_reaches_the_api_by_name(&mut self) -> anyhow::Result<()> {
        let arguments = "run warm --image=app-client:latest --restart=Never --command -- bash -c";
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.push("until : < /dev/tcp/kubernetes.default.svc/443; do sleep 0.2; done");
        self.cluster.kubectl(&arguments)?;
        self.kubectl(&format!("wait {PATIENCE} --for=jsonpath={{.status.phase}}=Succeeded pod/warm"))?;
        self.kubectl("delete pod warm")?;
        self.until_no_pod_is_on_the_host()?;
        self.idle = Some(Scan::take(&self.cluster.layout)?);
        Ok(())
    }

    /// After a first pod: what has not happened has no numbers.
    fn every_component_shows_itself(&mut self) -> anyhow::Result<()> {
        ports::check(&self.cluster)
    }

    fn everything_becomes_ready(&mut self) -> anyhow::Result<()> {
        for manifest in ["mysql-pvc", "database-deployment", "backend-deployment", "frontend-deployment"] {
            self.kubectl(&format!("apply -f {}", Self::manifest(&format!("{manifest}.yaml"))))?;
        }
        self.kubectl("run client --image=app-client:latest")?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Available deployment --all"))?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready pod --all"))?;
        let claim = self.get("pvc mysql-pvc")?;
        ensure!(claim["status"]["phase"] == "Bound", "the claim is {}", claim["status"]);
        let pods = self.get("pods")?;
        let count = pods["items"].as_array().map_or(0, Vec::len);
        ensure!(count == 7, "there are {count} pods");
        self.until_answered("/name")
    }

    fn frontend_answers_on_every_address(&mut self) -> anyhow::Result<()> {
        let service = self.get("service frontend")?;
        let balancer = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
        ensure!(*balancer == NODE_ADDRESS.to_string(), "the load balancer is {}", service["status"]);
        let node_port = u16::try_from(service["spec"]["ports"][0]["nodePort"].as_u64().context("no node port")?)?;
        let cluster_ip: Ipv4Addr = service["spec"]["clusterIP"].as_str().context("no cluster IP")?.parse()?;
        let urls = [
            format!("http://{NODE_ADDRESS}/name"),
            format!("http://{NODE_ADDRESS}:{node_port}/name"),
            format!("http://{NODE_ADDRESS}/frontend"),
        ];
        for url in urls {
            self.ask_from_outside(&url, "--requests=50")?.report()?.no_failure(&url)?;
        }
        for address in [(cluster_ip, 80), (NODE_ADDRESS, node_port), (NODE_ADDRESS, 80)] {
            let (status, body) = ask(address.into(), "GET", "/name", "")?;
            ensure!(status == 200 && body.starts_with("backend-"), "{address:?}: {status} {body}");
        }
        Ok(())
    }

    fn names_resolve(&mut self) -> anyhow::Result<()> {
        let cluster_ip = self.kubectl("get service backend -o jsonpath={.spec.clusterIP}")?;
        let pod_ip = self.kubectl("get pods -l app=database -o jsonpath={.items[0].status.podIP}")?;
        let expected = [
            ("backend", cluster_ip.as_str()),
            ("backend.default", &cluster_ip),
            ("backend.default.svc.cluster.local", &cluster_ip),
            ("database", &pod_ip),
            ("kubernetes.default.svc", "10.96.0.1"),
        ];
        for (name, address) in expected {
            let found = self.kubectl(&format!("exec client -- app-client --resolve {name}"))?;
            ensure!(found == address, "{name} is {found}, not {address}");
        }
        let unknown = self.cluster.try_kubectl(&["exec", "client", "--", "app-client", "--resolve", "no-such-name"])?;
        ensure!(!unknown.status.success(), "an unknown name resolves");
        Ok(())
    }

    fn rows_survive_a_new_database_pod(&mut self) -> anyhow::Result<()> {
        self.until_answered("/")?;
        for row in ["first row", "it's the second"] {
            let (status, body) = ask(self.balancer(), "POST", "/entries", row)?;
            ensure!(status == 200, "writing a row: {status} {body}");
        }
        self.rows_are(&["first row", "it's the second"])?;
        let old = self.kubectl("get pods -l app=database -o name")?;
        self.kubectl("delete pod -l app=database")?;
        self.kubectl(&format!("rollout status {PATIENCE} deployment/database"))?;
        let new = self.kubectl("get pods -l app=database -o name")?;
        ensure!(old != new, "{old} is still the database");
        self.until_answered("/")?;
        self.rows_are(&["first row", "it's the second"])
    }

    /// Clients inside and outside go on while every process of ours is killed and started again, one after the other.
    fn killed_processes_interrupt_nothing(&mut self) -> anyhow::Result<()> {
        if self.cluster.shape == Shape::One {
            return Ok(()); // it has a test of its own: one process is no part of this one
        }
        let before = self.containers()?;
        self.kill_under_requests()?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready pod --all"))?;
        let after = self.containers()?;
        ensure!(before == after, "containers were restarted: {before:?} became {after:?}");
        self.rows_are(&["first row", "it's the second"])
    }

    fn connections_spread_evenly(&mut self) -> anyhow::Result<()> {
        self.kubectl("scale deployment backend --replicas=5")?;
        self.kubectl(&format!("rollout status {PATIENCE} deployment/backend"))?;
        until("all five backends are reached", || {
            let answers = self.ask_from_pod("http://backend/name", "--requests=50")?.report()?.answers;
            Ok((answers.len() < 5).then(|| format!("only {answers:?} answer")))
        })?;
        let report = self.ask_from_pod("http://backend/name", "--requests=1000")?.report()?;
        report.no_failure("from the pod")?;
        println!("          {:?}", report.answers.values().collect::<Vec<_>>());
        ensure!(report.answers.len() == 5 && report.connections == 1000, "{report:?}");
        ensure!(report.answers.values().all(|count| (140..=260).contains(count)), "uneven: {:?}", report.answers);
        Ok(())
    }

    fn errors_end_within_a_second_of_a_kill(&mut self) -> anyhow::Result<()> {
        let pods = self.get("pods -l app=backend")?;
        let container = pods["items"][0]["status"]["containerStatuses"][0]["containerID"].as_str();
        let container = container.and_then(|id| id.strip_prefix("containerd://")).context("no container")?;
        let process = self.cluster.container_process(container)?;
        let client = self.ask_from_pod("http://backend/name", "--requests=800 --every-ms=5 --timeout-ms=900")?;
        // Some answers first.
        self.ask_from_pod("http://backend/name", "--requests=10")?.report()?;
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        kill_9(process)?;
        let report = client.report()?;
        let last = report.failures.iter().map(|failure| u128::from(failure.unix_ms)).max();
        let lasted = last.map_or(0, |last| last.saturating_sub(killed));
        println!("          {} failed, for {lasted} ms", report.failures.len());
        ensure!(lasted <= 1000, "requests failed for {lasted} ms: {:?}", report.failures.last());
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready pod --all"))?;
        Ok(())
    }

    fn a_rollout_fails_no_request(&mut self) -> anyhow::Result<()> {
        self.roll(|application| {
            application.kubectl("set image deployment/backend backend=myapp-backend:v2").map(drop)
        })?;
        self.only_version("2")
    }

    fn undo_goes_back(&mut self) -> anyhow::Result<()> {
        self.roll(|application| application.kubectl("rollout undo deployment/backend").map(drop))?;
        self.only_version("1")
    }

    fn the_account_may_read_pods_and_nothing_else(&mut self) -> anyhow::Result<()> {
        self.kubectl("create namespace production")?;
        self.kubectl(&format!("apply -f {}", Self::manifest("rbac-example.yaml")))?;
        let account = "system:serviceaccount:production:app-service-account";
        let questions = [
            ("get pods -n production", "yes"),
            ("watch pods -n production", "yes"),
            ("list pods -n production", "yes"),
            ("create pods -n production", "no"),
            ("delete pods -n production", "no"),
            ("get secrets -n production", "no"),
            ("get pods --subresource=log -n production", "no"),
            ("get pods -n default", "no"),
            ("list nodes", "no"),
        ];
        for (question, expected) in questions {
            let arguments: Vec<&str> =
                ["auth", "can-i", "--as", account].into_iter().chain(question.split(' ')).collect();
            let answer = self.cluster.try_kubectl(&arguments)?;
            let answer = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
            ensure!(answer == expected, "can it {question}? {answer}");
        }
        let token = self.kubectl("create token app-service-account -n production")?;
        let allowed = self.with_token(&token, "get pods -n production")?;
        ensure!(allowed.is_ok(), "its token may not list pods: {allowed:?}");
        let refused = self.with_token(&token, "get secrets -n production")?.err().context("its token lists secrets")?;
        let words = "User \"system:serviceaccount:production:app-service-account\" cannot list resource \"secrets\" \
                     in API group \"\" in the namespace \"production\"";
        ensure!(refused.contains(words), "{refused}");
        self.a_pod_with_its_token_does_as_much()?;
        self.kubectl("delete namespace production")?;
        Ok(())
    }

    /// kubectl in a pod finds the API server by name, trusts it by the mounted certificate and shows the mounted token.
    fn a_pod_with_its_token_does_as_much(&self) -> anyhow::Result<()> {
        let account = r#"--overrides={"spec":{"serviceAccountName":"app-service-account"}}"#;
        let run = "run asks -n production --image=app-client:latest --restart=Never";
        let mut arguments: Vec<&str> = run.split(' ').collect();
        arguments.extend([account, "--env=KUBERNETES_SERVICE_HOST=kubernetes.default.svc", "--command", "--"]);
        arguments.extend(["bash", "-c", "kubectl get pods -o name; kubectl get secrets 2>&1 || kubectl auth whoami"]);
        self.cluster.kubectl(&arguments)?;
        let ended = format!("wait {PATIENCE} --for=jsonpath={{.status.phase}}=Succeeded -n production pod/asks");
        self.kubectl(&ended)?;
        let log = self.kubectl("logs -n production asks")?;
        for expected in ["pod/asks\n", "cannot list resource \"secrets\"", ":production:app-service-account"] {
            ensure!(log.contains(expected), "{expected:?} is not in what the pod says: {log}");
        }
        Ok(())
    }

    fn logs_exec_and_port_forward_work(&mut self) -> anyhow::Result<()> {
        let log = self.kubectl("logs deployment/database")?;
        ensure!(log.contains("ready for connections"), "the database's log: {log}");
        let exec = ["exec", "client", "--", "bash", "-c", "echo out; echo err >&2; exit 3"];
        let ran = self.cluster.try_kubectl(&exec)?;
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        ensure!(ran.status.code() == Some(3) && out == "out\n" && err.starts_with("err\n"), "{ran:?}");
        self.kubectl("run crashes --image=app-client:latest --command -- false")?;
        let crashed = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff";
        self.kubectl(&format!("wait {PATIENCE} {crashed} pod/crashes"))?;
        let refused = self.cluster.try_kubectl(&["exec", "crashes", "--", "true"])?;
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(words.contains("container not found (\"crashes\")"), "exec where nothing runs: {words}");
        self.kubectl("delete pod crashes")?;
        let mut count = self.cluster.kubectl_command(&["exec", "-i", "client", "--", "bash", "-c", "wc -c"]);
        let mut count = count.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn()?;
        std::io::Write::write_all(&mut count.stdin.take().context("a pipe")?, &vec![b'x'; 1 << 20])?;
        let counted = count.wait_with_output()?;
        ensure!(counted.stdout == b"1048576\n", "of a MiB arrived {}", String::from_utf8_lossy(&counted.stdout));
        self.port_forward()
    }

    /// Each line of its example that begins with `kubectl`, as it stands there.
    fn the_five_minutes_of_the_readme_work(&mut self) -> anyhow::Result<()> {
        let readme = fs::read_to_string(workspace().join("README.md"))?;
        let (_, example) = readme.split_once("## Five minutes with it").context("the README has an example")?;
        let (example, _) = example.split_once("\n## ").context("the example ends")?;
        let commands: Vec<&str> = example
            .lines()
            .filter_map(|line| line.strip_prefix("    kubectl "))
            .map(|line| line.split(" #").next().unwrap_or(line).trim())
            .collect();
        ensure!(commands.len() > 5, "the README's example has only {commands:?}");
        for command in commands {
            self.kubectl(command).with_context(|| format!("kubectl {command}"))?;
        }
        self.kubectl(&format!("wait {PATIENCE} --for=delete pod -l app=web"))?;
        Ok(())
    }

    /// What a reboot leaves: no process, no container, and all of the state.
    fn a_stopped_cluster_goes_on_where_it_was(&mut self) -> anyhow::Result<()> {
        self.cluster.down()?;
        ensure!(ask(self.balancer(), "GET", "/name", "").is_err(), "a stopped cluster answers");
        self.cluster.up()?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready pod --all"))?;
        self.until_answered("/")?;
        self.rows_are(&["first row", "it's the second"])?;
        self.only_version("1")
    }

    fn nothing_is_left_of_the_application(&mut self) -> anyhow::Result<()> {
        self.kubectl("delete pod client")?;
        for manifest in ["frontend-deployment", "backend-deployment", "database-deployment", "mysql-pvc"] {
            self.kubectl(&format!("delete -f {}", Self::manifest(&format!("{manifest}.yaml"))))?;
        }
        self.kubectl(&format!("wait {PATIENCE} --for=delete pod --all"))?;
        self.kubectl(&format!("wait {PATIENCE} --for=delete pv --all"))?;
        let idle = self.idle.clone().context("step warm scans the idle cluster")?;
        self.until_scan_equals(&idle)
    }

    fn nothing_is_left_of_the_cluster(&mut self) -> anyhow::Result<()> {
        self.cluster.delete()?;
        self.until_scan_equals(&self.pristine.clone())
    }
}

// What the steps have in common.
impl Application {
    /// Kills the processes one after the other and starts each again, twice, while clients outside ask the load balancer on
    /// new and on kept connections: from before the first is killed until after the last runs again.
    fn kill_under_requests(&self) -> anyhow::Result<()> {
        let mut clients = Vec::new();
        // The backend looks its database up by name for every answer of `/`.
        for path in ["/name", "/"] {
            for connections in ["new", "kept"] {
                let flags = format!("--until-eof --every-ms=5 --connections={connections}");
                clients.push(self.ask_from_outside(&format!("http://{NODE_ADDRESS}{path}"), &flags)?);
            }
        }
        for process in self.cluster.processes().iter().chain(self.cluster.processes()) {
            self.cluster.kill(process)?;
            self.cluster.up().with_context(|| format!("after {process} was killed"))?;
        }
        for client in clients {
            let name = client.name.clone();
            let report = client.report()?;
            println!("          {name}: {} requests, {} failed", report.requests, report.failures.len());
            report.no_failure(&name)?;
            ensure!(report.requests > 100, "{name}: only {} requests", report.requests);
        }
        Ok(())
    }

    fn balancer(&self) -> SocketAddr {
        (NODE_ADDRESS, 80).into()
    }

    /// Requests from a machine beside the node.
    fn ask_from_outside(&self, url: &str, flags: &str) -> anyhow::Result<Running> {
        let outside = self.outside.as_ref().context("the outside is there until the end")?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &outside.name]).arg(part("bin/app-client"));
        command.args(flags.split(' ')).arg(url);
        Running::start(&format!("outside {url} {flags}"), command)
    }

    /// Requests from a pod.
    fn ask_from_pod(&self, url: &str, flags: &str) -> anyhow::Result<Running> {
        let mut command = self.cluster.kubectl_command(&["exec", "client", "--", "app-client"]);
        command.args(flags.split(' ')).arg(url);
        Running::start(&format!("pod {url} {flags}"), command)
    }

    /// Waits until the load balancer answers; a database that starts has no probe that would announce it.
    fn until_answered(&self, path: &str) -> anyhow::Result<()> {
        until("the load balancer answers", || match ask(self.balancer(), "GET", path, "") {
            Ok((200, _)) => Ok(None),
            answer => Ok(Some(format!("{path}: {answer:?}"))),
        })
    }

    fn rows_are(&self, expected: &[&str]) -> anyhow::Result<()> {
        let (status, body) = ask(self.balancer(), "GET", "/", "")?;
        let rows: Vec<&str> = body.lines().skip(1).collect();
        ensure!(status == 200 && rows == expected, "{status} {body}");
        Ok(())
    }

    /// Every container that runs, by pod.
    fn containers(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let pods = self.get("pods -A")?;
        let pods = pods["items"].as_array().context("a list of pods")?;
        let container = |pod: &Value| {
            let status = &pod["status"]["containerStatuses"][0];
            (pod["metadata"]["name"].to_string(), status["containerID"].clone())
        };
        Ok(pods.iter().map(container).collect())
    }

    /// Rolls the backend out by `change` while four clients count: 2,000 requests and more, on new and kept
    /// connections, from a pod and from outside.
    fn roll(&self, change: impl Fn(&Application) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let flags = "--requests=1200 --every-ms=25 --connections";
        let outside = format!("http://{NODE_ADDRESS}/name");
        let clients = vec![
            self.ask_from_pod("http://backend/name", &format!("{flags}=new"))?,
            self.ask_from_pod("http://backend/name", &format!("{flags}=kept"))?,
            self.ask_from_outside(&outside, &format!("{flags}=new"))?,
            self.ask_from_outside(&outside, &format!("{flags}=kept"))?,
        ];
        change(self)?;
        self.kubectl(&format!("rollout status {PATIENCE} deployment/backend"))?;
        let mut reports: Vec<(String, Report)> = Vec::new();
        for client in clients {
            reports.push((client.name.clone(), client.report()?));
        }
        for (name, report) in &reports {
            let versions = (report.of_version("1"), report.of_version("2"));
            println!("          {name}: {versions:?} by version, {} failed", report.failures.len());
        }
        for (name, report) in &reports {
            report.no_failure(name)?;
            ensure!(report.of_version("1") > 0 && report.of_version("2") > 0, "{name} saw no rollout: {report:?}");
        }
        Ok(())
    }

    fn only_version(&self, version: &str) -> anyhow::Result<()> {
        let report = self.ask_from_pod("http://backend/name", "--requests=100")?.report()?;
        report.no_failure("after the rollout")?;
        ensure!(report.of_version(version) == 100, "not only version {version} answers: {:?}", report.answers);
        Ok(())
    }

    /// kubectl with a token and nothing else; its words when it fails.
    fn with_token(&self, token: &str, arguments: &str) -> anyhow::Result<Result<String, String>> {
        let config = self.get_config()?;
        let server = config["clusters"][0]["cluster"]["server"].as_str().context("no server")?.to_owned();
        let authority = self.cluster.layout.config.join("pki/ca.crt");
        let mut command = Command::new(part("kubectl-1.35"));
        command.args(["--kubeconfig", "/dev/null", "--server", &server, "--token", token]);
        command.arg("--certificate-authority").arg(authority).args(arguments.split(' '));
        let output = command.output()?;
        let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Ok(words(&output.stdout)) } else { Err(words(&output.stderr)) })
    }

    fn get_config(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.kubectl("config view -o json")?)?)
    }

    fn port_forward(&self) -> anyhow::Result<()> {
        let mut command = self.cluster.kubectl_command(&["port-forward", "deployment/backend", "18080:8080"]);
        let mut process = command.stdout(std::process::Stdio::piped()).spawn()?;
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().context("a pipe")?));
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Forwarding from 127.0.0.1:18080")));
        let answers: Vec<_> = (0..5).map(|_| ask(([127, 0, 0, 1], 18080).into(), "GET", "/name", "")).collect();
        process.kill()?;
        process.wait()?;
        ensure!(ready, "kubectl port-forward ended");
        for answer in answers {
            let (status, body) = answer?;
            ensure!(status == 200 && body.starts_with("backend-"), "{status} {body}");
        }
        Ok(())
    }

    /// A pod leaves the API before the last of it leaves the host, and nothing announces that.
    fn until_no_pod_is_on_the_host(&self) -> anyhow::Result<()> {
        let pods = self.cluster.layout.kubelet_root().join("pods");
        until("no pod is on the host", || {
            let left: Vec<_> = fs::read_dir(&pods)?.flatten().collect();
            Ok((!left.is_empty()).then(|| format!("{left:?}")))
        })
    }

    /// The kernel doesn't announce what is gone, and pods leave the API before the last of them leaves the host.
    fn until_scan_equals(&self, expected: &Scan) -> anyhow::Result<()> {
        until("the host is as before", || Ok(expected.difference(&Scan::take(&self.cluster.layout)?)))
    }
}

/// Waits for what nothing announces: rules in the kernel, what is left of a pod on its host. `missing` says what is
/// not so yet.
fn until(what: &str, mut missing: impl FnMut() -> anyhow::Result<Option<String>>) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLES;
    while let Some(missing) = missing()? {
        ensure!(Instant::now() < deadline, "after {} s it is not so that {what}: {missing}", SETTLES.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A second machine beside the node, on its network.
fn outside_of(namespace: &Namespace) -> Namespace {
    let outside = Namespace::empty();
    namespace.ip(&format!("link add outside type veth peer name eth0 netns {}", outside.name));
    namespace.ip("link set outside master node0");
    namespace.ip("link set outside up");
    outside.ip(&format!("address add {OUTSIDE_ADDRESS}/24 dev eth0"));
    outside.ip("link set eth0 up");
    outside
}
