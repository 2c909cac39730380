//! Autoscalers: whom they scale, by which metrics and how fast.

use serde_json::{Value, json};

use super::{check, check_update};

/// The spec of an autoscaler with one metric.
fn metric(metric: Value) -> Value {
    json!({"spec": {"metrics": [metric]}})
}

#[test]
fn what_is_scaled_is_named_with_its_group() {
    let target = |target: Value| json!({"spec": {"scaleTargetRef": target}});
    let refused = |version: &str, why: &str| {
        let part = target(json!({"apiVersion": version}));
        check(
            "HorizontalPodAutoscaler",
            part,
            &[&format!("spec.scaleTargetRef.apiVersion: Invalid value: \"{version}\": {why}")],
        );
    };
    refused("v1", "apiVersion must specify API group");
    refused("", "apiVersion must specify API group");
    refused("/", "apiVersion must specify API group");
    refused("a/b/c", "unexpected GroupVersion string: a/b/c");
    let of_core = |version: Value| target(json!({"apiVersion": version, "kind": "ReplicationController"}));
    check("HorizontalPodAutoscaler", of_core(json!("v1")), &[]);
    check("HorizontalPodAutoscaler", of_core(Value::Null), &[]);
    check(
        "HorizontalPodAutoscaler",
        target(json!({"kind": "a/b", "name": null})),
        &[
            "spec.scaleTargetRef.kind: Invalid value: \"a/b\": may not contain '/'",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
}

#[test]
fn a_reference_without_group_may_stay_but_not_change() {
    let old = json!({"spec": {"scaleTargetRef": {"apiVersion": null}}});
    check_update("HorizontalPodAutoscaler", old.clone(), json!({"spec": {"maxReplicas": 4}}), &[]);
    check_update(
        "HorizontalPodAutoscaler",
        old,
        json!({"spec": {"scaleTargetRef": {"kind": "ReplicaSet"}}}),
        &["spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group"],
    );
    let object = |version: &str| {
        metric(json!({"type": "Object", "object": {
            "describedObject": {"kind": "Service", "name": "s", "apiVersion": version},
            "metric": {"name": "hits"}, "target": {"type": "Value", "value": "1"}}}))
    };
    let causes =
        ["spec.metrics[0].object.describedObject.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion \
                   string: a/b/c"];
    check_update("HorizontalPodAutoscaler", object("v1"), object("a/b/c"), &causes);
    check_update("HorizontalPodAutoscaler", object("d/e/f"), object("a/b/c"), &[]);
}

#[test]
fn a_metric_has_the_one_source_of_its_type() {
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    let hits = json!({"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "1"}});
    let types = "supported values: \"ContainerResource\", \"External\", \"Object\", \"Pods\", \"Resource\"";
    let unknown = format!("spec.metrics[0].type: Unsupported value: \"Other\": {types}");
    check("HorizontalPodAutoscaler", metric(json!({"type": "Other", "resource": cpu})), &[&unknown, &unknown]);
    check(
        "HorizontalPodAutoscaler",
        metric(json!({"type": "Pods", "resource": cpu})),
        &["spec.metrics[0].pods: Required value: must populate information for the given metric source"],
    );
    check(
        "HorizontalPodAutoscaler",
        metric(json!({"type": "Resource", "resource": {"target": {}}, "pods": hits})),
        &["spec.metrics[0].pods: Forbidden: must populate the given metric source only"],
    );
}

#[test]
fn a_source_says_what_is_measured_and_what_of_it_is_wanted() {
    let refused = |kind: &str, field: &str, source: Value, causes: &[&str]| {
        let causes: Vec<String> = causes.iter().map(|cause| format!("spec.metrics[0].{field}.{cause}")).collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        check("HorizontalPodAutoscaler", metric(json!({"type": kind, field: source})), &causes);
    };
    let named = json!({"name": "hits"});
    refused(
        "Object",
        "object",
        json!({"metric": {"name": "a/b"}, "target": {}}),
        &[
            "describedObject.kind: Required value",
            "describedObject.name: Required value",
            "metric.name: Invalid value: \"a/b\": may not contain '/'",
            "target.type: Required value: must specify a metric target type",
            "target.type: Invalid value: \"\": must be either Utilization, Value, or AverageValue",
            "target.averageValue: Required value: must set either a target value or averageValue",
        ],
    );
    refused(
        "External",
        "external",
        json!({"metric": named, "target": {"type": "Value"}}),
        &["target.averageValue: Required value: must set either a target value for metric or a per-pod target"],
    );
    refused(
        "External",
        "external",
        json!({"metric": {}, "target": {"type": "Value", "value": "1", "averageValue": "1"}}),
        &[
            "metric.name: Required value: must specify a metric name",
            "target.value: Forbidden: may not set both a target value for metric and a per-pod target",
        ],
    );
    refused(
        "Pods",
        "pods",
        json!({"metric": named, "target": {"type": "Value", "value": "0"}}),
        &[
            "target.value: Invalid value: \"0\": must be positive",
            "target.averageValue: Required value: must specify a positive target averageValue",
        ],
    );
    refused(
        "Resource",
        "resource",
        json!({"target": {"type": "Utilization"}}),
        &[
            "name: Required value: must specify a resource name",
            "target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        ],
    );
    refused(
        "ContainerResource",
        "containerResource",
        json!({"name": "disk", "container": "C", "target": {"type": "Utilization", "averageUtilization": 0, "averageValue": "1"}}),
        &[
            "name: Invalid value: \"disk\": must be a standard resource type or fully qualified",
            "name: Invalid value: \"disk\": must be a standard resource for containers",
            "container: Invalid value: \"C\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
             characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
             regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
            "target.averageUtilization: Invalid value: 0: must be greater than 0",
            "target.averageValue: Forbidden: may not set both a target raw value and a target utilization",
        ],
    );
    let selected = json!({"name": "hits", "selector": {"matchLabels": {"a": "no label value"}}});
    let target = json!({"type": "AverageValue", "averageValue": "1"});
    refused("Pods", "pods", json!({"metric": selected, "target": target}), &[]);
}

#[test]
fn nothing_scales_to_zero() {
    check(
        "HorizontalPodAutoscaler",
        json!({"spec": {"minReplicas": 0}}),
        &[
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        ],
    );
}

#[test]
fn how_fast_is_scaled_has_bounds() {
    let rules = |rules: Value| json!({"spec": {"behavior": {"scaleUp": rules}}});
    check(
        "HorizontalPodAutoscaler",
        rules(json!({
            "stabilizationWindowSeconds": 3601, "selectPolicy": "Mean", "tolerance": "-0.1",
            "policies": [{"value": 0, "periodSeconds": 1801}]})),
        &[
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Mean\": supported values: \"Disabled\", \"Max\", \"Min\"",
            "spec.behavior.scaleUp.policies[0].type: Unsupported value: \"\": supported values: \"Percent\", \"Pods\"",
            "spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero",
            "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            "spec.behavior.scaleUp.tolerance: Invalid value: \"-100m\": must be greater than or equal to 0",
        ],
    );
    check("HorizontalPodAutoscaler", rules(json!({"tolerance": "0"})), &[]);
    check(
        "HorizontalPodAutoscaler",
        rules(json!({"policies": []})),
        &["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"],
    );
}

#[test]
fn the_status_counts_no_fewer_replicas_than_none() {
    let row = super::row("HorizontalPodAutoscaler");
    let object = json!({"status": {"currentReplicas": -1, "desiredReplicas": -2}});
    let root = api::field::Field::root(&object);
    let errors = row.strategy.validate_subresource(crate::row::Subresource::Status, &root, &Value::Null);
    assert_eq!(
        super::texts(errors),
        [
            "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
            "status.desiredReplicas: Invalid value: -2: must be greater than or equal to 0",
        ]
    );
}

#[test]
fn what_scales_to_none_already_may_go_on_doing_so() {
    let part = |least: i64| {
        let mut part = metric(json!({"type": "External", "external": {
            "metric": {"name": "hits"}, "target": {"type": "Value", "value": "1"}}}));
        part["spec"]["minReplicas"] = least.into();
        part
    };
    let cause = |value: i64, least: i64| {
        format!("spec.minReplicas: Invalid value: {value}: must be greater than or equal to {least}")
    };
    check("HorizontalPodAutoscaler", part(0), &[&cause(0, 1)]);
    check_update("HorizontalPodAutoscaler", part(1), part(0), &[&cause(0, 1)]);
    check_update("HorizontalPodAutoscaler", part(0), json!({"metadata": {"labels": {"a": "b"}}}), &[]);
    check_update("HorizontalPodAutoscaler", part(0), part(-1), &[&cause(-1, 0)]);
}
