//! What a DaemonSet may be, and what of it may change.
//!
//! Upstream: pkg/apis/apps/validation/validation.go (ValidateDaemonSet, ValidateDaemonSetUpdate)
//! Left out: nothing.

use api::field::Field;
use serde_json::Value;

use crate::strategy::validation::{
    Errors, count_or_percent, immutable, not_more_than_100_percent, not_negative, percent,
    selectors::selector_and_template,
};

/// The mistakes of a DaemonSet.
pub(super) fn daemon_set(daemon_set: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = daemon_set.child("spec");
    selector_and_template(&spec, "empty selector is invalid for daemonset", "DaemonSet", &mut errors);
    not_negative(&spec.child("minReadySeconds"), &mut errors);
    update_strategy(&spec.child("updateStrategy"), &mut errors);
    not_negative(&spec.child("revisionHistoryLimit"), &mut errors);
    errors
}

fn update_strategy(strategy: &Field<'_>, errors: &mut Errors) {
    let rolling = strategy.child("rollingUpdate");
    match strategy.child("type").str() {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_absent() => errors.push(rolling.required("")),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            count_or_percent(&unavailable, errors);
            count_or_percent(&surge, errors);
            not_more_than_100_percent(&unavailable, errors);
            not_more_than_100_percent(&surge, errors);
            let none = |value: &Value| value.is_null() || *value == 0 || percent(value) == Some(0);
            if none(unavailable.value) && none(surge.value) {
                errors.push(unavailable.invalid("cannot be 0 when maxSurge is 0"));
            } else if !none(unavailable.value) && !none(surge.value) {
                errors.push(surge.invalid("may not be set when maxUnavailable is non-zero"));
            }
        }
        _ => errors.push(strategy.not_supported(&["RollingUpdate", "OnDelete"])),
    }
}

/// The mistakes in a change: the selector stays.
pub(super) fn update(daemon_set: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::daemon_set(daemon_set);
    let spec = daemon_set.child("spec");
    immutable(&spec.child("selector"), &current["spec"]["selector"], &mut errors);
    errors
}

/// The mistakes in the status.
pub(super) fn status(daemon_set: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = daemon_set.child("status");
    for name in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        not_negative(&status.child(name), &mut errors);
    }
    errors
}
