//! What a ReplicaSet may be, and what of it may change.
//!
//! Upstream: pkg/apis/apps/validation/validation.go (ValidateReplicaSet, ValidateReplicaSetUpdate)
//! Left out: nothing.

use api::field::Field;
use serde_json::Value;

use crate::strategy::{
    deployment::validation::replica_counts,
    validation::{Errors, immutable, not_negative, selectors::selector_and_template},
};

/// The mistakes of a ReplicaSet.
pub(super) fn replica_set(replica_set: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = replica_set.child("spec");
    not_negative(&spec.child("replicas"), &mut errors);
    not_negative(&spec.child("minReadySeconds"), &mut errors);
    selector_and_template(&spec, "empty selector is invalid for deployment", "ReplicaSet", &mut errors);
    errors
}

/// The mistakes in a change: the selector stays.
pub(super) fn update(replica_set: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::replica_set(replica_set);
    let spec = replica_set.child("spec");
    immutable(&spec.child("selector"), &current["spec"]["selector"], &mut errors);
    errors
}

/// The mistakes in the status of a ReplicaSet or ReplicationController.
pub(crate) fn status(object: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = object.child("status");
    for name in ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
        not_negative(&status.child(name), &mut errors);
    }
    replica_counts(&status, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], &mut errors);
    errors
}
