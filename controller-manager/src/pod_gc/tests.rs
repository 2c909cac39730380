use std::sync::Arc;

use expect_test::expect;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::{Input, NodeState, is_surplus, plan};
use crate::actions::Plan;
use crate::test_world::{World, in_words, now, object, settle};

fn pod(name: &str, phase: &str, minute: u8, terminating: bool) -> Arc<Pod> {
    let deleted = terminating.then_some("2026-01-01T00:00:00Z");
    Arc::new(object(json!({
        "metadata": {"name": name, "namespace": "default", "deletionTimestamp": deleted,
            "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
        "status": {"phase": phase},
    })))
}

fn words(pod: Arc<Pod>, node: NodeState, is_surplus: bool) -> String {
    in_words(&plan(&Input { pod, node, is_surplus, look_again: None }, now()))
}

#[test]
fn a_pod_whose_node_is_gone_fails_and_goes() {
    expect![[r#"
        patch Pod default/p/status
        delete Pod default/p"#]]
    .assert_eq(&words(pod("p", "Running", 0, false), NodeState::Gone, false));
}

#[test]
fn a_pod_that_was_deleted_before_it_had_a_node_goes() {
    assert_eq!(words(pod("p", "Pending", 0, true), NodeState::Unassigned, false), "delete Pod default/p");
    assert_eq!(words(pod("p", "Pending", 0, false), NodeState::Unassigned, false), "");
    assert_eq!(words(pod("p", "Running", 0, true), NodeState::Exists, false), "");
}

#[test]
fn the_oldest_finished_pods_beyond_the_limit_go() {
    let finished = [pod("a", "Failed", 2, false), pod("b", "Succeeded", 1, false), pod("c", "Failed", 3, false)];
    let surplus: Vec<bool> = finished.iter().map(|pod| is_surplus(pod, &finished, 2)).collect();
    assert_eq!(surplus, [false, true, false]);
    assert_eq!(words(finished[1].clone(), NodeState::Exists, true), "delete Pod default/b");
}

#[test]
fn what_is_collected_is_collected_once() {
    let mut world = World::default().with(&*pod("p", "Running", 0, false));
    let rounds = settle(&mut world, |world| match world.all::<Pod>().pop() {
        Some(pod) => plan(&Input { pod, node: NodeState::Gone, is_surplus: false, look_again: None }, now()),
        None => Plan::nothing(),
    });
    assert_eq!((rounds, world.all::<Pod>().len()), (1, 0));
}
