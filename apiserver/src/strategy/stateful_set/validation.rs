//! What a StatefulSet and a ControllerRevision may be, and what of them may change.
//!
//! Upstream: pkg/apis/apps/validation/validation.go (ValidateStatefulSet, ValidateStatefulSetUpdate)
//! Left out: nothing.

use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::{
    deployment::validation::replica_counts,
    persistent_volume_claim,
    validation::{
        Errors, IMMUTABLE, count_or_percent, looks_like, not_more_than_100_percent, not_negative, required_one_of,
        same, selectors::selector_and_template,
    },
};

/// The mistakes of a StatefulSet.
pub(super) fn stateful_set(stateful_set: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = stateful_set.child("spec");
    let policy = spec.child("podManagementPolicy");
    match policy.str() {
        "" => errors.push(policy.required("")),
        "OrderedReady" | "Parallel" => {}
        _ => errors.push(policy.invalid("must be 'OrderedReady' or 'Parallel'")),
    }
    update_strategy(&spec.child("updateStrategy"), &mut errors);
    let retention = spec.child("persistentVolumeClaimRetentionPolicy");
    if !retention.is_absent() {
        for name in ["whenDeleted", "whenScaled"] {
            required_one_of(&retention.child(name), &["Delete", "Retain"], &mut errors);
        }
    }
    not_negative(&spec.child("replicas"), &mut errors);
    not_negative(&spec.child("minReadySeconds"), &mut errors);
    let ordinals = spec.child("ordinals");
    not_negative(&ordinals.child("start"), &mut errors);
    let service = spec.child("serviceName");
    if !service.is_empty() {
        looks_like(&service, names::is_dns1123_subdomain, &mut errors);
    }
    selector_and_template(&spec, "empty selector is invalid for statefulset", "StatefulSet", &mut errors);
    for claim in spec.child("volumeClaimTemplates").items() {
        persistent_volume_claim::validation::spec(&claim.child("spec"), &mut errors);
    }
    errors
}

fn update_strategy(strategy: &Field<'_>, errors: &mut Errors) {
    let (kind, rolling) = (strategy.child("type"), strategy.child("rollingUpdate"));
    match kind.str() {
        "" => errors.push(strategy.required("")),
        "OnDelete" => {
            if !rolling.is_absent() {
                errors.push(rolling.invalid("only allowed for updateStrategy 'RollingUpdate'"));
            }
        }
        "RollingUpdate" => {
            not_negative(&rolling.child("partition"), errors);
            let unavailable = rolling.child("maxUnavailable");
            if !unavailable.is_absent() {
                count_or_percent(&unavailable, errors);
                if matches!(unavailable.value, Value::Number(_)) && unavailable.i64() == Some(0) {
                    errors.push(unavailable.invalid("cannot be 0"));
                }
                not_more_than_100_percent(&unavailable, errors);
            }
        }
        _ => errors.push(strategy.invalid("must be 'RollingUpdate' or 'OnDelete'")),
    }
}

/// The mistakes in a change: what identifies pods and claims stays.
pub(super) fn update(stateful_set: &Field<'_>, current: &Value) -> Errors {
    const MUTABLE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let mut errors = self::stateful_set(stateful_set);
    let spec = stateful_set.child("spec");
    let mut rest = spec.value.clone();
    for name in MUTABLE {
        crate::strategy::keep(&mut rest, &current["spec"], name);
    }
    if !same(&rest, &current["spec"]) {
        errors.push(spec.forbidden(
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
    errors
}

/// The mistakes in the status.
pub(super) fn status(stateful_set: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = stateful_set.child("status");
    for name in [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ] {
        not_negative(&status.child(name), &mut errors);
    }
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    replica_counts(&status, &parts, &mut errors);
    errors
}

/// The mistakes of a ControllerRevision.
pub(super) fn revision(revision: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    if revision.child("data").is_absent() {
        errors.push(revision.child("data").required("data is mandatory"));
    }
    not_negative(&revision.child("revision"), &mut errors);
    errors
}

/// The mistakes in a change of a ControllerRevision: its data stays.
pub(super) fn revision_update(revision: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::revision(revision);
    let data = revision.child("data");
    if data.value != &current["data"] {
        errors.push(data.invalid(IMMUTABLE));
    }
    errors
}
