//! The user's application on a real cluster, end to end: real kubectl, containerd, images, rules and disk.
//!
//! The node is a network namespace, which a second one reaches from outside. The same steps run in both shapes; in the
//! separate one each process is killed and started again in their middle. `SKIFF_STEPS=up,deploy` runs only those.
//!
//! Upstream: test/e2e
//! Left out: the rows of tests/app/README.md that need more than one node or kinds that aren't served yet.

use std::{
    collections::BTreeMap,
    env,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tests::{
    application::{
        cluster::{Cluster, Shape, kill_9},
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
/// How long what nothing announces may take: rules in the kernel, what is left of a pod on its host.
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

const STEPS: [Step; 15] = [
    ("up", Application::up),
    ("warm", Application::a_pod_reaches_the_api_by_name),
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
        let pristine = Scan::take(name)?;
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
        self.registry.mirror_docker_hub(&self.cluster.config_folder().join("certs.d"))?;
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
        self.idle = Some(Scan::take(&self.cluster.name)?);
        Ok(())
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
            self.from_outside(&url, "--requests=50")?.report()?.no_failure(&url)?;
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
        let (proxy, others): (Vec<&str>, Vec<&str>) =
            self.cluster.processes().iter().partition(|name| **name == "proxy");
        // The backend looks its database up by name for every answer of `/`.
        self.kill_under_requests(&others, &["/name", "/"])?;
        // The cluster's DNS is part of the proxy: without it nobody finds a name, but every connection still arrives.
        self.kill_under_requests(&proxy, &["/name"])?;
        self.kubectl(&format!("wait {PATIENCE} --for=condition=Ready pod --all"))?;
        let after = self.containers()?;
        ensure!(before == after, "containers were restarted: {before:?} became {after:?}");
        self.rows_are(&["first row", "it's the second"])
    }

    fn connections_spread_evenly(&mut self) -> anyhow::Result<()> {
        self.kubectl("scale deployment backend --replicas=5")?;
        self.kubectl(&format!("rollout status {PATIENCE} deployment/backend"))?;
        let deadline = Instant::now() + SETTLES;
        // Nothing announces that the last of them is in the kernel's rules.
        while self.from_pod("http://backend/name", "--requests=50")?.report()?.answers.len() < 5 {
            ensure!(Instant::now() < deadline, "five backends are Ready, not all are reached");
        }
        let report = self.from_pod("http://backend/name", "--requests=1000")?.report()?;
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
        let client = self.from_pod("http://backend/name", "--requests=800 --every-ms=5 --timeout-ms=900")?;
        // Some answers first.
        self.from_pod("http://backend/name", "--requests=10")?.report()?;
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
        self.kubectl("delete namespace production")?;
        Ok(())
    }

    fn logs_exec_and_port_forward_work(&mut self) -> anyhow::Result<()> {
        let log = self.kubectl("logs deployment/database")?;
        ensure!(log.contains("ready for connections"), "the database's log: {log}");
        let exec = ["exec", "client", "--", "bash", "-c", "echo out; echo err >&2; exit 3"];
        let ran = self.cluster.try_kubectl(&exec)?;
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        ensure!(ran.status.code() == Some(3) && out == "out\n" && err.starts_with("err\n"), "{ran:?}");
        let mut count = self.cluster.kubectl_command(&["exec", "-i", "client", "--", "bash", "-c", "wc -c"]);
        let mut count = count.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn()?;
        std::io::Write::write_all(&mut count.stdin.take().context("a pipe")?, &vec![b'x'; 1 << 20])?;
        let counted = count.wait_with_output()?;
        ensure!(counted.stdout == b"1048576\n", "of a MiB arrived {}", String::from_utf8_lossy(&counted.stdout));
        self.port_forward()
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
    /// Kills processes of ours one after the other and starts each again, while clients outside ask the load balancer
    /// for `paths` on new and on kept connections. No request may fail.
    fn kill_under_requests(&self, processes: &[&str], paths: &[&str]) -> anyhow::Result<()> {
        let mut clients = Vec::new();
        for path in paths {
            for connections in ["new", "kept"] {
                let flags = format!("--requests=500 --every-ms=20 --connections={connections}");
                clients.push(self.from_outside(&format!("http://{NODE_ADDRESS}{path}"), &flags)?);
            }
        }
        for process in processes {
            self.cluster.kill(process)?;
            self.cluster.up().with_context(|| format!("after {process} was killed"))?;
        }
        for client in clients {
            let name = client.name.clone();
            client.report()?.no_failure(&name).with_context(|| format!("while {processes:?} were killed"))?;
        }
        Ok(())
    }

    fn balancer(&self) -> SocketAddr {
        (NODE_ADDRESS, 80).into()
    }

    /// Requests from a machine beside the node.
    fn from_outside(&self, url: &str, flags: &str) -> anyhow::Result<Running> {
        let outside = self.outside.as_ref().context("the outside is there until the end")?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &outside.name]).arg(part("bin/app-client"));
        command.args(flags.split(' ')).arg(url);
        Running::start(&format!("outside {url} {flags}"), command)
    }

    /// Requests from a pod.
    fn from_pod(&self, url: &str, flags: &str) -> anyhow::Result<Running> {
        let mut command = self.cluster.kubectl_command(&["exec", "client", "--", "app-client"]);
        command.args(flags.split(' ')).arg(url);
        Running::start(&format!("pod {url} {flags}"), command)
    }

    /// Waits until the load balancer answers; a database that starts has no probe that would announce it.
    fn until_answered(&self, path: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLES;
        loop {
            let answer = ask(self.balancer(), "GET", path, "");
            match answer {
                Ok((200, _)) => return Ok(()),
                _ if Instant::now() > deadline => bail!("no answer to {path}: {answer:?}"),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
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
            self.from_pod("http://backend/name", &format!("{flags}=new"))?,
            self.from_pod("http://backend/name", &format!("{flags}=kept"))?,
            self.from_outside(&outside, &format!("{flags}=new"))?,
            self.from_outside(&outside, &format!("{flags}=kept"))?,
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
        let report = self.from_pod("http://backend/name", "--requests=100")?.report()?;
        report.no_failure("after the rollout")?;
        ensure!(report.of_version(version) == 100, "not only version {version} answers: {:?}", report.answers);
        Ok(())
    }

    /// kubectl with a token and nothing else; its words when it fails.
    fn with_token(&self, token: &str, arguments: &str) -> anyhow::Result<Result<String, String>> {
        let config = self.get_config()?;
        let server = config["clusters"][0]["cluster"]["server"].as_str().context("no server")?.to_owned();
        let authority = self.cluster.config_folder().join("pki/ca.crt");
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
        let deadline = Instant::now() + SETTLES;
        loop {
            let left: Vec<_> = std::fs::read_dir(self.cluster.pods_folder())?.flatten().collect();
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "pods are left on the host: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The kernel doesn't announce what is gone, and pods leave the API before the last of them leaves the host.
    fn until_scan_equals(&self, expected: &Scan) -> anyhow::Result<()> {
        let deadline = Instant::now() + SETTLES;
        loop {
            let Some(difference) = expected.difference(&Scan::take(&self.cluster.name)?) else { return Ok(()) };
            ensure!(Instant::now() < deadline, "the host is not as before:\n{difference}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
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
