use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::{Input, ReleaseInput, name_of_volume, plan, plan_release};
use crate::actions::Plan;
use crate::test_world::{World, in_words, object, settle};

fn node() -> Node {
    object(json!({"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}}))
}

/// A claim of the class `local-path` whose consumer was put on n1, with more of `spec`.
fn claim(spec: Value) -> PersistentVolumeClaim {
    let mut whole = json!({
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local-path",
        "resources": {"requests": {"storage": "1Gi"}},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    object(json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "u1", "annotations": {
            "volume.kubernetes.io/selected-node": "n1",
            "volume.kubernetes.io/storage-provisioner": "skiff.dev/local-path",
        }},
        "spec": whole,
    }))
}

fn world(claim: PersistentVolumeClaim) -> World {
    let class: StorageClass = object(json!({
        "metadata": {"name": "local-path"}, "provisioner": "skiff.dev/local-path", "reclaimPolicy": "Delete",
    }));
    World::default().with(&claim).with(&class).with(&node())
}

fn plan_in(world: &World) -> Plan {
    let claim = world.all::<PersistentVolumeClaim>().remove(0);
    let of_name = |volume: &Arc<PersistentVolume>| volume.metadata.name == Some(name_of_volume(&claim));
    let volume = world.all::<PersistentVolume>().into_iter().find(of_name);
    let (class, node) = (world.all().pop(), world.all().pop());
    plan(&Input { claim, class, node, directory: "/volumes".into(), volume })
}

fn check(spec: Value, expected: Expect) {
    expected.assert_eq(&in_words(&plan_in(&world(claim(spec)))));
}

#[test]
fn a_claim_with_a_node_gets_one_volume_there() {
    let mut world = world(claim(json!({})));
    expect![[r#"
        create PersistentVolume pvc-u1
        event Normal ProvisioningSucceeded on PersistentVolumeClaim default/data: Successfully provisioned volume pvc-u1"#]]
    .assert_eq(&in_words(&plan_in(&world)));
    settle(&mut world, plan_in);
    let volume = world.all::<PersistentVolume>().remove(0);
    let spec = volume.spec.as_ref().unwrap();
    assert_eq!(spec.local.as_ref().unwrap().path, "/volumes/pvc-u1");
    assert_eq!(spec.capacity.as_ref().unwrap()["storage"].0, "1Gi");
    assert!(super::is_on(&volume, &node()));
}

#[test]
fn what_a_directory_cannot_be_is_refused_with_the_reason() {
    check(
        json!({"accessModes": ["ReadWriteMany"]}),
        expect![[
            r#"event Warning ProvisioningFailed on PersistentVolumeClaim default/data: failed to provision volume with StorageClass "local-path": a local path is on one node and can't be ReadWriteMany"#
        ]],
    );
    check(
        json!({"volumeMode": "Block"}),
        expect![[
            r#"event Warning ProvisioningFailed on PersistentVolumeClaim default/data: failed to provision volume with StorageClass "local-path": a local path is no block device"#
        ]],
    );
}

#[test]
fn a_claim_that_has_a_volume_gets_no_other() {
    check(json!({"volumeName": "mine"}), expect![""]);
}

/// A volume that was made for a claim, in this state.
fn volume(phase: &str, policy: &str, deleted: bool) -> PersistentVolume {
    let made = in_words(&plan_in(&world(claim(json!({})))));
    assert!(made.starts_with("create"), "{made}");
    let mut world = world(claim(json!({})));
    settle(&mut world, plan_in);
    let mut volume = serde_json::to_value(&*world.all::<PersistentVolume>().remove(0)).unwrap();
    volume["status"] = json!({"phase": phase});
    volume["spec"]["persistentVolumeReclaimPolicy"] = policy.into();
    if deleted {
        volume["metadata"]["deletionTimestamp"] = "2026-01-01T11:00:00Z".into();
    }
    object(volume)
}

fn release(volume: PersistentVolume, nodes: Vec<Node>) -> (String, usize) {
    let nodes: Vec<Arc<Node>> = nodes.into_iter().map(Arc::new).collect();
    let plan = |world: &World| {
        let volumes = world.all::<PersistentVolume>();
        let Some(volume) = volumes.into_iter().next() else { return Plan::nothing() };
        plan_release(&ReleaseInput { volume, nodes: nodes.clone() })
    };
    let mut world = World::default().with(&volume);
    let words = in_words(&plan(&world));
    (words, settle(&mut world, plan))
}

#[test]
fn a_released_volume_goes_unless_it_is_to_be_kept() {
    assert_eq!(release(volume("Released", "Delete", false), vec![node()]).0, "delete PersistentVolume pvc-u1");
    assert_eq!(release(volume("Released", "Retain", false), vec![node()]), (String::new(), 0));
    assert_eq!(release(volume("Bound", "Delete", false), vec![node()]), (String::new(), 0));
}

#[test]
fn where_the_node_is_gone_nobody_waits_for_it_to_empty_the_directory() {
    assert_eq!(release(volume("Released", "Delete", true), vec![node()]), (String::new(), 0));
    assert_eq!(release(volume("Released", "Delete", true), vec![]), ("patch PersistentVolume pvc-u1".to_owned(), 1));
}
