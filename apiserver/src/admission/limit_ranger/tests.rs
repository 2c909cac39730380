//! What is filled in and what is refused.

use serde_json::json;

use super::super::tests::{admin, send};
use super::*;
use crate::objects::world::World;

fn world(limit: Value) -> World {
    World::new([
        json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
        json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "default"}}),
        json!({"kind": "LimitRange", "metadata": {"namespace": "ns", "name": "l"}, "spec": {"limits": [limit]}}),
    ])
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

fn create(limit: Value, resources: Value) -> Result<Value, String> {
    send(&world(limit), &admin(), Operation::Create, "/pods/ns//", Some(pod(resources)), None)
}

fn refused(limit: Value, resources: Value, why: &str) {
    assert_eq!(create(limit, resources).unwrap_err(), format!("pods \"x\" is forbidden: {why}"));
}

#[test]
fn what_a_container_leaves_out_is_filled_in_and_noted() {
    let limit =
        json!({"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"}});
    let made = create(limit.clone(), json!({"limits": {"memory": "2Gi"}})).unwrap();
    let expected = json!({"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "500m"}});
    assert_eq!(made["spec"]["containers"][0]["resources"], expected);
    assert_eq!(
        made["metadata"]["annotations"][ANNOTATION],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
    let complete = json!({"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "1"}});
    assert_eq!(create(limit, complete).unwrap()["metadata"].get("annotations"), None);
}

#[test]
fn a_container_is_kept_between_the_least_and_the_most() {
    let limit = || json!({"type": "Container", "min": {"cpu": "500m"}, "max": {"cpu": "1"}});
    let of = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
    assert!(create(limit(), of("500m", "1")).is_ok());
    refused(limit(), of("100m", "600m"), "minimum cpu usage per Container is 500m, but request is 100m");
    refused(limit(), of("1", "2"), "maximum cpu usage per Container is 1, but limit is 2");
    refused(
        limit(),
        of("100m", "2"),
        "[minimum cpu usage per Container is 500m, but request is 100m, maximum cpu usage per Container is 1, but limit is 2]",
    );
}

#[test]
fn a_pod_is_limited_as_a_whole() {
    let limit =
        json!({"type": "Pod", "min": {"cpu": "200m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}});
    refused(
        limit.clone(),
        json!({}),
        "[minimum cpu usage per Pod is 200m.  No request is specified, maximum cpu usage per Pod is 1.  No limit is specified, cpu max limit to request ratio per Pod is 2, but no request is specified or request is 0]",
    );
    refused(
        limit.clone(),
        json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "900m"}}),
        "cpu max limit to request ratio per Pod is 2, but provided ratio is 3.000000",
    );
    assert!(create(limit, json!({"requests": {"cpu": "300m"}, "limits": {"cpu": "600m"}})).is_ok());
}

#[test]
fn a_claim_is_limited_in_what_it_requests() {
    let limit = json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}});
    let world = world(limit);
    let claim = |storage: &str| {
        let claim = json!({"metadata": {"name": "x"}, "spec": {"resources": {"requests": {"storage": storage}}}});
        send(&world, &admin(), Operation::Create, "/persistentvolumeclaims/ns//", Some(claim), None).map(drop)
    };
    let refused = |why: &str| Err(format!("persistentvolumeclaims \"x\" is forbidden: {why}"));
    assert_eq!(claim("1Gi"), Ok(()));
    assert_eq!(claim("1Mi"), refused("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"));
    assert_eq!(claim("3Gi"), refused("maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"));
}

#[test]
fn a_pod_that_exists_is_checked_only_when_it_is_resized() {
    let world = world(json!({"type": "Container", "max": {"cpu": "1"}}));
    let old = pod(json!({}));
    let update = |path: &str| {
        let new = pod(json!({"limits": {"cpu": "2"}}));
        send(&world, &admin(), Operation::Update, path, Some(new), Some(&old)).is_ok()
    };
    assert!(update("/pods/ns/x/"));
    assert!(!update("/pods/ns/x/resize"));
}
