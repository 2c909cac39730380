//! What a LimitRange and a ResourceQuota may be, and what of them may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateLimitRange, ValidateResourceQuota)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names, quantity::Quantity};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, IMMUTABLE,
    resources::{self, amount, container_resource_name, quantity, quota_resource_name, resource_name},
};

/// The mistakes of a LimitRange.
pub(super) fn limit_range(range: &Field<'_>) -> Errors {
    const TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];
    let mut errors = Errors::new();
    let mut types = BTreeSet::new();
    let spec = range.child("spec");
    for limit in spec.child("limits").items() {
        let kind = limit.child("type");
        let mistakes = names::is_qualified_name(kind.str());
        if mistakes.is_empty() && !kind.str().contains('/') && !TYPES.contains(&kind.str()) {
            errors.push(kind.invalid("must be a standard limit type or fully qualified"));
        }
        errors.extend(mistakes.into_iter().map(|wrong| kind.invalid_value(kind.str(), wrong)));
        if !types.insert(kind.str().to_owned()) {
            errors.push(kind.duplicate_value(kind.str()));
        }
        check_limit(&limit, &mut errors);
    }
    errors
}

fn check_limit(limit: &Field<'_>, errors: &mut Errors) {
    let kind = limit.child("type").str().to_owned();
    let mut keys = BTreeSet::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let amounts = limit.child(list);
        if kind == "Pod" && list.starts_with("default") {
            if !amounts.is_empty() {
                errors.push(amounts.forbidden("may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (name, at) in amounts.entries() {
            if matches!(kind.as_str(), "Pod" | "Container") {
                container_resource_name(&at, name, errors);
            } else {
                resource_name(&at, name, errors);
            }
            keys.insert(name.to_owned());
        }
    }
    let storage = |list: &str| limit.value[list].get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(limit.child("limits").required(detail));
    }
    for name in &keys {
        check_order(limit, &kind, name, errors);
    }
}

/// What must not be more than what, for one resource.
fn check_order(limit: &Field<'_>, kind: &str, name: &str, errors: &mut Errors) {
    let get = |list: &str| {
        let skipped = kind == "Pod" && list.starts_with("default");
        limit.value[list].get(name).filter(|_| !skipped).map(|value| quantity(&Field::root(value)))
    };
    let (min, max, ratio) = (get("min"), get("max"), get("maxLimitRequestRatio"));
    let (default, request) = (get("default"), get("defaultRequest"));
    let mut ordered =
        |low: (Option<Quantity>, &str), high: (Option<Quantity>, &str), list: &str, value: Option<Quantity>| {
            if let (Some(low_amount), Some(high_amount), Some(value)) = (low.0, high.0, value)
                && low_amount > high_amount
            {
                let detail = format!("{} value {low_amount} is greater than {} value {high_amount}", low.1, high.1);
                let place = limit.child(list);
                errors.push(place.key(name).invalid_value(value.to_string(), detail));
            }
        };
    ordered((min, "min"), (max, "max"), "min", min);
    ordered((min, "min"), (request, "default request"), "defaultRequest", request);
    ordered((request, "default request"), (max, "max"), "defaultRequest", request);
    ordered((request, "default request"), (default, "default limit"), "defaultRequest", request);
    ordered((min, "min"), (default, "default"), "default", min);
    ordered((default, "default"), (max, "max"), "default", max);
    let place = limit.child("maxLimitRequestRatio");
    let Some(ratio) = ratio else { return };
    if ratio.milli_value() < 1000 {
        errors.push(place.key(name).invalid_value(ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    if let (Some(min), Some(max)) = (min, max) {
        let most = max.as_f64() / min.as_f64();
        if ratio.as_f64() > most {
            let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
            errors.push(place.key(name).invalid_value(ratio.to_string(), detail));
        }
    }
}

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// The mistakes of a ResourceQuota.
pub(super) fn quota(quota: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = quota.child("spec");
    amounts(&spec.child("hard"), &mut errors);
    scopes(&spec, &mut errors);
    errors.extend(status(quota));
    errors
}

fn amounts(list: &Field<'_>, errors: &mut Errors) {
    for (name, at) in list.entries() {
        quota_resource_name(&at, name, errors);
        amount(&at, name, errors);
    }
}

/// The mistakes in the status of a quota.
pub(super) fn status(quota: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = quota.child("status");
    amounts(&status.child("hard"), &mut errors);
    amounts(&status.child("used"), &mut errors);
    errors
}

/// Whether a scope makes sense for a resource: what only pods have, pods' scopes.
fn applies(scope: &str, resource: &str) -> bool {
    let of_pods = resource == "pods"
        || matches!(resource, "cpu" | "memory" | "ephemeral-storage")
        || resource.starts_with("requests.")
        || resource.starts_with("limits.")
        || resources::is_huge_pages(resource);
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => resource.contains("storage") || resource == "persistentvolumeclaims",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            of_pods && resource != "requests.storage"
        }
        _ => true,
    }
}

fn scopes(spec: &Field<'_>, errors: &mut Errors) {
    let list = spec.child("scopes");
    let hard: Vec<String> = spec.child("hard").entries().map(|(name, _)| name.to_owned()).collect();
    let mut used: Vec<String> = Vec::new();
    for scope in list.items() {
        if !SCOPES.contains(&scope.str()) {
            errors.push(list.invalid("unsupported scope"));
        }
        for _ in hard.iter().filter(|name| !name.contains('/') && !applies(scope.str(), name)) {
            errors.push(list.invalid("unsupported scope applied to resource"));
        }
        used.push(scope.str().to_owned());
    }
    conflicts(&list, &used, errors);
    let selector = spec.child("scopeSelector");
    let expressions = selector.child("matchExpressions");
    let mut used: Vec<String> = Vec::new();
    for (requirement, at) in expressions.items().zip(std::iter::repeat(&expressions)) {
        scope_requirement(&requirement, at, &mut used, errors);
        let scope = requirement.child("scopeName").str().to_owned();
        for _ in hard.iter().filter(|name| !name.contains('/') && !applies(&scope, name)) {
            errors.push(expressions.invalid_value(selector.value.clone(), "unsupported scope applied to resource"));
        }
    }
    conflicts(&list, &used, errors);
}

fn conflicts(list: &Field<'_>, used: &[String], errors: &mut Errors) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| used.iter().any(|each| each == scope)) {
            errors.push(list.invalid("conflicting scopes"));
        }
    }
}

/// Upstream reports what is wrong with a requirement at the list that it stands in.
fn scope_requirement(requirement: &Field<'_>, at: &Field<'_>, used: &mut Vec<String>, errors: &mut Errors) {
    let field = |name: &'static str| at.alias(name, &requirement.value[name]);
    let (scope, operator, values) = (field("scopeName"), field("operator"), field("values"));
    if !SCOPES.contains(&scope.str()) {
        errors.push(scope.invalid("unsupported scope"));
    }
    let only_exists =
        !matches!(scope.str(), "PriorityClass" | "VolumeAttributesClass") && SCOPES.contains(&scope.str());
    if only_exists && operator.str() != "Exists" {
        errors.push(operator.invalid(
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
             ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
             ResourceQuotaScopeCrossNamespacePodAffinity",
        ));
    }
    match operator.str() {
        "In" | "NotIn" => {
            if values.is_empty() {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(values.required(detail));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(values.invalid(detail));
            }
        }
        _ => errors.push(operator.invalid_value(operator.str(), "not a valid selector operator")),
    }
    used.push(scope.str().to_owned());
}

/// The mistakes in a change of a quota: its scopes stay.
pub(super) fn quota_update(quota: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = quota.child("spec");
    amounts(&spec.child("hard"), &mut errors);
    scopes(&spec, &mut errors);
    let list = spec.child("scopes");
    let set = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if set(list.value) != set(&current["spec"]["scopes"]) {
        errors.push(list.invalid(IMMUTABLE));
    }
    errors
}
