//! The kubelet over a real containerd, with an API server in this process.

use serde_json::{Value, json};
use tests::rig::containerd::BUSYBOX_IMAGE;
use tests::rig::kubelet::phase;
use tests::rig::{Namespace, Node};

/// A container of the busybox image that runs a script.
fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": BUSYBOX_IMAGE, "command": ["/bin/sh", "-c", script] })
}

/// Sleeps until it is told to stop.
const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1000000 & wait; done";

#[test]
fn a_pod_runs_and_goes_without_a_trace() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        node.create("p", json!({ "containers": [shell("c", SLEEP)] })).await;
        let pod = node.running("p").await;
        assert_eq!(phase(&pod), "Running");
        assert!(pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap().starts_with("10.244.0."));
        node.delete("p").await;
        assert!(!node.pod_folder(&pod).exists());
        let tasks = node.containerd.ctr(&["tasks", "ls", "--quiet"]);
        assert_eq!(tasks, "", "no task is left");
        let logs: Vec<_> = std::fs::read_dir(&node.config().container_logs_dir).unwrap().collect();
        assert!(logs.is_empty(), "{logs:?}");
    });
}
