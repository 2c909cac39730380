use client::{ObjectKey, Target};
use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::{Input, Item, OwnerState, plan};
use crate::actions::Plan;
use crate::test_world::{World, object, settle};

/// A pod of that name, with more metadata.
fn item(name: &str, metadata: Value) -> Item {
    let mut all = json!({"name": name, "namespace": "default", "uid": format!("uid-of-{name}")});
    all.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    Item { target: Target::named::<Pod>(ObjectKey::new("default", name)), meta: object(all) }
}

fn owner(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": format!("uid-of-{name}"), "blockOwnerDeletion": true})
}

fn deleted(finalizer: &str) -> Value {
    json!({"deletionTimestamp": "2026-01-01T11:00:00Z", "finalizers": [finalizer]})
}

fn owned_by(names: &[&str]) -> Value {
    json!({"ownerReferences": names.iter().map(|name| owner(name)).collect::<Vec<_>>()})
}

fn check(item: Item, owners: &[OwnerState], dependents: &[Item], expected: Expect) {
    let references: Vec<OwnerReference> = item.meta.owner_references.clone().unwrap_or_default();
    let owners = references.into_iter().zip(owners.iter().copied()).collect();
    let plan = plan(&Input { item, owners, dependents: dependents.to_vec() });
    let lines: Vec<String> = plan.actions.iter().map(|action| format!("{action:#}")).collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_dependent_stays_while_one_owner_lives_and_forgets_the_others() {
    use OwnerState::{Alive, Gone};
    check(item("d", owned_by(&["a"])), &[Alive], &[], expect![""]);
    check(
        item("d", owned_by(&["a", "b"])),
        &[Gone, Alive],
        &[],
        expect![[
            r#"patch Pod default/d {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":true,"kind":"Pod","name":"b","uid":"uid-of-b"}],"resourceVersion":null}}"#
        ]],
    );
}

#[test]
fn a_dependent_goes_when_all_owners_are_gone() {
    check(item("d", owned_by(&["a"])), &[OwnerState::Gone], &[], expect!["delete Pod default/d"]);
}

#[test]
fn a_dependent_of_a_waiting_owner_goes_after_its_own_dependents() {
    let own = [item("e", owned_by(&["d"]))];
    check(
        item("d", owned_by(&["a"])),
        &[OwnerState::WaitsForDependents],
        &own,
        expect!["delete Pod default/d after its dependents"],
    );
}

#[test]
fn a_waiting_owner_goes_when_no_dependent_blocks_it() {
    check(item("a", deleted("foregroundDeletion")), &[], &[item("d", owned_by(&["a"]))], expect![""]);
    check(
        item("a", deleted("foregroundDeletion")),
        &[],
        &[],
        expect![[r#"patch Pod default/a {"metadata":{"finalizers":[],"resourceVersion":null}}"#]],
    );
}

#[test]
fn orphans_lose_their_owner_before_it_goes() {
    check(
        item("a", deleted("orphan")),
        &[],
        &[item("d", owned_by(&["a"]))],
        expect![[r#"
            patch Pod default/d {"metadata":{"ownerReferences":[],"resourceVersion":null}}
            patch Pod default/a {"metadata":{"finalizers":[],"resourceVersion":null}}"#]],
    );
}

#[test]
fn a_circle_of_waiting_objects_is_broken() {
    let mut waiting = deleted("foregroundDeletion");
    waiting["ownerReferences"] = json!([owner("d")]);
    check(
        item("d", owned_by(&["a"])),
        &[OwnerState::WaitsForDependents],
        &[item("a", waiting)],
        expect![[r#"
            patch Pod default/d {"metadata":{"ownerReferences":[{"apiVersion":"v1","blockOwnerDeletion":false,"kind":"Pod","name":"a","uid":"uid-of-a"}],"resourceVersion":null}}
            delete Pod default/d after its dependents"#]],
    );
}

#[test]
fn owner_and_dependents_are_collected_and_then_there_is_rest() {
    // `a` waits for its dependent `d`; `lost` names an owner that never was.
    let pod = |name: &str, metadata: Value| -> Pod {
        let item = item(name, metadata);
        object(json!({"metadata": item.meta}))
    };
    let mut world = World::default()
        .with(&pod("a", deleted("foregroundDeletion")))
        .with(&pod("d", owned_by(&["a"])))
        .with(&pod("lost", owned_by(&["never"])));
    settle(&mut world, |world| {
        let pods = world.all::<Pod>();
        let items: Vec<Item> = pods.iter().map(|pod| item_of(pod)).collect();
        let owns = |owner: &Item, item: &Item| {
            item.meta.owner_references.iter().flatten().any(|reference| Some(&reference.uid) == owner.meta.uid.as_ref())
        };
        let plans = items.iter().map(|item| {
            let state = |reference: &OwnerReference| {
                let owner = items.iter().find(|owner| owner.meta.uid.as_ref() == Some(&reference.uid));
                match owner {
                    None => OwnerState::Gone,
                    Some(owner) if owner.meta.deletion_timestamp.is_some() => OwnerState::WaitsForDependents,
                    Some(_) => OwnerState::Alive,
                }
            };
            let references = item.meta.owner_references.iter().flatten();
            let owners = references.map(|reference| (reference.clone(), state(reference))).collect();
            let dependents = items.iter().filter(|other| owns(item, other)).cloned().collect();
            plan(&Input { item: item.clone(), owners, dependents })
        });
        Plan::from(plans.flat_map(|plan| plan.actions).collect::<Vec<_>>())
    });
    let left: Vec<String> = world.all::<Pod>().iter().filter_map(|pod| pod.metadata.name.clone()).collect();
    // The collector lets go of `a`: deleting what has no finalizer any more is the API server's part.
    assert_eq!(left, ["a"]);
    assert_eq!(world.all::<Pod>()[0].metadata.finalizers, Some(vec![]));
}

fn item_of(pod: &Pod) -> Item {
    Item { target: Target::of(pod), meta: pod.metadata.clone() }
}
