//! What priority classes and runtime classes may be, and what of them may change.
//!
//! Upstream: pkg/apis/scheduling/validation/validation.go, pkg/apis/node/validation/validation.go
//! Left out: nothing.

use api::{field::Field, names};
use serde_json::Value;

use crate::{
    operations::metadata::validate_labels,
    strategy::validation::{
        Errors, IMMUTABLE, affinity, looks_like, required_one_of,
        resources::{amount, container_resource_name},
    },
};

/// The highest priority that a user can give.
const HIGHEST: i64 = 1_000_000_000;
const SYSTEM: [(&str, i64); 2] = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// The mistakes of a PriorityClass.
pub(super) fn priority_class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let metadata = class.child("metadata");
    let name = metadata.child("name");
    let value = class.child("value").i64().unwrap_or_default();
    if name.str().starts_with("system-") {
        let why = match SYSTEM.iter().find(|(known, _)| *known == name.str()) {
            None => Some(format!("{} is not a known system priority class", name.str())),
            Some((_, expected)) if value != *expected => {
                Some(format!("value of {} PriorityClass must be {expected}", name.str()))
            }
            Some(_) => None,
        };
        if let Some(why) = why {
            let detail =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
            errors.push(name.forbidden(detail));
        }
    } else if value > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        errors.push(class.child("value").forbidden(detail));
    }
    let policy = class.child("preemptionPolicy");
    if !policy.is_absent() {
        required_one_of(&policy, &["PreemptLowerPriority", "Never"], &mut errors);
    }
    errors
}

/// The mistakes in a change of a PriorityClass: its value stays.
pub(super) fn priority_class_update(class: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    if class.child("value").i64().unwrap_or_default() != current["value"].as_i64().unwrap_or_default() {
        errors.push(class.child("value").forbidden("may not be changed in an update."));
    }
    let policy = class.child("preemptionPolicy");
    if policy.value != &current["preemptionPolicy"] {
        errors.push(policy.invalid(IMMUTABLE));
    }
    errors
}

/// The mistakes of a RuntimeClass.
pub(super) fn runtime_class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    looks_like(&class.child("handler"), names::is_dns1123_label, &mut errors);
    let overhead = class.child("overhead");
    let limits = overhead.alias("limits", &overhead.value["podFixed"]);
    for (name, at) in limits.entries() {
        container_resource_name(&at, name, &mut errors);
        amount(&at, name, &mut errors);
    }
    let scheduling = class.child("scheduling");
    validate_labels(&scheduling.child("nodeSelector"), &mut errors);
    affinity::tolerations(&scheduling.child("tolerations"), &mut errors);
    errors
}

/// The mistakes in a change of a RuntimeClass: its handler stays.
pub(super) fn runtime_class_update(class: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    crate::strategy::validation::immutable(&class.child("handler"), &current["handler"], &mut errors);
    errors
}
