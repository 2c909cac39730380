//! The kubelet over a real containerd, with an API server in this process.
//!
//! Upstream: test/e2e_node
//! Left out: what the pure tests of `kubelet` show.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::collections::BTreeMap;

use futures::AsyncReadExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use tests::rig::{Namespace, Node};

/// Sleeps until it is told to stop.
const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1000000 & wait; done";

const MANY: [&str; 8] = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"];

/// What must stay the same of a pod's container when nothing happens to it: its id, how often it was restarted, and
/// since when the pod has been ready.
fn life_of(pod: &Pod) -> (String, i32, String) {
    let status = pod.status.as_ref().expect("a pod that runs");
    let container: &ContainerStatus = &status.container_statuses.as_ref().expect("a pod that runs")[0];
    let ready =
        status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").expect("a pod that runs");
    let since = format!("{} since {:?}", ready.status, ready.last_transition_time);
    (container.container_id.clone().expect("a pod that runs"), container.restart_count, since)
}

async fn lives(node: &Node, names: &[&str]) -> BTreeMap<String, (String, i32, String)> {
    let mut lives = BTreeMap::new();
    for name in names {
        lives.insert(name.to_string(), life_of(&node.running(name).await));
    }
    lives
}

#[test]
fn a_pod_runs_and_goes_without_a_trace() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        node.create("p", SLEEP).await;
        let pod = node.running("p").await;
        assert!(pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap().starts_with("10.244.0."));
        node.delete(&pod).await;
        assert!(!node.pod_folder(&pod).exists());
        let logs: Vec<_> = std::fs::read_dir(node.layout.pod_logs()).unwrap().collect();
        assert!(logs.is_empty(), "{logs:?}");
    });
}

#[test]
fn a_killed_kubelet_restarts_no_container_and_catches_up() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        for name in ["a", "b", "c"] {
            node.create(name, SLEEP).await;
        }
        let before = (lives(&node, &["a", "b"]).await, node.ready_since().await);
        let removed = node.running("c").await;
        node.kill("kubelet").await;
        // It can't hear of either.
        node.begin_deleting(&removed).await;
        node.create("d", SLEEP).await;
        node.start_kubelet().await;
        node.running("d").await;
        node.gone(&removed).await;
        assert_eq!((lives(&node, &["a", "b"]).await, node.ready_since().await), before);
    });
}

#[test]
fn a_kubelet_that_is_killed_while_pods_start_starts_none_of_them_twice() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        for name in MANY {
            node.create(name, SLEEP).await;
        }
        // The first of them runs, the others are somewhere on their way.
        let first = lives(&node, &MANY[..1]).await;
        node.kill("kubelet").await;
        node.start_kubelet().await;
        let all = lives(&node, &MANY).await;
        assert_eq!(all[MANY[0]], first[MANY[0]]);
        // containerd gives up a start whose client is gone: such a container has failed once without having run.
        assert!(all.values().all(|(_, restarts, _)| *restarts <= 1), "{all:?}");
        assert_eq!(node.count_running(), 2 * MANY.len());
    });
}

#[test]
fn a_killed_containerd_restarts_no_container() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        for name in MANY {
            node.create(name, SLEEP).await;
        }
        let before = lives(&node, &MANY).await;
        node.kill("containerd").await;
        node.start_containerd().await;
        // The kubelet has found it again once another pod runs.
        node.create("another", SLEEP).await;
        node.running("another").await;
        assert_eq!(lives(&node, &MANY).await, before);
        assert_eq!(node.count_running(), 2 * (MANY.len() + 1));
    });
}

#[test]
fn a_log_is_followed_until_the_container_has_ended() {
    Namespace::new().run(async |_| {
        let node = Node::start().await;
        node.create("p", "echo begun; sleep 2; echo over").await;
        node.running("p").await;
        let follow = LogParams { follow: true, ..LogParams::default() };
        let mut log = node.pods().log_stream("p", &follow).await.unwrap();
        let mut text = String::new();
        log.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "begun\nover\n");
    });
}
