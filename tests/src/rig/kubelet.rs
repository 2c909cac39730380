//! A node of a test: a containerd, a kubelet process over it, and the API server that both belong to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use component::pki::Identity;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Node as NodeObject, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::containerd::{Containerd, unmount_below};
use super::control_plane::ControlPlane;
use super::namespace::NODE_ADDRESS;
use super::program::program;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
const POD_RANGE: &str = "10.244.0.0/24";

/// Everything of one node. What is declared first goes first.
pub struct Node {
    pub kubelet: KubeletProcess,
    pub containerd: Containerd,
    pub control_plane: ControlPlane,
    pub folder: TempDir,
}

/// A kubelet process.
pub struct KubeletProcess {
    process: Child,
    arguments: Vec<String>,
    log: PathBuf,
    config: ::kubelet::Config,
}

impl Node {
    /// Starts all three and waits for the node to be Ready.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// As `start`, with changes to the `KubeletConfiguration`.
    pub async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::Builder::new().prefix("skiff-rig-").tempdir().expect("a temporary folder");
        let control_plane = ControlPlane::start(folder.path()).await;
        let containerd = Containerd::start(&folder.path().join("containerd")).await;
        let kubelet = KubeletProcess::start(folder.path(), &containerd, &control_plane, change);
        let node = Self { kubelet, containerd, control_plane, folder };
        let nodes: Api<NodeObject> = Api::all(node.client());
        node.within(await_condition(nodes.clone(), "n1", |node: Option<&NodeObject>| node.is_some()))
            .await
            .expect("the node is watched");
        let range = json!({ "spec": { "podCIDR": POD_RANGE, "podCIDRs": [POD_RANGE] } });
        nodes.patch("n1", &PatchParams::default(), &Patch::Merge(range)).await.expect("a range for the node");
        node.within(await_condition(nodes, "n1", is_ready)).await.expect("the node is watched");
        node
    }

    pub fn client(&self) -> kube::Client {
        self.control_plane.admin()
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client())
    }

    /// Creates a pod on this node.
    pub async fn create(&self, name: &str, mut spec: Value) -> Pod {
        spec["nodeName"] = "n1".into();
        let pod = json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": spec });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        self.pods().create(&PostParams::default(), &pod).await.expect("the pod is created")
    }

    /// Waits until the pod is as wanted.
    pub async fn wait(&self, name: &str, what: &str, condition: impl Fn(&Pod) -> bool) -> Pod {
        let condition = |pod: Option<&Pod>| pod.is_some_and(&condition);
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, condition)).await;
        if let Ok(Ok(Some(pod))) = waited {
            return pod;
        }
        let pod = self.pods().get_opt(name).await.expect("the API server answers");
        let status = pod.and_then(|pod| pod.status).map(|status| serde_json::to_string_pretty(&status));
        panic!("{name} does not become {what}: {status:?}\n{:?}\n{}", self.events(name).await, self.kubelet.log());
    }

    pub async fn running(&self, name: &str) -> Pod {
        self.wait(name, "ready", |pod| condition(pod, "Ready") == Some("True")).await
    }

    /// Waits until the API server has no such pod any more.
    pub async fn gone(&self, pod: &Pod) {
        let name = pod.metadata.name.clone().expect("a name");
        let uid = pod.metadata.uid.clone();
        let gone = move |pod: Option<&Pod>| pod.is_none_or(|pod| pod.metadata.uid != uid);
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.pods(), &name, gone)).await;
        assert!(waited.is_ok(), "{name} does not go\n{}", self.kubelet.log());
    }

    pub async fn delete(&self, name: &str) {
        let pod = self.pods().get(name).await.expect("the pod is there");
        self.pods().delete(name, &DeleteParams::default()).await.expect("the pod is deleted");
        self.gone(&pod).await;
    }

    /// Reasons and messages of the pod's events, oldest first.
    pub async fn events(&self, pod: &str) -> Vec<(String, String)> {
        let api: Api<Event> = Api::default_namespaced(self.client());
        let of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}"));
        let mut events = api.list(&of_pod).await.expect("events").items;
        events
            .sort_by_key(|event| event.metadata.resource_version.as_deref().and_then(|text| text.parse::<u64>().ok()));
        let told = |event: Event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
        events.into_iter().map(told).collect()
    }

    /// Waits for an event about the pod with this reason and a message that contains `text`.
    pub async fn event(&self, pod: &str, reason: &str, text: &str) -> String {
        let wait = async {
            loop {
                let events = self.events(pod).await;
                if let Some((_, message)) =
                    events.into_iter().find(|(found, message)| found == reason && message.contains(text))
                {
                    return message;
                }
                tokio::time::sleep(Duration::from_millis(50)).await; // events are sent late and by batches
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        match found {
            Ok(message) => message,
            Err(_) => panic!("no event {reason} {text:?}: {:?}", self.events(pod).await),
        }
    }

    /// Runs a command in a container, by containerd alone. Says what it printed.
    pub async fn exec(&self, pod: &Pod, container: &str, command: &[&str]) -> String {
        let id = container_id(pod, container);
        let words: Vec<String> = command.iter().map(|word| word.to_string()).collect();
        let answer = self.containerd.runtime().exec_sync(&id, &words, PATIENCE).await.expect("the command runs");
        String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned()
    }

    async fn within<F: Future>(&self, future: F) -> F::Output {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("the node does not become ready\n{}", self.kubelet.log()),
        }
    }

    /// Where the kubelet keeps everything of a pod.
    pub fn pod_folder(&self, pod: &Pod) -> PathBuf {
        self.kubelet.config.root_dir.join("pods").join(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    pub fn config(&self) -> &::kubelet::Config {
        &self.kubelet.config
    }
}

impl KubeletProcess {
    fn start(folder: &Path, containerd: &Containerd, api: &ControlPlane, change: impl FnOnce(&mut Value)) -> Self {
        api.pki.ensure_kubelet("n1", &[NODE_ADDRESS.into()], Timestamp::now()).expect("a certificate");
        let mut config = ::kubelet::Config::new("n1");
        config.root_dir = folder.join("kubelet");
        config.pod_logs_dir = folder.join("log/pods");
        config.container_logs_dir = folder.join("log/containers");
        config.cgroup_root = format!("/{}", folder.file_name().unwrap_or_default().to_string_lossy());
        let mut file = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "podLogsDir": config.pod_logs_dir, "cgroupRoot": config.cgroup_root,
            "tlsCertFile": api.pki.path("kubelet.crt"), "tlsPrivateKeyFile": api.pki.path("kubelet.key"),
            "authentication": { "x509": { "clientCAFile": api.pki.path("ca.crt") } },
            "address": "0.0.0.0", "port": 10250,
        });
        change(&mut file);
        let path = folder.join("kubelet.yaml");
        std::fs::write(&path, file.to_string()).expect("a file in a temporary folder");
        let arguments = [
            ("--config", path.display().to_string()),
            ("--kubeconfig", api.kubeconfig(&Identity::node("n1")).display().to_string()),
            ("--hostname-override", "n1".into()),
            ("--node-ip", NODE_ADDRESS.to_string()),
            ("--container-runtime-endpoint", format!("unix://{}", containerd.socket().display())),
            ("--root-dir", config.root_dir.display().to_string()),
            ("--cni-conf-dir", containerd.cni_folder().display().to_string()),
        ];
        let arguments: Vec<_> = arguments.into_iter().flat_map(|(flag, value)| [flag.to_string(), value]).collect();
        let log = folder.join("kubelet.log");
        Self { process: spawn(&arguments, &log), arguments, log, config }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("a killed child ends");
    }

    pub fn start_again(&mut self) {
        self.process = spawn(&self.arguments, &self.log);
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for KubeletProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        unmount_below(&self.config.root_dir);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kubelet.process.kill();
    }
}

fn spawn(arguments: &[String], log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a file in a temporary folder");
    let mut command = Command::new(program("skiff-kubelet"));
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    command.spawn().expect("the kubelet was just built")
}

fn is_ready(node: Option<&NodeObject>) -> bool {
    let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// The status of a pod's condition.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The status of a container of the pod, init containers included.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a k8s_openapi::api::core::v1::ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.into_iter().find(|status| status.name == name)
}

/// The runtime's id of a container.
pub fn container_id(pod: &Pod, name: &str) -> String {
    let id = container(pod, name).and_then(|status| status.container_id.clone()).expect("the container has run");
    id.trim_start_matches("containerd://").to_string()
}

/// Why a container waits.
pub fn waiting<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    container(pod, name)?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}
