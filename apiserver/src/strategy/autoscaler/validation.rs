//! What a HorizontalPodAutoscaler may be.
//!
//! Upstream: pkg/apis/autoscaling/validation/validation.go
//! Left out: selectors of metrics.

use api::{field::Field, names, quantity::Quantity};

use crate::strategy::validation::{Errors, optional_one_of, required, resources::quantity};

/// The mistakes of a HorizontalPodAutoscaler.
pub(super) fn autoscaler(autoscaler: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = autoscaler.child("spec");
    let (least, most) = (spec.child("minReplicas"), spec.child("maxReplicas"));
    if least.i64().is_some_and(|count| count < 1) {
        errors.push(least.invalid("must be greater than or equal to 1"));
    }
    let max = most.i64().unwrap_or_default();
    if max < 1 {
        errors.push(most.invalid_value(max, "must be greater than 0"));
    }
    if least.i64().is_some_and(|min| max < min) {
        errors.push(most.invalid_value(max, "must be greater than or equal to `minReplicas`"));
    }
    reference(&spec.child("scaleTargetRef"), &mut errors);
    for metric in spec.child("metrics").items() {
        check_metric(&metric, &mut errors);
    }
    let behavior = spec.child("behavior");
    for name in ["scaleUp", "scaleDown"] {
        let rules = behavior.child(name);
        if !rules.is_absent() {
            scaling_rules(&rules, &mut errors);
        }
    }
    errors
}

fn reference(reference: &Field<'_>, errors: &mut Errors) {
    for name in ["kind", "name"] {
        let field = reference.child(name);
        required(&field, errors);
        errors.extend(names::is_path_segment_name(field.str()).into_iter().map(|wrong| field.invalid(wrong)));
    }
}

fn check_metric(metric: &Field<'_>, errors: &mut Errors) {
    const SOURCES: [(&str, &str); 5] = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = metric.child("type");
    if kind.is_empty() {
        errors.push(kind.required("must specify a metric source type"));
    }
    let Some((_, expected)) = SOURCES.iter().find(|(name, _)| *name == kind.str()) else {
        errors.push(crate::strategy::validation::unsupported(&kind, &SOURCES.map(|(name, _)| name)));
        return;
    };
    if metric.child(expected).is_absent() {
        errors.push(metric.child(expected).required("must populate information for the given metric source"));
    }
    for (_, name) in SOURCES {
        let source = metric.child(name);
        if source.is_absent() {
            continue;
        }
        if name != *expected {
            errors.push(source.forbidden("must populate the given metric source only"));
        }
        metric_source(&source, name, errors);
    }
}

fn metric_source(source: &Field<'_>, kind: &str, errors: &mut Errors) {
    match kind {
        "object" => reference(&source.child("describedObject"), errors),
        "containerResource" => required(&source.child("container"), errors),
        _ => {}
    }
    if kind.to_ascii_lowercase().ends_with("resource") {
        let name = source.child("name");
        if name.is_empty() {
            errors.push(name.required("must specify a resource name"));
        }
    } else {
        let metric = source.child("metric");
        let name = metric.child("name");
        if name.is_empty() {
            errors.push(name.required("must specify a metric name"));
        } else {
            errors.extend(names::is_path_segment_name(name.str()).into_iter().map(|wrong| name.invalid(wrong)));
        }
    }
    target(&source.child("target"), kind, errors);
}

fn target(target: &Field<'_>, kind: &str, errors: &mut Errors) {
    let kind_field = target.child("type");
    if kind_field.is_empty() {
        errors.push(kind_field.required("must specify a metric target type"));
    } else {
        optional_one_of(&kind_field, &["AverageValue", "Utilization", "Value"], errors);
    }
    let (value, average, utilization) =
        (target.child("value"), target.child("averageValue"), target.child("averageUtilization"));
    for field in [&value, &average] {
        if !field.is_absent() && quantity(field) <= Quantity::default() {
            errors.push(field.invalid_value(quantity(field).to_string(), "must be positive"));
        }
    }
    if utilization.i64().is_some_and(|percent| percent < 1) {
        errors.push(utilization.invalid("must be greater than 0"));
    }
    let by_resource = kind.to_ascii_lowercase().ends_with("resource");
    if by_resource {
        if utilization.is_absent() && average.is_absent() {
            let detail = "must set either a target raw value or a target utilization";
            errors.push(utilization.required(detail));
        } else if !utilization.is_absent() && !average.is_absent() {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(average.forbidden(detail));
        }
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
        optional_one_of(&policy.child("type"), &["Percent", "Pods"], errors);
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
}
