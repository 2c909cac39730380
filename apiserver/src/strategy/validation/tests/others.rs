//! Access, networking, storage classes, limits and the rest.

use serde_json::json;

use super::{check, check_update, texts};
use crate::rows::rows;

#[test]
fn roles_and_bindings() {
    check(
        "Role",
        json!({"rules": [{}]}),
        &[
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ],
    );
    check(
        "RoleBinding",
        json!({"roleRef": {"kind": "Foo"}}),
        &[r#"roleRef.kind: Unsupported value: "Foo": supported values: "Role", "ClusterRole""#],
    );
    check_update(
        "RoleBinding",
        json!({}),
        json!({"roleRef": {"name": "z"}}),
        &[
            r#"roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"z"}: cannot change roleRef"#,
        ],
    );
}

#[test]
fn classes() {
    check("StorageClass", json!({"provisioner": null}), &["provisioner: Required value"]);
    check_update(
        "StorageClass",
        json!({}),
        json!({"parameters": {"a": "b"}}),
        &["parameters: Forbidden: updates to parameters are forbidden."],
    );
    check_update(
        "PriorityClass",
        json!({}),
        json!({"value": 6}),
        &["value: Forbidden: may not be changed in an update."],
    );
    let controller = |name: &str| json!({"spec": {"controller": name}});
    check("IngressClass", json!({"spec": {"controller": null}}), &["spec.controller: Required value"]);
    for wrong in ["a", "/a", "a.example/"] {
        let cause = format!(
            "spec.controller: Invalid value: \"{wrong}\": must be a domain-prefixed path (such as \"acme.io/foo\")"
        );
        check("IngressClass", controller(wrong), &[&cause]);
    }
    check(
        "IngressClass",
        controller("a.example/b c"),
        &["spec.controller: Invalid value: \"b c\": Invalid path (regex used for validation is \
           '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"],
    );
}

#[test]
fn limits_and_quotas() {
    check(
        "LimitRange",
        json!({"spec": {"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}),
        &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
    );
    check(
        "ResourceQuota",
        json!({"spec": {"hard": {"pods": "500m"}}}),
        &["spec.hard[pods]: Invalid value: \"500m\": must be an integer"],
    );
    check_update(
        "ResourceQuota",
        json!({}),
        json!({"spec": {"scopes": ["BestEffort"]}}),
        &["spec.scopes: Invalid value: [\"BestEffort\"]: field is immutable"],
    );
}

#[test]
fn networking() {
    check(
        "NetworkPolicy",
        json!({"spec": {"ingress": [{"from": [{}]}]}}),
        &["spec.ingress[0].from[0]: Required value: must specify a peer"],
    );
    check(
        "Ingress",
        json!({"spec": {"defaultBackend": null}}),
        &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    );
    check(
        "HorizontalPodAutoscaler",
        json!({"spec": {"minReplicas": 4}}),
        &["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    );
    check(
        "PodDisruptionBudget",
        json!({"spec": {"minAvailable": "101%"}}),
        &["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"],
    );
    check(
        "Lease",
        json!({"spec": {"leaseDurationSeconds": 0}}),
        &["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
    );
    check(
        "Event",
        json!({"involvedObject": {"namespace": "other"}}),
        &["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"],
    );
}

#[test]
fn through_the_newer_group_only_the_series_of_an_event_changes() {
    let row = rows().into_iter().find(|row| row.group == "events.k8s.io" && row.kind == "Event").unwrap();
    // In the stored form, whose names the errors have.
    let current = json!({
        "metadata": {"name": "e", "namespace": "ns"}, "involvedObject": {"kind": "Pod", "namespace": "ns", "name": "p"},
        "eventTime": "2026-01-01T00:00:00.000001Z", "action": "a", "reason": "r", "type": "Normal", "message": "m",
        "reportingComponent": "c.example/d", "reportingInstance": "i"});
    let refused = |change: serde_json::Value| {
        let mut object = current.clone();
        json_patch::merge(&mut object, &change);
        texts(row.strategy.validate_update(&api::field::Field::root(&object), &current))
    };
    let fixed = |name: &str, shown: &str| format!("{name}: Invalid value: {shown}: field is immutable");
    let series = json!({"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"});
    assert_eq!(refused(json!({"series": series, "eventTime": "2026-01-01T00:00:00.000001999Z"})), Vec::<String>::new());
    assert_eq!(refused(json!({"series": {"count": 1}})).len(), 2, "a new series is looked at");
    let change = json!({
        "involvedObject": {"name": "q"}, "reason": "s", "message": "n", "source": {"component": "c"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1, "type": "Warning",
        "eventTime": "2026-01-01T00:00:00.000002Z", "action": "b", "related": {"name": "o"},
        "reportingComponent": "c.example/e", "reportingInstance": "j"});
    let expected = [
        fixed("involvedObject", r#"{"kind":"Pod","name":"q","namespace":"ns"}"#),
        fixed("reason", "\"s\""),
        fixed("message", "\"n\""),
        fixed("source", r#"{"component":"c"}"#),
        fixed("firstTimestamp", "\"2026-01-01T00:00:00Z\""),
        fixed("lastTimestamp", "\"2026-01-01T00:00:00Z\""),
        fixed("count", "1"),
        fixed("reason", "\"s\""),
        fixed("type", "\"Warning\""),
        fixed("eventTime", "\"2026-01-01T00:00:00.000002Z\""),
        fixed("action", "\"b\""),
        fixed("related", r#"{"name":"o"}"#),
        fixed("reportingController", "\"c.example/e\""),
        fixed("reportingInstance", "\"j\""),
    ];
    assert_eq!(refused(change), expected);
}
