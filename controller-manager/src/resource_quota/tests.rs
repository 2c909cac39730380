//! What is counted, and that counting comes to rest.

use super::*;
use crate::test_world::{World, now, object, settle};

/// The status after the controller has come to rest.
fn check(quota: Value, pods: &[Value], counts: &[(&str, usize)], expected: Value) {
    let mut all = quota;
    all["metadata"] = json!({"namespace": "default", "name": "q", "resourceVersion": "7"});
    let mut world = World::default().with(&object::<ResourceQuota>(all));
    let counts: BTreeMap<String, usize> = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let gather = |world: &World| Input {
        quota: world.all::<ResourceQuota>()[0].clone(),
        objects: BTreeMap::from([("pods", pods.to_vec())]),
        counts: counts.clone(),
    };
    settle(&mut world, |world| plan(&gather(world), now()));
    let quota = to_value(world.all::<ResourceQuota>()[0].as_ref());
    assert_eq!(quota["status"], expected);
}

fn pod(cpu: &str, phase: &str) -> Value {
    let resources = json!({"requests": {"cpu": cpu}});
    json!({"spec": {"containers": [{"name": "c", "resources": resources}]}, "status": {"phase": phase}})
}

#[test]
fn a_new_quota_gets_its_limits_and_what_is_used() {
    let hard = json!({"pods": "5", "cpu": "2", "count/secrets": "3", "count/unknown.example.com": "1"});
    let pods = [pod("500m", "Running"), pod("700m", "Running"), pod("1", "Succeeded")];
    check(
        json!({"spec": {"hard": hard}}),
        &pods,
        &[("count/secrets", 2)],
        json!({"hard": hard, "used": {"pods": "2", "cpu": "1200m", "count/secrets": "2"}}),
    );
}

#[test]
fn what_went_is_used_no_longer() {
    let hard = json!({"pods": "5"});
    let quota = json!({"spec": {"hard": hard}, "status": {"hard": {"pods": "4", "cpu": "1"}, "used": {"pods": "3", "cpu": "1"}}});
    check(quota, &[], &[], json!({"hard": hard, "used": {"pods": "0"}}));
}

#[test]
fn only_pods_within_the_scopes_count() {
    let hard = json!({"pods": "5", "secrets": "1"});
    let mut limited = pod("1", "Running");
    limited["spec"]["activeDeadlineSeconds"] = 5.into();
    check(
        json!({"spec": {"hard": hard, "scopes": ["Terminating"]}}),
        &[limited, pod("1", "Running")],
        &[("secrets", 1)],
        json!({"hard": hard, "used": {"pods": "1", "secrets": "0"}}),
    );
}

#[test]
fn a_quota_is_looked_at_again_when_a_pods_grace_is_over() {
    let quota: ResourceQuota = object(json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}));
    let mut pod = pod("1", "Running");
    pod["metadata"] = json!({"deletionTimestamp": "2026-01-01T12:00:00Z", "deletionGracePeriodSeconds": 30});
    let objects = BTreeMap::from([("pods", vec![pod])]);
    let input = Input { quota: Arc::new(quota), objects, counts: BTreeMap::new() };
    assert_eq!(plan(&input, now()).requeue_after, Some(Duration::from_secs(31)));
}
