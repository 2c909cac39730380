use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Failure, FailureKind, Input, plan};
use crate::owner::controller_of;
use crate::test_world::{World, in_words, now, settle};

struct Set(Value);

fn replica_set(name: &str) -> Set {
    Set(json!({
        "metadata": {"name": name, "namespace": "default", "uid": "set", "resourceVersion": "7", "generation": 1},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
        "status": {"replicas": 0},
    }))
}

impl Set {
    fn replicas(mut self, count: i32) -> Self {
        self.0["spec"]["replicas"] = count.into();
        self
    }

    fn min_ready_seconds(mut self, seconds: i32) -> Self {
        self.0["spec"]["minReadySeconds"] = seconds.into();
        self
    }

    fn deleted(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = json!(now().to_string());
        self
    }

    fn build(self) -> ReplicaSet {
        serde_json::from_value(self.0).unwrap()
    }
}

#[derive(Clone)]
struct APod(Value);

/// A running pod of the ReplicaSet on node n1 that is not ready.
fn pod(name: &str) -> APod {
    APod(json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-of-{name}"), "labels": {"app": "web"},
            "creationTimestamp": "2026-01-01T11:00:00Z",
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "set", "controller": true,
            }],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    }))
}

impl APod {
    fn set(mut self, path: &str, value: Value) -> Self {
        let (parent, field) = path.rsplit_once('/').unwrap();
        self.0.pointer_mut(parent).unwrap()[field] = value;
        self
    }

    fn ready(self) -> Self {
        self.ready_since("2026-01-01T11:30:00Z")
    }

    fn ready_since(self, time: &str) -> Self {
        self.set("/status/conditions", json!([{"type": "Ready", "status": "True", "lastTransitionTime": time}]))
    }

    fn pending(self) -> Self {
        self.set("/status/phase", "Pending".into())
    }

    fn failed(self) -> Self {
        self.set("/status/phase", "Failed".into())
    }

    fn unassigned(self) -> Self {
        self.pending().set("/spec/nodeName", Value::Null)
    }

    fn on(self, node: &str) -> Self {
        self.set("/spec/nodeName", node.into())
    }

    fn terminating(self) -> Self {
        self.set("/metadata/deletionTimestamp", "2026-01-01T11:59:00Z".into())
    }

    fn label(self, value: &str) -> Self {
        self.set("/metadata/labels", json!({"app": value}))
    }

    fn orphan(self) -> Self {
        self.set("/metadata/ownerReferences", Value::Null)
    }

    fn build(self) -> Pod {
        serde_json::from_value(self.0).unwrap()
    }
}

fn world(set: Set, pods: impl IntoIterator<Item = APod>) -> World {
    pods.into_iter().fold(World::default().with(&set.build()), |world, pod| world.with(&pod.build()))
}

fn gather(world: &World) -> Input {
    let replica_set = world.all::<ReplicaSet>()[0].clone();
    let pods = world.all::<Pod>();
    let related: Vec<Arc<Pod>> = pods.iter().filter(|pod| controller_of(&pod.metadata).is_some()).cloned().collect();
    Input { replica_set, pods, related, failure: None }
}

/// Expects the plan without its status and Events, and that the world comes to rest under it.
fn check(set: Set, pods: impl IntoIterator<Item = APod>, expected: Expect) {
    let mut world = world(set, pods);
    let words = in_words(&plan(&gather(&world), now()));
    let writes: Vec<&str> =
        words.lines().filter(|line| !line.starts_with("event") && !line.ends_with("/status")).collect();
    expected.assert_eq(&writes.join("\n"));
    settle(&mut world, |world| plan(&gather(world), now()));
}

#[test]
fn missing_pods_are_created_under_names_that_a_second_attempt_would_choose_again() {
    check(
        replica_set("web").replicas(3),
        [pod("web-a").ready()],
        expect![[r#"
            create Pod default/web-2cgx5
            create Pod default/web-9wldw"#]],
    );
}

#[test]
fn surplus_pods_that_are_not_ready_go_first() {
    check(
        replica_set("web").replicas(1),
        [pod("web-a").ready(), pod("web-b").pending()],
        expect!["delete Pod default/web-b"],
    );
}

#[test]
fn unassigned_pods_go_before_pending_ones() {
    check(
        replica_set("web").replicas(1),
        [pod("web-a").pending(), pod("web-b").unassigned()],
        expect!["delete Pod default/web-b"],
    );
}

#[test]
fn of_equal_pods_one_on_the_most_crowded_node_goes() {
    check(
        replica_set("web").replicas(2),
        [pod("web-a").ready(), pod("web-b").ready().on("n2"), pod("web-c").ready().on("n2")],
        expect!["delete Pod default/web-b"],
    );
}

#[test]
fn the_pod_that_became_ready_last_goes() {
    check(
        replica_set("web").replicas(1),
        [pod("web-a").ready(), pod("web-b").ready_since("2026-01-01T11:50:00Z")],
        expect!["delete Pod default/web-b"],
    );
}

#[test]
fn a_lower_deletion_cost_goes_first() {
    let cheap =
        pod("web-b").ready().set("/metadata/annotations", json!({"controller.kubernetes.io/pod-deletion-cost": "-5"}));
    check(
        replica_set("web").replicas(1),
        [pod("web-a").ready_since("2026-01-01T11:50:00Z"), cheap],
        expect!["delete Pod default/web-b"],
    );
}

#[test]
fn a_failed_pod_is_replaced_and_left_to_be_read() {
    check(replica_set("web").replicas(1), [pod("web-a").failed()], expect!["create Pod default/web-2cgx5"]);
}

#[test]
fn a_pod_that_is_being_deleted_is_replaced_at_once() {
    check(
        replica_set("web").replicas(1),
        [pod("web-a").ready().terminating()],
        expect!["create Pod default/web-2cgx5"],
    );
}

#[test]
fn a_matching_pod_that_nobody_controls_is_adopted_and_counts() {
    check(replica_set("web").replicas(1), [pod("web-a").ready().orphan()], expect!["patch Pod default/web-a"]);
}

#[test]
fn a_pod_whose_labels_match_no_longer_is_released_and_replaced() {
    check(
        replica_set("web").replicas(1),
        [pod("web-a").ready().label("debug")],
        expect![[r#"
            patch Pod default/web-a
            create Pod default/web-2cgx5"#]],
    );
}

#[test]
fn a_replica_set_that_is_being_deleted_neither_adopts_nor_creates() {
    check(replica_set("web").replicas(2).deleted(), [pod("web-a").orphan()], expect![""]);
}

#[test]
fn a_ready_pod_is_available_only_after_min_ready_seconds() {
    check(
        replica_set("web").min_ready_seconds(30),
        [pod("web-a").ready_since("2026-01-01T11:59:50Z")],
        expect!["look again in 20s"],
    );
}

#[test]
fn the_status_counts_what_is_there() {
    let world = world(
        replica_set("web").replicas(3),
        [pod("web-a").ready(), pod("web-b"), pod("web-c").terminating(), pod("web-d").failed()],
    );
    let plan = plan(&gather(&world), now());
    let status = plan.actions.iter().map(|action| format!("{action:#}")).find(|line| line.contains("/status"));
    expect![[r#"patch ReplicaSet default/web/status {"status":{"availableReplicas":1,"fullyLabeledReplicas":2,"observedGeneration":1,"readyReplicas":1,"replicas":2,"terminatingReplicas":1}}"#]]
    .assert_eq(&status.unwrap());
}

#[test]
fn a_refusal_is_shown_in_the_status_before_the_next_attempt_and_taken_back_after_it() {
    let mut world = world(replica_set("web"), []);
    let failure = Failure { kind: FailureKind::Create, message: "Error creating: exceeded quota".into() };
    let refused = plan(&Input { failure: Some(failure), ..gather(&world) }, now());
    expect![[r#"
        patch ReplicaSet default/web/status
        event Warning FailedCreate on ReplicaSet default/web: Error creating: exceeded quota
        create Pod default/web-2cgx5
        event Normal SuccessfulCreate on ReplicaSet default/web: Created pod: web-2cgx5"#]]
    .assert_eq(&in_words(&refused));
    refused.actions.iter().for_each(|action| world.apply(action));
    let conditions = |world: &World| world.all::<ReplicaSet>()[0].status.clone().unwrap().conditions;
    assert_eq!(conditions(&world).unwrap()[0].reason.as_deref(), Some("FailedCreate"));
    settle(&mut world, |world| plan(&gather(world), now()));
    assert_eq!(conditions(&world), None);
}
