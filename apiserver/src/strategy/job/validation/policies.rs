//! The policies of a Job: which failures count, what is enough of success, and when a pod is replaced.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (validatePodFailurePolicy, validateSuccessPolicy)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};

use super::{indexes, is_indexed};
use crate::strategy::validation::{Errors, looks_like, not_negative, unsupported};

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;
const MAX_INDEXES_BYTES: usize = 64 << 10;

/// What failures of pods mean.
pub(super) fn failure(spec: &Field<'_>, errors: &mut Errors) {
    let policy = spec.child("podFailurePolicy");
    let rules = policy.child("rules");
    if rules.len() > MAX_RULES {
        errors.push(rules.too_many(MAX_RULES));
    }
    for rule in rules.items() {
        let (codes, patterns) = (rule.child("onExitCodes"), rule.child("onPodConditions"));
        action(spec, &rule.child("action"), errors);
        if !codes.is_absent() {
            exit_codes(spec, &codes, errors);
        }
        conditions(&patterns, errors);
        match (codes.is_absent(), patterns.is_empty()) {
            (false, false) => {
                let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
                errors.push(rule.invalid_unshown(detail));
            }
            (true, true) => {
                let detail = "specifying one of OnExitCodes and OnPodConditions is required";
                errors.push(rule.invalid_unshown(detail));
            }
            _ => {}
        }
    }
}

fn action(spec: &Field<'_>, action: &Field<'_>, errors: &mut Errors) {
    let needs_limit = action.str() == "FailIndex" && spec.child("backoffLimitPerIndex").is_absent();
    if needs_limit {
        errors.push(action.invalid("requires the backoffLimitPerIndex to be set"));
    }
    listed(action, &["Count", "FailIndex", "FailJob", "Ignore"], errors);
}

/// A word of a few; which, is told of an absent one too.
fn listed(field: &Field<'_>, allowed: &[&str], errors: &mut Errors) {
    if field.is_empty() {
        let quoted: Vec<String> = allowed.iter().map(|each| format!("{each:?}")).collect();
        errors.push(field.required(format!("valid values: [{}]", quoted.join(" "))));
    } else if !allowed.contains(&field.str()) {
        errors.push(unsupported(field, allowed));
    }
}

fn exit_codes(spec: &Field<'_>, codes: &Field<'_>, errors: &mut Errors) {
    let (operator, name, values) = (codes.child("operator"), codes.child("containerName"), codes.child("values"));
    listed(&operator, &["In", "NotIn"], errors);
    let pod = &spec.value["template"]["spec"];
    let containers = ["containers", "initContainers"].into_iter().filter_map(|list| pod[list].as_array()).flatten();
    if !name.is_absent() && !containers.into_iter().any(|each| each["name"] == *name.value) {
        errors.push(name.invalid("must be one of the container or initContainer names in the pod template"));
    }
    if values.is_empty() {
        errors.push(values.invalid("at least one value is required"));
    } else if values.len() > MAX_EXIT_CODES {
        errors.push(values.too_many(MAX_EXIT_CODES));
    }
    let mut seen = BTreeSet::new();
    for value in values.items() {
        if operator.str() == "In" && value.i64() == Some(0) {
            errors.push(value.invalid("must not be 0 for the In operator"));
        }
        if !seen.insert(value.i64()) {
            errors.push(value.duplicate());
        }
    }
    if !values.items().map(|value| value.i64()).is_sorted() {
        errors.push(values.invalid("must be ordered"));
    }
}

fn conditions(patterns: &Field<'_>, errors: &mut Errors) {
    if patterns.len() > MAX_PATTERNS {
        errors.push(patterns.too_many(MAX_PATTERNS));
    }
    for pattern in patterns.items() {
        looks_like(&pattern.child("type"), names::is_qualified_name, errors);
        listed(&pattern.child("status"), &["False", "True", "Unknown"], errors);
    }
}

/// Which indexes, or how many of them, are enough.
pub(super) fn success(spec: &Field<'_>, errors: &mut Errors) {
    let policy = spec.child("successPolicy");
    if policy.is_absent() {
        return;
    }
    if !is_indexed(spec.value) {
        errors.push(policy.invalid("requires indexed completion mode"));
        return;
    }
    let rules = policy.child("rules");
    if rules.is_empty() {
        errors.push(rules.required("at least one rules must be specified when the successPolicy is specified"));
    }
    if rules.len() > MAX_RULES {
        errors.push(rules.too_many(MAX_RULES));
    }
    for rule in rules.items() {
        enough(&rule, spec.child("completions").i64().unwrap_or_default(), errors);
    }
}

fn enough(rule: &Field<'_>, completions: i64, errors: &mut Errors) {
    let (count, list) = (rule.child("succeededCount"), rule.child("succeededIndexes"));
    if count.is_absent() && list.is_absent() {
        errors.push(rule.required("at least one of succeededCount or succeededIndexes must be specified"));
    }
    if list.str().len() > MAX_INDEXES_BYTES {
        errors.push(list.too_long(MAX_INDEXES_BYTES));
    }
    let listed = indexes::count(list.str(), completions).unwrap_or_else(|why| {
        errors.push(list.invalid(format!("error parsing succeededIndexes: {why}")));
        0
    });
    not_negative(&count, errors);
    let wanted = count.i64().unwrap_or_default();
    let mut at_most = |most: i64, of_what: &str| {
        if wanted > most {
            errors.push(count.invalid(format!("must be less than or equal to {most} (the number of {of_what})")));
        }
    };
    at_most(completions, "specified completions");
    if !list.is_absent() {
        at_most(listed, "indexes in the specified succeededIndexes field");
    }
}

/// When a pod that ends is replaced.
pub(super) fn replacement(spec: &Field<'_>, errors: &mut Errors) {
    let policy = spec.child("podReplacementPolicy");
    let all = ["Failed", "TerminatingOrFailed"];
    let allowed = if spec.child("podFailurePolicy").is_absent() { &all[..] } else { &all[..1] };
    if !policy.is_absent() && !allowed.contains(&policy.str()) {
        errors.push(policy.not_supported(allowed));
    }
}
