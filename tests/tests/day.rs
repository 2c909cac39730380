//! A user's day with real clients: three kubectls, two Helms, the Python client and kube-rs on one cluster of one
//! process, all at once, each in namespaces of its own.
//!
//! What they do and see are the scripts in `day/`: `kubectl`, `helm` and `python`, and `node` for what concerns all
//! pods of the node and so is done alone. `SKIFF_SCRIPTS=get,change` runs only those; `UPDATE_EXPECT=1` writes what was
//! printed into them.
//!
//! Upstream: test/cmd
//! Left out: kubectl top, until there are metrics to show.

#[path = "day/kube_rs.rs"]
mod kube_rs;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ServiceAccount};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
    config::{Config, KubeConfigOptions, Kubeconfig},
    runtime::wait::{await_condition, conditions::is_deleted},
};
use serde_json::json;
use skiff::settings::Shape;
use tests::{
    application::{cluster::Cluster, machine, part, workspace},
    rig::{Image, Namespace, namespace::NODE_ADDRESS},
    script::{self, Masks, Script, Shell},
};

/// How long it may take on a busy machine until a namespace has gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that a user runs, and the suffix of what it makes.
struct User {
    tool: &'static str,
    version: &'static str,
    suffix: &'static str,
}

const USERS: [User; 6] = [
    User { tool: "kubectl", version: "1.32", suffix: "32" },
    User { tool: "kubectl", version: "1.35", suffix: "35" },
    User { tool: "kubectl", version: "1.37", suffix: "37" },
    User { tool: "helm", version: "3", suffix: "h3" },
    User { tool: "helm", version: "4", suffix: "h4" },
    User { tool: "python", version: "37", suffix: "py" },
];

#[test]
fn users_get_through_their_day() {
    if !machine::is_own("users_get_through_their_day") {
        return;
    }
    Namespace::new().run(async |_| {
        let day = Day::begin().await.expect("a cluster and images");
        let outcome = day.pass().await;
        if outcome.is_err() {
            println!("FAILED; more in {}", day.cluster.explain().display());
        }
        let deleted = day.cluster.delete();
        outcome.expect("everyone sees what the scripts say");
        deleted.expect("what was started can be deleted");
    });
}

struct Day {
    cluster: Cluster,
    masks: Masks,
    began: Instant,
    folder: tempfile::TempDir,
}

/// What a user has seen of a script, masked, by its path.
type Seen = BTreeMap<PathBuf, Vec<String>>;

impl Day {
    async fn begin() -> anyhow::Result<Day> {
        let began = Instant::now();
        let folder = tempfile::tempdir()?;
        let cluster = Cluster::new("day", Shape::One, NODE_ADDRESS, folder.path());
        cluster.delete()?; // of a run that was interrupted
        cluster.up()?;
        for image in images() {
            skiff::containerd::import(&cluster.layout, &image.into_archive())?;
        }
        cluster.kubectl(&["wait", "--timeout=120s", "--for=condition=Ready", "node/n1"])?;
        let masks = Masks::parse(&fs::read_to_string(scripts().join("masks.txt"))?);
        let day = Day { cluster, masks, began, folder };
        day.say("the cluster is ready");
        Ok(day)
    }

    fn say(&self, what: &str) {
        println!("{:>6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    async fn pass(&self) -> anyhow::Result<()> {
        let mut users: Vec<&User> = USERS.iter().collect();
        let mut seen: Vec<(&User, Seen)> = Vec::new();
        let client = self.client().await?;
        let namespaces = self.make_namespaces(&client, &users).await?;
        let controller = tokio::spawn(kube_rs::controller_keeps_its_promise(client.clone(), "default"));
        let together = std::thread::scope(|scope| -> anyhow::Result<Vec<Seen>> {
            let running: Vec<_> = users.iter().map(|user| scope.spawn(|| self.run_all(user, user.tool))).collect();
            running.into_iter().map(|thread| thread.join().expect("a thread that returns errors")).collect()
        })?;
        seen.extend(users.iter().copied().zip(together));
        // All that they left goes with their namespaces.
        delete_namespaces(&client, &namespaces).await?;
        self.say("what they left is gone");
        users.retain(|user| user.tool == "kubectl");
        for user in users {
            seen.push((user, self.run_all(user, "node")?));
        }
        compare(&seen)?;
        controller.await?.context("the controller with kube-rs")
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let config = Kubeconfig::read_from(self.cluster.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// A namespace for every user and script, each with the account that its pods have. Returns those that are used by
    /// all at once.
    async fn make_namespaces(&self, client: &Client, users: &[&User]) -> anyhow::Result<Vec<String>> {
        let kubectls = users.iter().filter(|user| user.tool == "kubectl");
        let alone = names(kubectls.copied(), |_| "node");
        let together = names(users.iter().copied(), |user| user.tool);
        let namespaces: Api<NamespaceObject> = Api::all(client.clone());
        for name in together.iter().chain(&alone) {
            let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            namespaces.create(&PostParams::default(), &namespace).await?;
        }
        for name in together.iter().chain(&alone) {
            let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
            await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some()).await?;
        }
        Ok(together)
    }

    /// Everything of one folder, as one user.
    fn run_all(&self, user: &User, folder: &str) -> anyhow::Result<Seen> {
        let mut seen = Seen::new();
        for path in chosen(folder) {
            let began = Instant::now();
            let namespace = namespace_of(&path, user);
            let shell = self.shell(user, &namespace).with_context(|| namespace.clone())?;
            let script = Script::parse(&fs::read_to_string(&path)?, &[user.version]);
            let mut outputs = Vec::new();
            for command in script.commands() {
                let output = shell.run(command).with_context(|| command.to_owned())?;
                outputs.push(self.masks.apply(&output));
            }
            self.say(&format!("{namespace} ({:.1} s)", began.elapsed().as_secs_f64()));
            seen.insert(path, outputs);
        }
        Ok(seen)
    }

    /// A user's shell, whose kubeconfig has the namespace as its own.
    fn shell(&self, user: &User, namespace: &str) -> anyhow::Result<Shell> {
        let folder = self.folder.path().join(namespace);
        let kubectl = if user.tool == "kubectl" { user.version } else { "1.35" };
        let mut programs = vec![("kubectl", part(&format!("kubectl-{kubectl}")))];
        if user.tool == "helm" {
            programs.push(("helm", part(&format!("helm-{}", user.version))));
            programs.push(("../shop", workspace().join("tests/charts/shop")));
        }
        let mut shell = Shell::new(folder.clone(), &scripts().join("files"), &programs)?;
        match (user.tool, user.version) {
            ("helm", "4") => shell.set("CLIENT_SIDE", "--server-side=false"),
            ("python", _) => shell.set("PYTHONPATH", part("python").display().to_string()),
            _ => {}
        }
        let kubeconfig = folder.join("kubeconfig");
        fs::copy(self.cluster.kubeconfig(), &kubeconfig)?;
        shell.set("KUBECONFIG", kubeconfig.display().to_string());
        shell.set("NS", namespace);
        shell.set("V", user.suffix);
        let set = shell.run("kubectl config set-context --current --namespace=$NS")?;
        ensure!(set.contains("modified"), "{set}");
        Ok(shell)
    }
}

/// The namespaces of these users for the scripts of a folder.
fn names<'a>(users: impl Iterator<Item = &'a User>, folder: impl Fn(&User) -> &'static str) -> Vec<String> {
    let of = |user: &User| chosen(folder(user)).iter().map(|path| namespace_of(path, user)).collect::<Vec<_>>();
    users.flat_map(of).collect()
}

async fn delete_namespaces(client: &Client, names: &[String]) -> anyhow::Result<()> {
    let namespaces: Api<NamespaceObject> = Api::all(client.clone());
    let mut going = Vec::new();
    for name in names {
        let deleted = namespaces.delete(name, &DeleteParams::default()).await?;
        let uid = deleted.left().and_then(|namespace| namespace.metadata.uid).context("a namespace takes its time")?;
        going.push((name, uid));
    }
    for (name, uid) in going {
        let gone = await_condition(namespaces.clone(), name, is_deleted(&uid));
        tokio::time::timeout(PATIENCE, gone).await.with_context(|| format!("{name} does not go"))??;
    }
    Ok(())
}

/// A shell, and a server in two versions that stops when it is asked to.
fn images() -> Vec<Image> {
    let web = "trap 'exit 0' TERM; echo \"version $VERSION\"; httpd -f -p 80 -h /etc & wait";
    let web = |version: &str| {
        let config = json!({ "Cmd": ["sh", "-c", web], "Env": [format!("VERSION={version}")] });
        Image::busybox(&format!("docker.io/library/web:{version}"), config)
    };
    vec![Image::busybox("docker.io/library/busybox:1.36", json!({ "Cmd": ["sh"] })), web("1"), web("2")]
}

fn scripts() -> PathBuf {
    workspace().join("tests/tests/day")
}

/// The scripts of a folder that this run is for, in order.
fn chosen(folder: &str) -> Vec<PathBuf> {
    let named = env::var("SKIFF_SCRIPTS").unwrap_or_default();
    let named: Vec<&str> = named.split(',').filter(|name| !name.is_empty()).collect();
    let entries = fs::read_dir(scripts().join(folder)).map(|entries| entries.flatten().collect()).unwrap_or_default();
    let entries: Vec<fs::DirEntry> = entries;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| named.is_empty() || named.contains(&name_of(path).as_str()));
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn namespace_of(path: &Path, user: &User) -> String {
    format!("{}-{}", name_of(path), user.suffix)
}

/// Holds what was seen against what the scripts say, or writes it into them.
fn compare(seen: &[(&User, Seen)]) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let paths: std::collections::BTreeSet<&PathBuf> = seen.iter().flat_map(|(_, seen)| seen.keys()).collect();
    for path in paths {
        let text = fs::read_to_string(path)?;
        let of: Vec<_> = seen.iter().filter_map(|(user, seen)| Some((user.version, seen.get(path)?))).collect();
        let clients: Vec<&str> = of.iter().map(|(version, _)| *version).collect();
        let mut script = Script::parse(&text, &clients);
        for (version, outputs) in of {
            script.record(version, outputs.clone());
        }
        let actual = script.render();
        if actual == text {
            continue;
        }
        if env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
            fs::write(path, actual)?;
        } else {
            println!("{}", script::difference(path, &actual));
            wrong.push(name_of(path));
        }
    }
    ensure!(wrong.is_empty(), "not what they say: {}", wrong.join(", "));
    Ok(())
}
