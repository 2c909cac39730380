//! A node of a test: a containerd and a kubelet, started as `skiff up` starts them, and an API server in this process
//! with the flags that it would have.
//!
//! Upstream: test/e2e_node/services
//! Left out: scheduler, controllers and proxy: pods are put on the node by name, and the test gives it its addresses.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use apiserver::attributes::UserInfo;
use apiserver::service::ApiServer;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use skiff::commands::{delete, down, serve};
use skiff::layout::Layout;
use skiff::process::{self, Start};
use skiff::settings::{Settings, Shape};
use skiff::{containerd, credentials, parts};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::images::Image;
use super::namespace::NODE_ADDRESS;
use super::program::program;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The image with a shell; every node has it.
pub const BUSYBOX_IMAGE: &str = "skiff.dev/busybox:1";
const POD_RANGE: &str = "10.244.0.0/24";

/// Everything of one node; gone with this value.
pub struct Node {
    pub layout: Layout,
    settings: Settings,
    server: ApiServer,
    shutdown: CancellationToken,
    _folder: TempDir,
}

impl Node {
    /// Starts all three and waits for the node to be Ready.
    pub async fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout {
            cluster: format!("rig-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
            config: folder.path().join("etc"),
            state: folder.path().join("var"),
            run: folder.path().join("run"),
        };
        let (shape, node_name, node_address) = (Shape::Separate, "n1".into(), NODE_ADDRESS.into());
        let settings = Settings { shape, node_name, node_address, ..Settings::default() };
        credentials::ensure(&layout, &settings, Timestamp::now()).expect("certificates and kubeconfigs");
        let shutdown = CancellationToken::new();
        // The embedded store is that of the other shape.
        let flags = serve::api_server_flags(&layout, &Settings { shape: Shape::One, ..settings.clone() });
        let opened = flags.expect("flags of our own").open(&shutdown).await.expect("an API server");
        let server = opened.server.clone();
        tokio::spawn(opened.serve(shutdown.clone()));
        let node = Self { layout, settings, server, shutdown, _folder: folder };
        node.prepare_namespace().await;
        node.start_containerd().await;
        node.import(Image::busybox(BUSYBOX_IMAGE, json!({ "Cmd": ["/bin/sh"] })));
        node.start_kubelet().await;
        node.is_ready().await;
        node
    }

    /// What the controllers would have made, without a token to wait for.
    async fn prepare_namespace(&self) {
        let mut account = ServiceAccount { automount_service_account_token: Some(false), ..Default::default() };
        account.metadata.name = Some("default".into());
        let accounts: Api<ServiceAccount> = Api::default_namespaced(self.client());
        accounts.create(&PostParams::default(), &account).await.expect("an account");
    }

    pub async fn start_containerd(&self) {
        let start = parts::start(&self.layout, &self.settings, "containerd").expect("a configuration");
        process::start(&self.layout, &start, PATIENCE).await.expect("containerd starts");
        containerd::import_pause_image(&self.layout, &program("skiff-pause.static")).expect("the pause image");
    }

    pub async fn start_kubelet(&self) {
        let arguments = parts::kubelet_arguments(&self.layout, &self.settings).expect("a configuration");
        let start = Start { name: "kubelet", program: program("skiff-kubelet"), arguments };
        process::start(&self.layout, &start, PATIENCE).await.expect("the kubelet starts");
    }

    /// kill -9 of `containerd` or `kubelet`.
    pub async fn kill(&self, process: &str) {
        assert!(process::kill(&self.layout, process).await.expect("root may kill"), "{process} did not run");
    }

    fn import(&self, image: Image) {
        containerd::import(&self.layout, &image.into_archive()).expect("containerd takes the image");
    }

    async fn is_ready(&self) {
        let nodes: Api<NodeObject> = Api::all(self.client());
        let registered = await_condition(nodes.clone(), "n1", |node: Option<&NodeObject>| node.is_some());
        self.within("registers", registered).await;
        let range = json!({ "spec": { "podCIDR": POD_RANGE, "podCIDRs": [POD_RANGE] } });
        nodes.patch("n1", &PatchParams::default(), &Patch::Merge(range)).await.expect("a range for the node");
        self.within("is Ready", await_condition(nodes, "n1", |node: Option<&NodeObject>| ready_since(node).is_some()))
            .await;
    }

    /// A client in this process, which may do everything.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.server.service_as(UserInfo::new("admin", &["skiff:cluster-admins"])), "default")
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client())
    }

    /// Since when the node has been Ready.
    pub async fn ready_since(&self) -> Option<Timestamp> {
        let nodes: Api<NodeObject> = Api::all(self.client());
        ready_since(Some(&nodes.get("n1").await.expect("the node is there")))
    }

    /// Creates a pod on this node with one container, `c`, of busybox, that runs a script.
    pub async fn create(&self, name: &str, script: &str) -> Pod {
        self.create_with(name, json!({ "containers": [container(script, json!({}))] })).await
    }

    /// Creates a pod on this node with this `spec`.
    pub async fn create_with(&self, name: &str, spec: Value) -> Pod {
        let mut whole = json!({ "nodeName": "n1", "terminationGracePeriodSeconds": 2 });
        merge(&mut whole, spec);
        let metadata = json!({ "name": name, "labels": { "app": name }, "annotations": { "note": "a note" } });
        self.make::<Pod>(json!({ "metadata": metadata, "spec": whole })).await
    }

    /// Creates an object in the namespace `default`.
    pub async fn make<K>(&self, object: Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).expect("an object of that kind");
        let objects: Api<K> = Api::default_namespaced(self.client());
        objects.create(&PostParams::default(), &object).await.expect("the object is created")
    }

    /// Waits until the pod has Succeeded or Failed.
    pub async fn ended(&self, name: &str) -> Pod {
        self.so(name, "ended", |pod| matches!(phase(pod), Some("Succeeded" | "Failed"))).await
    }

    /// Waits until something is so of a pod.
    pub async fn so(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let holds = |pod: Option<&Pod>| pod.is_some_and(&holds);
        let waited = self.within(&format!("has {name} {what}"), await_condition(self.pods(), name, holds)).await;
        waited.expect("a condition that holds has an object")
    }

    /// What a container of the pod has written.
    pub async fn log(&self, name: &str, container: &str) -> String {
        let of = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        self.pods().logs(name, &of).await.expect("a log")
    }

    /// Runs a pod to its end and returns what its container `c` has written.
    pub async fn output(&self, name: &str, spec: Value) -> String {
        self.create_with(name, spec).await;
        let pod = self.ended(name).await;
        let log = self.log(name, "c").await;
        assert_eq!(phase(&pod), Some("Succeeded"), "{log}");
        log
    }

    /// Waits until the pod is ready.
    pub async fn running(&self, name: &str) -> Pod {
        self.so(name, "ready", |pod| condition(pod, "Ready") == Some("True")).await
    }

    pub async fn delete(&self, pod: &Pod) {
        self.begin_deleting(pod).await;
        self.gone(pod).await;
    }

    pub async fn begin_deleting(&self, pod: &Pod) {
        let name = pod.metadata.name.as_deref().expect("a name");
        self.pods().delete(name, &DeleteParams::default()).await.expect("the pod is deleted");
    }

    /// Waits until the API server has no such pod any more.
    pub async fn gone(&self, pod: &Pod) {
        let (name, uid) = (pod.metadata.name.as_deref().expect("a name"), pod.metadata.uid.clone());
        let gone = move |now: Option<&Pod>| now.is_none_or(|now| now.metadata.uid != uid);
        self.within(&format!("lets {name} go"), await_condition(self.pods(), name, gone)).await;
    }

    async fn within<T, E: std::fmt::Display>(&self, what: &str, future: impl Future<Output = Result<T, E>>) -> T {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => panic!("whether the node {what} can't be watched: {error}"),
            Err(_) => panic!("it is not true that the node {what}:\n{}", self.kubelets_log()),
        }
    }

    fn kubelets_log(&self) -> String {
        let log = std::fs::read_to_string(self.layout.log("kubelet")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Runs a command in the first container of a pod.
    pub async fn exec(&self, name: &str, command: &[&str]) {
        let pod = self.pods().get(name).await.expect("the pod is there");
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        let id = statuses[0].container_id.clone().expect("a container that runs");
        let mut exec = containerd::ctr(&self.layout);
        exec.args(["tasks", "exec", "--exec-id", "test", id.trim_start_matches("containerd://")]).args(command);
        let output = exec.output().expect("ctr");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// How many containers run: one of each pod is its sandbox.
    pub fn count_running(&self) -> usize {
        let listed = containerd::ctr(&self.layout).args(["tasks", "list"]).output().expect("ctr");
        String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.ends_with("RUNNING")).count()
    }

    /// Where the kubelet keeps everything of a pod.
    pub fn pod_folder(&self, pod: &Pod) -> PathBuf {
        self.layout.kubelet_root().join("pods").join(pod.metadata.uid.as_deref().unwrap_or_default())
    }
}

impl Drop for Node {
    /// As `skiff delete` does, but for the rules of the proxy that there isn't.
    fn drop(&mut self) {
        self.shutdown.cancel();
        std::thread::scope(|scope| {
            let cleaner = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(down::stop(&self.layout, &self.settings)).expect("all can be stopped");
                delete::clean(&self.layout).expect("all can be removed");
            });
            if cleaner.join().is_err() {
                eprintln!("something of the node is left in {}", self.layout.state.display());
            }
        });
    }
}

fn ready_since(node: Option<&NodeObject>) -> Option<Timestamp> {
    let conditions = node?.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|one| one.type_ == "Ready" && one.status == "True")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

/// The status of a pod's condition.
pub fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// The container `c`, of busybox, that runs a script, with more of its fields.
pub fn container(script: &str, fields: Value) -> Value {
    let mut container = json!({ "name": "c", "image": BUSYBOX_IMAGE, "command": ["/bin/sh", "-c", script] });
    merge(&mut container, fields);
    container
}

fn merge(object: &mut Value, more: Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
}

pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
}
