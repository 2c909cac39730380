//! What a Deployment may be, and what of it may change.
//!
//! Upstream: pkg/apis/apps/validation/validation.go (ValidateDeployment, ValidateDeploymentUpdate)
//! Left out: nothing.

use api::field::Field;
use serde_json::Value;

use crate::strategy::validation::{
    Errors, count_or_percent, immutable, not_more_than_100_percent, not_negative, selectors::selector_and_template,
};

/// The mistakes of a Deployment.
pub(super) fn deployment(deployment: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = deployment.child("spec");
    not_negative(&spec.child("replicas"), &mut errors);
    selector_and_template(&spec, "empty selector is invalid for deployment", "ReplicaSet", &mut errors);
    strategy(&spec.child("strategy"), &mut errors);
    not_negative(&spec.child("minReadySeconds"), &mut errors);
    not_negative(&spec.child("revisionHistoryLimit"), &mut errors);
    let deadline = spec.child("progressDeadlineSeconds");
    not_negative(&deadline, &mut errors);
    if let Some(seconds) = deadline.i64()
        && seconds <= spec.child("minReadySeconds").i64().unwrap_or_default()
    {
        errors.push(deadline.invalid("must be greater than minReadySeconds"));
    }
    errors
}

fn strategy(strategy: &Field<'_>, errors: &mut Errors) {
    let (kind, rolling) = (strategy.child("type"), strategy.child("rollingUpdate"));
    match kind.str() {
        "Recreate" if !rolling.is_absent() => {
            errors.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
        }
        "Recreate" => {}
        "RollingUpdate" if rolling.is_absent() => {
            errors.push(rolling.required("this should be defaulted and never be nil"));
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            count_or_percent(&unavailable, errors);
            count_or_percent(&surge, errors);
            if is_zero(unavailable.value) && is_zero(surge.value) {
                errors.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
            }
            not_more_than_100_percent(&unavailable, errors);
        }
        _ => errors.push(strategy.not_supported(&["Recreate", "RollingUpdate"])),
    }
}

fn is_zero(value: &Value) -> bool {
    value.is_null() || *value == 0 || crate::strategy::validation::percent(value) == Some(0)
}

/// The mistakes in a change: the selector stays.
pub(super) fn update(deployment: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::deployment(deployment);
    let spec = deployment.child("spec");
    immutable(&spec.child("selector"), &current["spec"]["selector"], &mut errors);
    errors
}

/// The mistakes in a change of the status.
pub(super) fn status(deployment: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let status = deployment.child("status");
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ];
    for name in counts {
        not_negative(&status.child(name), &mut errors);
    }
    replica_counts(&status, &["updatedReplicas", "readyReplicas", "availableReplicas"], &mut errors);
    let collisions = status.child("collisionCount");
    not_negative(&collisions, &mut errors);
    let before = current["status"]["collisionCount"].as_i64();
    if before.is_some_and(|before| collisions.i64().is_none_or(|now| now < before)) {
        errors.push(collisions.invalid_value(collisions.value.clone(), "cannot be decremented"));
    }
    errors
}

/// No part of the replicas can be more than all, and none is available that is not ready.
pub(crate) fn replica_counts(status: &Field<'_>, parts: &[&str], errors: &mut Errors) {
    let count = |name: &str| status.child(name).i64().unwrap_or_default();
    for name in parts {
        if count(name) > count("replicas") {
            errors.push(status.child(name).invalid_value(count(name), "cannot be greater than status.replicas"));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let available = status.child("availableReplicas");
        errors.push(available.invalid_value(count("availableReplicas"), "cannot be greater than readyReplicas"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_that_is_left_out_is_none_of_the_replicas() {
        let check = |status: Value| -> Vec<String> {
            let deployment = json!({"status": status});
            self::status(&Field::root(&deployment), &Value::Null).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            check(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2, "availableReplicas": 1})),
            [""; 0]
        );
        assert_eq!(
            check(json!({"replicas": -1, "availableReplicas": 5})),
            [
                "status.replicas: Invalid value: -1: must be greater than or equal to 0",
                "status.updatedReplicas: Invalid value: 0: cannot be greater than status.replicas",
                "status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 5: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 5: cannot be greater than readyReplicas",
            ]
        );
    }
}
