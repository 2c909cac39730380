//! What objects use, one table for each kind.

use serde_json::json;

use super::*;

const NOW: &str = "2026-01-01T00:10:00Z";

fn check(group: &str, resource: &str, object: Value, expected: Value) {
    let used = Counted { group, resource }.usage(&object, NOW.parse().unwrap());
    assert_eq!(resources::write(&used), expected);
}

#[test]
fn a_pod_uses_its_requests_its_limits_and_itself() {
    let resources = json!({"requests": {"cpu": "1", "memory": "1Gi", "example.com/gpu": "2", "hugepages-2Mi": "4Mi"},
        "limits": {"cpu": "2"}});
    let mut pod = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
    let all = json!({"count/pods": "1", "pods": "1", "cpu": "1", "requests.cpu": "1", "memory": "1Gi",
        "requests.memory": "1Gi", "requests.example.com/gpu": "2", "hugepages-2Mi": "4Mi",
        "requests.hugepages-2Mi": "4Mi", "limits.cpu": "2"});
    check("", "pods", pod.clone(), all);
    pod["status"]["phase"] = "Succeeded".into();
    check("", "pods", pod, json!({"count/pods": "1"}));
}

#[test]
fn a_pod_whose_grace_is_over_holds_nothing() {
    let pod = |deleted: &str| {
        json!({"metadata": {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": 30},
            "spec": {"containers": []}})
    };
    check("", "pods", pod("2026-01-01T00:09:29Z"), json!({"count/pods": "1"}));
    check("", "pods", pod("2026-01-01T00:09:30Z"), json!({"count/pods": "1", "pods": "1"}));
}

#[test]
fn a_service_uses_node_ports_as_its_type_wants_them() {
    let service = |kind: &str, allocates: bool| {
        json!({"spec": {"type": kind, "allocateLoadBalancerNodePorts": allocates,
            "ports": [{"port": 1}, {"port": 2, "nodePort": 30001}]}})
    };
    let used = |node_ports: &str, balancers: &str| {
        json!({"count/services": "1", "services": "1", "services.nodeports": node_ports,
            "services.loadbalancers": balancers})
    };
    check("", "services", service("ClusterIP", true), used("0", "0"));
    check("", "services", service("NodePort", true), used("2", "0"));
    check("", "services", service("LoadBalancer", true), used("2", "1"));
    check("", "services", service("LoadBalancer", false), used("1", "1"));
}

#[test]
fn a_claim_uses_storage_of_its_class_too() {
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"allocatedResources": {"storage": "2Gi"}}});
    let expected = json!({"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1",
        "requests.storage": "2Gi", "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "2Gi"});
    check("", "persistentvolumeclaims", claim, expected);
}

#[test]
fn everything_else_counts() {
    check("", "secrets", json!({}), json!({"count/secrets": "1", "secrets": "1"}));
    check("apps", "deployments", json!({}), json!({"count/deployments.apps": "1"}));
    let deployments = Counted { group: "apps", resource: "deployments" };
    assert!(deployments.uses("count/deployments.apps") && !deployments.uses("count/deployments"));
    let pods = Counted { group: "", resource: "pods" };
    assert!(pods.uses("requests.example.com/gpu") && pods.uses("limits.cpu") && !pods.uses("requests.storage"));
    let claims = Counted { group: "", resource: "persistentvolumeclaims" };
    assert!(claims.uses("gold.storageclass.storage.k8s.io/requests.storage") && !claims.uses("pods"));
}

#[test]
fn scopes_choose_pods() {
    let pods = Counted { group: "", resource: "pods" };
    let within = |spec: Value, pod: Value| pods.in_scope(&json!({"spec": spec}), &pod);
    let plain = json!({"spec": {}, "status": {"qosClass": "BestEffort"}});
    let urgent =
        json!({"spec": {"priorityClassName": "high", "activeDeadlineSeconds": 5}, "status": {"qosClass": "Burstable"}});
    for (scope, of_plain, of_urgent) in [
        ("Terminating", false, true),
        ("NotTerminating", true, false),
        ("BestEffort", true, false),
        ("NotBestEffort", false, true),
        ("PriorityClass", false, true),
        ("CrossNamespacePodAffinity", false, false),
    ] {
        assert_eq!(within(json!({"scopes": [scope]}), plain.clone()), of_plain, "{scope}");
        assert_eq!(within(json!({"scopes": [scope]}), urgent.clone()), of_urgent, "{scope}");
    }
    let selector = |operator: &str, values: Value| {
        json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": operator, "values": values}]}})
    };
    assert!(within(selector("In", json!(["high"])), urgent.clone()));
    assert!(!within(selector("In", json!(["high"])), plain.clone()));
    assert!(!within(selector("NotIn", json!(["high"])), urgent));
    assert!(within(selector("DoesNotExist", json!([])), plain.clone()));
    let services = Counted { group: "", resource: "services" };
    assert!(!services.in_scope(&json!({"spec": {"scopes": ["BestEffort"]}}), &plain));
    assert!(services.in_scope(&json!({"spec": {}}), &plain));
}

#[test]
fn containers_that_leave_out_what_is_limited_are_named() {
    let container = |name: &str, requests: Value| json!({"name": name, "resources": {"requests": requests}});
    let pod = json!({"spec": {"containers": [container("b", json!({"cpu": "1"})), container("a", json!({}))]}});
    let limited = ["pods", "requests.memory", "cpu"];
    let missing = unstated(&pod, limited.into_iter());
    assert_eq!(missing.as_deref(), Some("cpu for: a; requests.memory for: a,b"));
    assert_eq!(unstated(&pod, ["pods"].into_iter()), None);
}
