//! What a PodDisruptionBudget may be.
//!
//! Upstream: pkg/apis/policy/validation/validation.go
//! Left out: nothing.

use api::field::Field;

use crate::strategy::validation::{
    Errors, count_or_percent, not_more_than_100_percent, not_negative, optional_one_of, selectors::label_selector,
};

/// The mistakes of a PodDisruptionBudget.
pub(super) fn budget(budget: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = budget.child("spec");
    let (least, most) = (spec.child("minAvailable"), spec.child("maxUnavailable"));
    if !least.is_absent() && !most.is_absent() {
        errors.push(spec.invalid("minAvailable and maxUnavailable cannot be both set"));
    }
    for field in [&least, &most] {
        count_or_percent(field, &mut errors);
        not_more_than_100_percent(field, &mut errors);
    }
    label_selector(&spec.child("selector"), &mut errors);
    optional_one_of(&spec.child("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"], &mut errors);
    errors
}

/// The mistakes in the status.
pub(super) fn status(budget: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = budget.child("status");
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        not_negative(&status.child(name), &mut errors);
    }
    errors
}
