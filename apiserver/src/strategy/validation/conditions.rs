//! Conditions in the form that all newer kinds share (metav1.Condition).
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/validation/validation.go (ValidateConditions)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};

use super::{Errors, looks_like, one_of};

const MAX_REASON: usize = 1 << 10;
const MAX_MESSAGE: usize = 32 << 10;

/// Checks a list of conditions; each type stands there once.
pub(crate) fn conditions(conditions: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let kind = condition.child("type");
        if !seen.insert(kind.str().to_owned()) {
            errors.push(kind.duplicate_value(kind.str()));
        }
        self::condition(&condition, errors);
    }
}

fn condition(condition: &Field<'_>, errors: &mut Errors) {
    looks_like(&condition.child("type"), names::is_qualified_name, errors);
    one_of(&condition.child("status"), &["False", "True", "Unknown"], errors);
    let observed = condition.child("observedGeneration");
    if observed.i64().is_some_and(|generation| generation < 0) {
        errors.push(observed.invalid("must be greater than or equal to zero"));
    }
    let changed = condition.child("lastTransitionTime");
    if changed.is_absent() {
        errors.push(changed.required("must be set"));
    }
    let reason = condition.child("reason");
    if reason.is_empty() {
        errors.push(reason.required("must be set"));
    } else {
        looks_like(&reason, is_reason, errors);
        if reason.str().len() > MAX_REASON {
            errors.push(reason.too_long(MAX_REASON));
        }
    }
    let message = condition.child("message");
    if message.str().len() > MAX_MESSAGE {
        errors.push(message.too_long(MAX_MESSAGE));
    }
}

fn is_reason(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let starts = bytes.first().is_some_and(u8::is_ascii_alphabetic);
    let ends = bytes.last().is_some_and(|last| last.is_ascii_alphanumeric() || *last == b'_');
    if starts && ends && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_,:".contains(byte)) {
        return Vec::new();
    }
    let words = "a condition reason must start with alphabetic character, optionally followed by a string of \
                 alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
    let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
    vec![names::regex_error(words, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)]
}
