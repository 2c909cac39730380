//! What a ConfigMap may be, and what of it may change; Secrets share most of it.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateConfigMap, ValidateConfigMapUpdate)
//! Left out: nothing.

use api::{
    field::{Field, FieldError},
    names,
};
use serde_json::Value;

use crate::strategy::validation::{Errors, same};

/// All values of a ConfigMap or Secret together.
pub(crate) const MAX_BYTES: usize = 1 << 20;
const ONCE: &str = "field is immutable when `immutable` is set";

/// The mistakes of a ConfigMap.
pub(super) fn config_map(config_map: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let (texts, bytes) = (config_map.child("data"), config_map.child("binaryData"));
    let mut size = 0;
    for (key, value) in texts.entries() {
        check_key(&value, key, &mut errors);
        if !bytes.key(key).is_absent() {
            errors.push(value.invalid_value(key, "duplicate of key present in binaryData"));
        }
        size += value.str().len();
    }
    for (key, value) in bytes.entries() {
        check_key(&value, key, &mut errors);
        size += decoded_len(value.str());
    }
    if size > MAX_BYTES {
        errors.push(FieldError { field: "[]".into(), ..config_map.too_long(MAX_BYTES) });
    }
    errors
}

/// Checks a key of data at its value.
pub(crate) fn check_key(value: &Field<'_>, key: &str, errors: &mut Errors) {
    errors.extend(names::is_config_map_key(key).into_iter().map(|wrong| value.invalid_value(key, wrong)));
}

/// How many bytes a base64 text stands for.
pub(crate) fn decoded_len(text: &str) -> usize {
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count().min(text.len() / 4 * 3)
}

/// What may not change once `immutable` is set.
pub(crate) fn immutability(object: &Field<'_>, current: &Value, parts: &[&str], errors: &mut Errors) {
    if current["immutable"] != true {
        return;
    }
    let immutable = object.child("immutable");
    if !immutable.bool() {
        errors.push(immutable.forbidden(ONCE));
    }
    for name in parts {
        let part = object.child(name);
        if !same(part.value, &current[*name]) {
            errors.push(part.forbidden(ONCE));
        }
    }
}

/// The mistakes in a change.
pub(super) fn update(config_map: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    immutability(config_map, current, &["data", "binaryData"], &mut errors);
    errors.extend(self::config_map(config_map));
    errors
}
