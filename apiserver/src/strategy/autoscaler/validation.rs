//! What a HorizontalPodAutoscaler may be.
//!
//! Upstream: pkg/apis/autoscaling/validation/validation.go,
//!   pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go (what an update leaves unchecked)
//! Left out: nothing. Selectors of metrics are not looked at upstream either.

use api::{field::Field, names, quantity::Quantity};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, NOT_NEGATIVE, looks_like, not_negative, one_of, optional_one_of, required,
    resources::{container_resource_name, quantity},
    same, unsupported,
};

/// How much the apiVersion of a reference must say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ApiVersion {
    /// A group and a version.
    WithGroup,
    /// What can be read as one; nothing is fine.
    AnyGroup,
    /// Whatever it was before.
    AsBefore,
}

/// The mistakes of a new HorizontalPodAutoscaler.
pub(super) fn autoscaler(autoscaler: &Field<'_>) -> Errors {
    check(&autoscaler.child("spec"), None)
}

/// The mistakes in a change. References that were never right and stay as they are do no more harm.
pub(super) fn update(autoscaler: &Field<'_>, current: &Value) -> Errors {
    check(&autoscaler.child("spec"), Some(&current["spec"]))
}

/// The mistakes in the status.
pub(super) fn status(autoscaler: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = autoscaler.child("status");
    for name in ["currentReplicas", "desiredReplicas"] {
        not_negative(&status.child(name), &mut errors);
    }
    errors
}

fn check(spec: &Field<'_>, before: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (least, most) = (spec.child("minReplicas"), spec.child("maxReplicas"));
    // Only a server with HPAScaleToZero lets an autoscaler go down to none; what such a server has stored may stay.
    let lowest = i64::from(before.is_none_or(|before| before["minReplicas"] != 0));
    if least.i64().is_some_and(|count| count < lowest) {
        errors.push(least.invalid(format!("must be greater than or equal to {lowest}")));
    }
    let max = most.i64().unwrap_or_default();
    if max < 1 {
        errors.push(most.invalid_value(max, "must be greater than 0"));
    }
    if least.i64().is_some_and(|min| max < min) {
        errors.push(most.invalid_value(max, "must be greater than or equal to `minReplicas`"));
    }
    let target = spec.child("scaleTargetRef");
    reference(&target, of_target(target.value, before), &mut errors);
    metrics(spec, of_objects(before), &mut errors);
    let behavior = spec.child("behavior");
    for name in ["scaleUp", "scaleDown"] {
        let rules = behavior.child(name);
        if !rules.is_absent() {
            scaling_rules(&rules, &mut errors);
        }
    }
    errors
}

/// What the apiVersion of the scaled object must say. Of the core group only replication controllers can be scaled.
fn of_target(target: &Value, before: Option<&Value>) -> ApiVersion {
    let stays = |name: &str| before.is_some_and(|before| same(&before["scaleTargetRef"][name], &target[name]));
    if stays("apiVersion") && stays("kind") {
        ApiVersion::AsBefore
    } else if target["kind"] == "ReplicationController" {
        ApiVersion::AnyGroup
    } else {
        ApiVersion::WithGroup
    }
}

/// What the apiVersions of the objects that metrics describe must say.
fn of_objects(before: Option<&Value>) -> ApiVersion {
    let mut before = before.and_then(|before| before["metrics"].as_array()).into_iter().flatten();
    let was_wrong = before.any(|metric| {
        let version = metric["object"]["describedObject"]["apiVersion"].as_str().unwrap_or_default();
        metric["type"] == "Object" && wrong_version(version, ApiVersion::AnyGroup).is_some()
    });
    if was_wrong { ApiVersion::AsBefore } else { ApiVersion::AnyGroup }
}

fn reference(reference: &Field<'_>, needed: ApiVersion, errors: &mut Errors) {
    for name in ["kind", "name"] {
        let field = reference.child(name);
        required(&field, errors);
        looks_like(&field, names::is_path_segment_name, errors);
    }
    let version = reference.child("apiVersion");
    errors.extend(wrong_version(version.str(), needed).map(|wrong| version.invalid_value(version.str(), wrong)));
}

fn wrong_version(version: &str, needed: ApiVersion) -> Option<String> {
    let slashes = version.matches('/').count();
    let has_group = version != "/" && slashes == 1 && !version.starts_with('/');
    match needed {
        ApiVersion::AsBefore => None,
        _ if slashes > 1 => Some(format!("unexpected GroupVersion string: {version}")),
        ApiVersion::WithGroup if !has_group => Some("apiVersion must specify API group".to_owned()),
        _ => None,
    }
}

/// The sources of metrics, in the order in which they are looked at: the type, and the field of its own.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn metrics(spec: &Field<'_>, described: ApiVersion, errors: &mut Errors) {
    let metrics = spec.child("metrics");
    for metric in metrics.items() {
        check_metric(&metric, described, errors);
    }
    let counts_elsewhere = metrics.items().any(|metric| matches!(metric.child("type").str(), "Object" | "External"));
    if spec.child("minReplicas").i64() == Some(0) && !counts_elsewhere {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(metrics.forbidden(detail));
    }
}

fn check_metric(metric: &Field<'_>, described: ApiVersion, errors: &mut Errors) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = metric.child("type");
    if kind.is_empty() {
        errors.push(kind.required("must specify a metric source type"));
    }
    one_of(&kind, &TYPES, errors);
    let given: Vec<&str> =
        SOURCES.iter().map(|(_, name)| *name).filter(|name| !metric.child(name).is_absent()).collect();
    // Of several sources only the first is looked at.
    if let Some(name) = given.first() {
        metric_source(&metric.child(name), name, described, errors);
    }
    let expected = SOURCES.iter().find(|(each, _)| *each == kind.str()).map(|(_, name)| *name);
    match expected {
        Some(name) if !given.contains(&name) => {
            errors.push(metric.child(name).required("must populate information for the given metric source"));
        }
        Some(_) => {}
        None => errors.push(unsupported(&kind, &TYPES)),
    }
    if given.len() != 1 {
        for name in given.iter().filter(|name| Some(**name) != expected) {
            errors.push(metric.child(name).forbidden("must populate the given metric source only"));
        }
    }
}

fn metric_source(source: &Field<'_>, kind: &str, described: ApiVersion, errors: &mut Errors) {
    let by_resource = matches!(kind, "resource" | "containerResource");
    if kind == "object" {
        reference(&source.child("describedObject"), described, errors);
    }
    if by_resource {
        resource(source, kind, errors);
    } else {
        let metric = source.child("metric");
        let name = metric.child("name");
        if name.is_empty() {
            errors.push(name.required("must specify a metric name"));
        }
        looks_like(&name, names::is_path_segment_name, errors);
    }
    let goal = source.child("target");
    target(&goal, errors);
    let (value, average, utilization) =
        (goal.child("value"), goal.child("averageValue"), goal.child("averageUtilization"));
    match kind {
        "object" if value.is_absent() && average.is_absent() => {
            errors.push(average.required("must set either a target value or averageValue"));
        }
        "external" if value.is_absent() && average.is_absent() => {
            errors.push(average.required("must set either a target value for metric or a per-pod target"));
        }
        "external" if !value.is_absent() && !average.is_absent() => {
            errors.push(value.forbidden("may not set both a target value for metric and a per-pod target"));
        }
        "pods" if average.is_absent() => {
            errors.push(average.required("must specify a positive target averageValue"));
        }
        _ if by_resource && utilization.is_absent() && average.is_absent() => {
            errors.push(utilization.required("must set either a target raw value or a target utilization"));
        }
        _ if by_resource && !utilization.is_absent() && !average.is_absent() => {
            errors.push(average.forbidden("may not set both a target raw value and a target utilization"));
        }
        _ => {}
    }
}

fn resource(source: &Field<'_>, kind: &str, errors: &mut Errors) {
    let (name, container) = (source.child("name"), source.child("container"));
    if name.is_empty() {
        errors.push(name.required("must specify a resource name"));
    }
    if kind == "resource" {
        return;
    }
    if !name.is_empty() {
        container_resource_name(&name, name.str(), errors);
    }
    if container.is_empty() {
        errors.push(container.required("must specify a container"));
    } else {
        looks_like(&container, names::is_dns1123_label, errors);
    }
}

fn target(target: &Field<'_>, errors: &mut Errors) {
    let kind = target.child("type");
    if kind.is_empty() {
        errors.push(kind.required("must specify a metric target type"));
    }
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        errors.push(kind.invalid_value(kind.str(), "must be either Utilization, Value, or AverageValue"));
    }
    for name in ["value", "averageValue"] {
        let field = target.child(name);
        if !field.is_absent() && quantity(&field) <= Quantity::default() {
            errors.push(field.invalid_value(quantity(&field).to_string(), "must be positive"));
        }
    }
    let utilization = target.child("averageUtilization");
    if utilization.i64().is_some_and(|percent| percent < 1) {
        errors.push(utilization.invalid("must be greater than 0"));
    }
}

fn scaling_rules(rules: &Field<'_>, errors: &mut Errors) {
    const LONGEST_WINDOW: i64 = 3600;
    const LONGEST_PERIOD: i64 = 1800;
    let window = rules.child("stabilizationWindowSeconds");
    match window.i64() {
        Some(seconds) if seconds < 0 => errors.push(window.invalid("must be greater than or equal to zero")),
        Some(seconds) if seconds > LONGEST_WINDOW => {
            errors.push(window.invalid(format!("must be less than or equal to {LONGEST_WINDOW}")));
        }
        _ => {}
    }
    optional_one_of(&rules.child("selectPolicy"), &["Disabled", "Max", "Min"], errors);
    let policies = rules.child("policies");
    if policies.is_empty() {
        errors.push(policies.required("must specify at least one Policy"));
    }
    for policy in policies.items() {
        one_of(&policy.child("type"), &["Percent", "Pods"], errors);
        for name in ["value", "periodSeconds"] {
            let field = policy.child(name);
            if field.i64().unwrap_or_default() <= 0 {
                errors.push(field.invalid_value(field.i64().unwrap_or_default(), "must be greater than zero"));
            }
        }
        let period = policy.child("periodSeconds");
        if period.i64().is_some_and(|seconds| seconds > LONGEST_PERIOD) {
            errors.push(period.invalid(format!("must be less than or equal to {LONGEST_PERIOD}")));
        }
    }
    let tolerance = rules.child("tolerance");
    if !tolerance.is_absent() && quantity(&tolerance) < Quantity::default() {
        errors.push(tolerance.invalid_value(quantity(&tolerance).to_string(), NOT_NEGATIVE));
    }
}
