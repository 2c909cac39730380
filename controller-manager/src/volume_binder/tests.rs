use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::{Input, VolumeInput, plan, plan_volume};
use crate::actions::Plan;
use crate::provisioner;
use crate::test_world::{World, in_words, object, settle};

fn claim() -> Value {
    json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "claim", "annotations": {}},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"phase": "Pending"},
    })
}

fn on_node(mut claim: Value) -> Value {
    claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "n1".into();
    claim
}

fn volume(name: &str, capacity: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": name},
        "spec": {
            "capacity": {"storage": capacity}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
            "persistentVolumeReclaimPolicy": "Retain",
        },
        "status": {"phase": "Available"},
    })
}

fn world(claim: Value, volumes: impl IntoIterator<Item = Value>) -> World {
    let class: StorageClass = object(json!({
        "metadata": {"name": "local-path"}, "provisioner": "skiff.dev/local-path", "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }));
    let node: Node = object(json!({"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}}));
    let world = World::default().with(&class).with(&node).with(&object::<PersistentVolumeClaim>(claim));
    volumes.into_iter().fold(world, |world, volume| world.with(&object::<PersistentVolume>(volume)))
}

fn gather(world: &World) -> Input {
    let class = world.all::<StorageClass>().into_iter().next();
    Input { claim: world.all::<PersistentVolumeClaim>()[0].clone(), class, volumes: world.all() }
}

/// All four controllers of volumes, one after the other: the first that has something to do does it.
fn plan_all(world: &World) -> Plan {
    let claim = world.all::<PersistentVolumeClaim>().into_iter().next();
    let mut plans = Vec::new();
    if let Some(claim) = &claim {
        let input = gather(world);
        plans.push(plan(&input));
        let name = provisioner::name_of_volume(claim);
        plans.push(provisioner::plan(&provisioner::Input {
            claim: claim.clone(),
            class: input.class,
            node: world.all::<Node>().into_iter().next(),
            volume: input.volumes.into_iter().find(|volume| volume.metadata.name.as_ref() == Some(&name)),
            directory: "/volumes".into(),
        }));
    }
    for volume in world.all::<PersistentVolume>() {
        plans.push(plan_volume(&VolumeInput { volume: volume.clone(), claim: claim.clone() }));
        plans.push(provisioner::plan_release(&provisioner::ReleaseInput { volume, nodes: world.all() }));
    }
    let writes = |plan: &Plan| plan.actions.iter().any(|action| !matches!(action, client::Action::Event { .. }));
    plans.into_iter().find(writes).unwrap_or_default()
}

fn check(claim: Value, volumes: impl IntoIterator<Item = Value>, expected: Expect) {
    let mut world = world(claim, volumes);
    expected.assert_eq(&in_words(&plan(&gather(&world))));
    settle(&mut world, plan_all);
}

#[test]
fn a_claim_waits_for_the_node_of_its_pod() {
    check(
        claim(),
        [volume("small", "1Gi")],
        expect![
            "event Normal WaitForFirstConsumer on PersistentVolumeClaim default/data: waiting for first consumer to be created before binding"
        ],
    );
}

#[test]
fn a_claim_takes_the_smallest_volume_that_fits_and_the_volume_is_written_first() {
    check(
        on_node(claim()),
        [volume("large", "10Gi"), volume("fits", "2Gi"), volume("small", "500Mi")],
        expect![[r#"
            patch PersistentVolume fits
            patch PersistentVolume fits/status
            patch PersistentVolumeClaim default/data
            patch PersistentVolumeClaim default/data/status"#]],
    );
}

#[test]
fn a_bind_that_stopped_halfway_is_finished() {
    let mut reserved = volume("fits", "2Gi");
    reserved["spec"]["claimRef"] = json!({"name": "data", "namespace": "default", "uid": "claim"});
    check(
        on_node(claim()),
        [reserved],
        expect![[r#"
            patch PersistentVolume fits/status
            patch PersistentVolumeClaim default/data
            patch PersistentVolumeClaim default/data/status"#]],
    );
}

#[test]
fn a_claim_whose_volume_is_gone_is_lost() {
    let mut bound = claim();
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
    bound["spec"]["volumeName"] = "gone".into();
    check(
        bound,
        [],
        expect![[r#"
            patch PersistentVolumeClaim default/data/status
            event Warning ClaimLost on PersistentVolumeClaim default/data: Bound claim has lost its PersistentVolume. Data on the volume is lost!"#]],
    );
}

#[test]
fn a_claim_with_a_node_gets_a_directory_there_and_takes_it_along_when_it_goes() {
    let mut world = world(on_node(claim()), []);
    settle(&mut world, plan_all);
    let claims = world.all::<PersistentVolumeClaim>();
    assert_eq!(claims[0].status.as_ref().unwrap().phase.as_deref(), Some("Bound"));
    let volume = world.all::<PersistentVolume>()[0].clone();
    let spec = volume.spec.clone().unwrap();
    assert_eq!(spec.local.unwrap().path, "/volumes/pvc-claim");
    assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Delete"));

    world.apply(&client::Action::delete(claims[0].as_ref()));
    settle(&mut world, plan_all);
    let volume = world.all::<PersistentVolume>()[0].clone();
    assert!(volume.metadata.deletion_timestamp.is_some(), "the node has to remove the directory first");
    assert_eq!(volume.metadata.finalizers.as_ref().unwrap(), &["skiff.dev/local-path"]);

    let nobody = provisioner::ReleaseInput { volume, nodes: Vec::new() };
    assert_eq!(in_words(&provisioner::plan_release(&nobody)), "patch PersistentVolume pvc-claim");
}
