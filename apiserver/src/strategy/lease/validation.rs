//! What a Lease may be.
//!
//! Upstream: pkg/apis/coordination/validation/validation.go
//! Left out: strategies and preferred holders of coordinated leader election, whose gate is off.

use api::field::Field;

use crate::strategy::validation::Errors;

/// The mistakes of a Lease.
pub(super) fn lease(lease: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = lease.child("spec");
    let (duration, transitions) = (spec.child("leaseDurationSeconds"), spec.child("leaseTransitions"));
    if duration.i64().is_some_and(|seconds| seconds <= 0) {
        errors.push(duration.invalid("must be greater than 0"));
    }
    if transitions.i64().is_some_and(|count| count < 0) {
        errors.push(transitions.invalid("must be greater than or equal to 0"));
    }
    let holder = spec.child("holderIdentity");
    if !holder.is_absent() && holder.is_empty() {
        errors.push(holder.invalid("must not be empty"));
    }
    errors
}
