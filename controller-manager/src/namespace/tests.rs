use expect_test::expect;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::ApiResource;
use serde_json::json;

use super::{Input, Remaining, plan};
use crate::test_world::{World, in_words, now, object, settle};

fn leaving() -> Namespace {
    object(json!({
        "metadata": {"name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Terminating"},
    }))
}

fn remaining<K: kube::Resource<DynamicType = ()>>(name: &str) -> Remaining {
    Remaining {
        resource: ApiResource::erase::<K>(&()),
        name: name.into(),
        uid: None,
        is_terminating: false,
        finalizers: Vec::new(),
    }
}

fn input(namespace: Namespace, remaining: Vec<Remaining>) -> Input {
    Input { namespace: namespace.into(), remaining, discovery_failures: Vec::new() }
}

#[test]
fn pods_go_before_everything_else() {
    let both = input(leaving(), vec![remaining::<ConfigMap>("c"), remaining::<Pod>("p")]);
    expect![[r#"
        delete Pod n/p
        patch Namespace n/status"#]]
    .assert_eq(&in_words(&plan(&both, now())));
    let rest = input(leaving(), vec![remaining::<ConfigMap>("c")]);
    expect![[r#"
        delete ConfigMap n/c
        patch Namespace n/status"#]]
    .assert_eq(&in_words(&plan(&rest, now())));
}

#[test]
fn what_keeps_a_namespace_is_said_once() {
    let mut held = remaining::<Pod>("p");
    held.is_terminating = true;
    held.finalizers = vec!["example.com/keep".into()];
    let mut world = World::default().with(&leaving());
    let gather = |world: &World| input(world.all::<Namespace>()[0].as_ref().clone(), vec![held.clone()]);
    settle(&mut world, |world| plan(&gather(world), now()));
    let conditions = world.all::<Namespace>()[0].status.clone().unwrap().conditions.unwrap();
    let said: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| format!("{}: {}", condition.type_, condition.message.clone().unwrap_or_default()))
        .collect();
    expect![[r#"
        NamespaceContentRemaining: Some resources are remaining: pods. has 1 resource instances
        NamespaceFinalizersRemaining: Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn an_empty_namespace_is_let_go() {
    let mut world = World::default().with(&leaving());
    let gather = |world: &World| input(world.all::<Namespace>()[0].as_ref().clone(), Vec::new());
    assert_eq!(in_words(&plan(&gather(&world), now())), "replace Namespace n/finalize");
    settle(&mut world, |world| plan(&gather(world), now()));
}

#[test]
fn a_group_that_cannot_be_asked_keeps_the_namespace() {
    let mut unknown = input(leaving(), Vec::new());
    unknown.discovery_failures = vec!["metrics.k8s.io: no answer".into()];
    assert_eq!(in_words(&plan(&unknown, now())), "patch Namespace n/status");
}
