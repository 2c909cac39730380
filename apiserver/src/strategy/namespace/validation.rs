//! What a namespace may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateNamespace and its updates)
//! Left out: nothing.

use api::{field::Field, object::Object as _};

use crate::{operations::metadata::validate_finalizer, strategy::validation::Errors};

/// The mistakes of a new namespace.
pub(super) fn namespace(namespace: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = namespace.child("spec");
    let finalizers = spec.child("finalizers");
    for finalizer in finalizers.items() {
        validate_finalizer(&finalizers, finalizer.str(), &mut errors);
    }
    errors
}

/// The mistakes in a change through `finalize`.
pub(super) fn finalize(namespace: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = namespace.child("spec");
    for finalizer in spec.child("finalizers").items() {
        validate_finalizer(&finalizer, finalizer.str(), &mut errors);
    }
    errors
}

/// The mistakes in a change of the status: the phase says whether the namespace is being deleted.
pub(super) fn status(namespace: &Field<'_>) -> Errors {
    let status = namespace.child("status");
    let phase = status.alias("Phase", &namespace.value["status"]["phase"]);
    let (expected, not) = if namespace.value.is_terminating() { ("Terminating", " not") } else { ("Active", "") };
    if phase.str() == expected {
        return Errors::new();
    }
    let detail = format!("may only be '{expected}' if `deletionTimestamp` is{not} empty");
    vec![phase.invalid_value(phase.str(), detail)]
}
