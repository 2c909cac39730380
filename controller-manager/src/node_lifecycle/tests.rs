use std::time::Duration;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::{ClusterHealth, Input, plan};
use crate::test_world::{World, in_words, now, object, settle};

const ONE_OF_TWO_ILL: ClusterHealth = ClusterHealth { nodes: 2, not_ready: 1 };
const ALL_ILL: ClusterHealth = ClusterHealth { nodes: 1, not_ready: 1 };

fn node(ready: &str) -> Value {
    json!({
        "metadata": {"name": "n1", "uid": "n1"},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady"}]},
    })
}

fn pod() -> Pod {
    object(json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

fn gather(world: &World, silent_s: u64, health: ClusterHealth, turn_in: Option<Duration>) -> Input {
    let silent_for = Duration::from_secs(silent_s);
    let node = world.all::<Node>()[0].clone();
    Input { node, is_new: false, silent_for, health, turn_in, pods: world.all::<Pod>() }
}

/// Expects the first plan, and the taints that the node has in the end.
fn check(node: Value, silent_s: u64, health: ClusterHealth, expected: Expect, taints: &[&str]) {
    let mut world = World::default().with(&object::<Node>(node)).with(&pod());
    expected.assert_eq(&in_words(&plan(&gather(&world, silent_s, health, None), now())));
    settle(&mut world, |world| plan(&gather(world, silent_s, health, None), now()));
    let spec = world.all::<Node>()[0].spec.clone().unwrap_or_default();
    let found: Vec<String> =
        spec.taints.into_iter().flatten().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    assert_eq!(found, taints);
}

#[test]
fn a_node_that_is_heard_is_looked_at_again_when_it_could_have_fallen_silent() {
    check(node("True"), 10, ONE_OF_TWO_ILL, expect!["look again in 40s"], &[]);
}

#[test]
fn a_silent_node_becomes_unknown_and_its_pods_not_ready() {
    check(
        node("True"),
        50,
        ONE_OF_TWO_ILL,
        expect![[r#"
            patch Node n1/status
            event Normal NodeNotReady on Node n1: Node n1 status is now: NodeNotReady
            patch Pod default/p/status"#]],
        &["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"],
    );
}

#[test]
fn pods_are_not_driven_off_when_all_nodes_are_ill() {
    check(
        node("False"),
        0,
        ALL_ILL,
        expect![[r#"
            patch Pod default/p/status
            patch Node n1
            look again in 50s"#]],
        &["node.kubernetes.io/not-ready:NoSchedule"],
    );
}

#[test]
fn a_node_waits_for_its_turn_to_have_pods_driven_off() {
    let world = World::default().with(&object::<Node>(node("False")));
    let plan = plan(&gather(&world, 0, ONE_OF_TWO_ILL, Some(Duration::from_secs(10))), now());
    expect![[r#"
        patch Node n1
        look again in 10s"#]]
    .assert_eq(&in_words(&plan));
}

#[test]
fn a_node_that_is_well_again_loses_our_taints_and_keeps_others() {
    let mut node = node("True");
    node["spec"]["taints"] = json!([
        {"key": "gpu", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
    ]);
    check(
        node,
        0,
        ONE_OF_TWO_ILL,
        expect![[r#"
            patch Node n1
            look again in 50s"#]],
        &["gpu:NoSchedule"],
    );
}

#[test]
fn a_cordoned_node_is_tainted_unschedulable() {
    let mut node = node("True");
    node["spec"]["unschedulable"] = true.into();
    check(
        node,
        0,
        ONE_OF_TWO_ILL,
        expect![[r#"
            patch Node n1
            look again in 50s"#]],
        &["node.kubernetes.io/unschedulable:NoSchedule"],
    );
}

#[test]
fn a_node_that_is_seen_for_the_first_time_is_told() {
    let world = World::default().with(&object::<Node>(node("True")));
    let input = Input { is_new: true, ..gather(&world, 0, ONE_OF_TWO_ILL, None) };
    let told = expect![[r#"
        event Normal RegisteredNode on Node n1: Node n1 event: Registered Node n1 in Controller
        look again in 50s"#]];
    told.assert_eq(&in_words(&plan(&input, now())));
}
