use expect_test::{Expect, expect};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Input, plan};
use crate::test_world::{World, in_words, now, object, settle};

const OLD: &str = "v1";
const NEW: &str = "v2";

struct ADeployment(Value);

/// A Deployment of three replicas with the new image, that may surge by one and miss one.
fn deployment(name: &str) -> ADeployment {
    ADeployment(json!({
        "metadata": {"name": name, "namespace": "default", "uid": "deployment", "generation": 1},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(NEW),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    }))
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

impl ADeployment {
    fn set(mut self, path: &str, value: Value) -> Self {
        let (parent, field) = path.rsplit_once('/').unwrap();
        self.0.pointer_mut(parent).unwrap()[field] = value;
        self
    }

    fn replicas(self, count: i32) -> Self {
        self.set("/spec/replicas", count.into())
    }

    fn recreate(self) -> Self {
        self.set("/spec/strategy", json!({"type": "Recreate"}))
    }

    fn paused(self) -> Self {
        self.set("/spec/paused", true.into())
    }
}

/// A ReplicaSet of the Deployment with so many pods, all of them available.
fn replica_set(name: &str, image: &str, size: i32) -> Value {
    let (revision, created) = if image == OLD { ("1", "2026-01-01T10:00:00Z") } else { ("2", "2026-01-01T11:00:00Z") };
    json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "generation": 1, "creationTimestamp": created,
            "labels": {"app": "web"},
            "annotations": {
                "deployment.kubernetes.io/revision": revision,
                "deployment.kubernetes.io/desired-replicas": "3",
                "deployment.kubernetes.io/max-replicas": "4",
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "deployment", "controller": true,
            }],
        },
        "spec": {"replicas": size, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)},
        "status": {
            "replicas": size, "readyReplicas": size, "availableReplicas": size, "observedGeneration": 1,
        },
    })
}

fn with(mut replica_set: Value, path: &str, value: Value) -> Value {
    let (parent, field) = path.rsplit_once('/').unwrap();
    replica_set.pointer_mut(parent).unwrap()[field] = value;
    replica_set
}

fn world(deployment: ADeployment, replica_sets: impl IntoIterator<Item = Value>) -> World {
    let world = World::default().with(&object::<Deployment>(deployment.0));
    replica_sets.into_iter().fold(world, |world, it| world.with(&object::<ReplicaSet>(it)))
}

fn gather(world: &World) -> Input {
    let replica_sets = world.all::<ReplicaSet>();
    let taken_names = replica_sets.iter().filter_map(|it| it.metadata.name.clone()).collect();
    Input { deployment: world.all::<Deployment>()[0].clone(), replica_sets, pods: world.all::<Pod>(), taken_names }
}

/// Expects how the plan sizes the ReplicaSets, and that the world comes to rest under it.
fn check(deployment: ADeployment, replica_sets: impl IntoIterator<Item = Value>, expected: Expect) {
    let mut world = world(deployment, replica_sets);
    let words = in_words(&plan(&gather(&world), now()));
    let telling = ["create", "delete", "event"];
    let lines: Vec<&str> = words.lines().filter(|line| telling.iter().any(|word| line.starts_with(word))).collect();
    expected.assert_eq(&lines.join("\n"));
    settle(&mut world, |world| plan(&gather(world), now()));
}

#[test]
fn a_new_deployment_gets_a_replica_set_of_its_full_size() {
    check(
        deployment("web"),
        [],
        expect![[r#"
            create ReplicaSet default/web-756f99f4f8
            event Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set web-756f99f4f8 from 0 to 3"#]],
    );
}

#[test]
fn a_new_template_begins_with_what_the_surge_allows() {
    check(
        deployment("web"),
        [replica_set("web-old", OLD, 3)],
        expect![[r#"
            create ReplicaSet default/web-756f99f4f8
            event Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set web-756f99f4f8 from 0 to 1
            event Normal ScalingReplicaSet on Deployment default/web: Scaled down replica set web-old from 3 to 2"#]],
    );
}

#[test]
fn available_new_pods_replace_old_ones() {
    check(
        deployment("web"),
        [replica_set("web-old", OLD, 2), replica_set("web-new", NEW, 2)],
        expect![[
            r#"event Normal ScalingReplicaSet on Deployment default/web: Scaled down replica set web-old from 2 to 0"#
        ]],
    );
}

#[test]
fn old_pods_stay_while_new_ones_are_not_available() {
    let unavailable = with(replica_set("web-new", NEW, 2), "/status/availableReplicas", 0.into());
    check(deployment("web"), [replica_set("web-old", OLD, 2), unavailable], expect![""]);
}

#[test]
fn broken_old_pods_go_first() {
    let broken = with(replica_set("web-old", OLD, 3), "/status/availableReplicas", 2.into());
    let unavailable = with(replica_set("web-new", NEW, 1), "/status/availableReplicas", 0.into());
    check(
        deployment("web"),
        [broken, unavailable],
        expect![[
            r#"event Normal ScalingReplicaSet on Deployment default/web: Scaled down replica set web-old from 3 to 2"#
        ]],
    );
}

#[test]
fn a_rollback_reuses_the_replica_set_and_gives_it_the_next_revision() {
    let mut world = world(
        deployment("web").set("/spec/template", template(OLD)),
        [replica_set("web-old", OLD, 0), replica_set("web-new", NEW, 3)],
    );
    plan(&gather(&world), now()).actions.iter().for_each(|action| world.apply(action));
    let sets = world.all::<ReplicaSet>();
    let old = sets.iter().find(|it| it.metadata.name.as_deref() == Some("web-old")).unwrap();
    let annotation = |name: &str| old.metadata.annotations.as_ref().unwrap()[name].clone();
    assert_eq!(annotation("deployment.kubernetes.io/revision"), "3");
    assert_eq!(annotation("deployment.kubernetes.io/revision-history"), "1");
    let deployment = world.all::<Deployment>()[0].clone();
    assert_eq!(deployment.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"], "3");
    assert_eq!(sets.len(), 2);
}

#[test]
fn a_change_of_size_during_a_rollout_is_shared_in_proportion() {
    check(
        deployment("web").replicas(6),
        [replica_set("web-old", OLD, 3), replica_set("web-new", NEW, 1)],
        expect![[r#"
            event Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set web-old from 3 to 5
            event Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set web-new from 1 to 2"#]],
    );
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll_out() {
    check(
        deployment("web").replicas(5).paused(),
        [replica_set("web-old", OLD, 3)],
        expect![[
            r#"event Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set web-old from 3 to 5"#
        ]],
    );
}

#[test]
fn recreate_ends_all_old_pods_before_the_first_new_one() {
    check(
        deployment("web").recreate(),
        [replica_set("web-old", OLD, 3)],
        expect![[
            r#"event Normal ScalingReplicaSet on Deployment default/web: Scaled down replica set web-old from 3 to 0"#
        ]],
    );
    let pod: Pod = object(json!({
        "metadata": {"name": "p", "namespace": "default", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-old", "uid": "web-old", "controller": true}]},
        "status": {"phase": "Running"},
    }));
    let emptied = || world(deployment("web").recreate(), [replica_set("web-old", OLD, 0)]);
    let words = |world: &World| in_words(&plan(&gather(world), now()));
    assert!(!words(&emptied().with(&pod)).contains("create"), "an old pod still runs");
    assert!(words(&emptied()).contains("create ReplicaSet"));
}

#[test]
fn the_oldest_empty_replica_sets_beyond_the_history_limit_go() {
    check(
        deployment("web").set("/spec/revisionHistoryLimit", 0.into()).set(
            "/status",
            json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "observedGeneration": 1}),
        ),
        [replica_set("web-old", OLD, 0), replica_set("web-new", NEW, 3)],
        expect!["delete ReplicaSet default/web-old"],
    );
}

#[test]
fn a_name_that_another_template_has_is_counted_as_a_collision() {
    let mut world = world(deployment("web"), []);
    let taken = in_words(&plan(&gather(&world), now())).lines().next().unwrap().rsplit('/').next().unwrap().to_owned();
    let stranger = with(replica_set(&taken, OLD, 0), "/metadata/ownerReferences/0/uid", "other".into());
    world = world.with(&object::<ReplicaSet>(stranger));
    settle(&mut world, |world| plan(&gather(world), now()));
    let status = world.all::<Deployment>()[0].status.clone().unwrap();
    assert_eq!(status.collision_count, Some(1));
    assert_eq!(world.all::<ReplicaSet>().len(), 2);
}

#[test]
fn no_progress_for_the_deadline_is_said_and_the_time_until_then_is_waited_for() {
    let stuck = with(replica_set("web-new", NEW, 3), "/status/availableReplicas", 0.into());
    let progressing = |since: &str| {
        json!({
            "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "unavailableReplicas": 3,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                "lastUpdateTime": since, "lastTransitionTime": since}],
        })
    };
    let plan_since = |since: &str| {
        let world = world(deployment("web").set("/status", progressing(since)), [stuck.clone()]);
        plan(&gather(&world), now())
    };
    assert_eq!(plan_since("2026-01-01T11:55:00Z").requeue_after, Some(std::time::Duration::from_secs(300)));
    let late = plan_since("2026-01-01T11:40:00Z");
    assert_eq!(late.requeue_after, None);
    let words: Vec<String> = late.actions.iter().map(|action| format!("{action:#}")).collect();
    assert!(words.iter().any(|line| line.contains("ProgressDeadlineExceeded")), "{words:?}");
}
