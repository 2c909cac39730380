//! What validation of the kinds is written with: the rules that stand in many kinds, each once.
//!
//! Upstream: pkg/apis/core/validation/validation.go, apimachinery/pkg/apis/meta/v1/validation/validation.go
//! Left out: the leniency upstream keeps for objects stored by releases older than ours.
//!
//! A rule is a function of a cursor that pushes what is wrong onto a list, in upstream's order and words. What
//! validation of one kind alone needs stands with that kind, in `strategy/<kind>/validation.rs`.

pub(crate) mod addresses;
pub(crate) mod affinity;
pub(crate) mod conditions;
pub(crate) mod containers;
pub(crate) mod dns;
pub(crate) mod env;
pub(crate) mod expressions;
pub(crate) mod key_to_path;
pub(crate) mod operating_system;
pub(crate) mod pod_annotations;
pub(crate) mod pod_resources;
pub(crate) mod pod_spec;
pub(crate) mod pod_template;
pub(crate) mod probes;
pub(crate) mod resources;
pub(crate) mod restart_policy;
pub(crate) mod security;
pub(crate) mod selectors;
pub(crate) mod volume_mounts;
pub(crate) mod volume_sources;
pub(crate) mod volumes;

use api::field::{Field, FieldError};
use serde_json::Value;

/// The mistakes found so far.
pub(crate) type Errors = Vec<FieldError>;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// The string must not be empty.
pub(crate) fn required(field: &Field<'_>, errors: &mut Errors) {
    if field.is_empty() {
        errors.push(field.required(""));
    }
}

/// The number, if there is one, must not be negative.
pub(crate) fn not_negative(field: &Field<'_>, errors: &mut Errors) {
    if field.i64().is_some_and(|number| number < 0) {
        errors.push(field.invalid(NOT_NEGATIVE));
    }
}

/// The number, if there is one, must be from `first` to `last`.
pub(crate) fn in_range(field: &Field<'_>, first: i64, last: i64, errors: &mut Errors) {
    if field.i64().is_some_and(|number| !(first..=last).contains(&number)) {
        errors.push(field.invalid(format!("must be between {first} and {last}, inclusive")));
    }
}

/// The string must look as `check` says.
pub(crate) fn looks_like(field: &Field<'_>, check: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let complaint = |wrong| field.invalid_value(field.str(), wrong);
    errors.extend(check(field.str()).into_iter().map(complaint));
}

/// The string must be there and look as `check` says.
pub(crate) fn required_like(field: &Field<'_>, check: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if field.is_empty() {
        errors.push(field.required(""));
    } else {
        looks_like(field, check, errors);
    }
}

/// The string, if it is not empty, must look as `check` says.
pub(crate) fn optional_like(field: &Field<'_>, check: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if !field.is_empty() {
        looks_like(field, check, errors);
    }
}

/// The string must be one of `supported`, which are named in that order.
pub(crate) fn one_of(field: &Field<'_>, supported: &[&str], errors: &mut Errors) {
    if !supported.contains(&field.str()) {
        errors.push(unsupported(field, supported));
    }
}

/// As [`one_of`], but an absent one is said to be required.
pub(crate) fn required_one_of(field: &Field<'_>, supported: &[&str], errors: &mut Errors) {
    if field.is_empty() {
        errors.push(field.required(""));
    } else {
        one_of(field, supported, errors);
    }
}

/// As [`one_of`], for a string that may be absent.
pub(crate) fn optional_one_of(field: &Field<'_>, supported: &[&str], errors: &mut Errors) {
    if !field.is_absent() {
        one_of(field, supported, errors);
    }
}

/// The error for a string that is none of `supported`; an absent one shows as "".
pub(crate) fn unsupported(field: &Field<'_>, supported: &[&str]) -> FieldError {
    let error = field.not_supported(supported);
    if field.is_absent() { FieldError { value: "".into(), ..error } } else { error }
}

/// The field must be what it was; absent and empty are the same.
pub(crate) fn immutable(field: &Field<'_>, current: &Value, errors: &mut Errors) {
    if !same(field.value, current) {
        errors.push(field.invalid(IMMUTABLE));
    }
}

/// Whether two values mean the same: nothing is as good as an empty list, map or string.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    a == b || (is_nothing(a) && is_nothing(b)) || quantities_equal(a, b)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Whether two lists or maps of values mean the same, quantities compared as numbers.
fn quantities_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys());
            keys.into_iter().all(|key| same(&a[key.as_str()], &b[key.as_str()]))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

/// A port number or the name of a port.
pub(crate) fn port_or_name(field: &Field<'_>, errors: &mut Errors) {
    match field.value {
        Value::String(name) => {
            errors.extend(api::names::is_port_name(name).into_iter().map(|wrong| field.invalid(wrong)));
        }
        value => port_number(field, value.as_i64().unwrap_or_default(), errors),
    }
}

/// A port number; an absent one is 0, which is none.
pub(crate) fn port_number(field: &Field<'_>, port: i64, errors: &mut Errors) {
    errors.extend(api::names::is_port_number(port).into_iter().map(|wrong| field.invalid_value(port, wrong)));
}

/// A count or a percentage that must not be negative: `maxUnavailable`.
pub(crate) fn count_or_percent(field: &Field<'_>, errors: &mut Errors) {
    match field.value {
        Value::String(text) => {
            errors.extend(api::names::is_percent(text).into_iter().map(|wrong| field.invalid(wrong)));
        }
        _ => not_negative(field, errors),
    }
}

/// A percentage that must not be more than 100.
pub(crate) fn not_more_than_100_percent(field: &Field<'_>, errors: &mut Errors) {
    if percent(field.value).is_some_and(|percent| percent > 100) {
        errors.push(field.invalid("must not be greater than 100%"));
    }
}

/// The number of a percentage.
pub(crate) fn percent(value: &Value) -> Option<u64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// The name of an HTTP header, reported at `field`.
pub(crate) fn looks_like_header(field: &Field<'_>, name: &str, errors: &mut Errors) {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex \
                      used for validation is '[-A-Za-z0-9]+')";
        errors.push(field.invalid_value(name, detail));
    }
}

/// A path after a domain: `example.com/name`.
pub(crate) fn domain_prefixed_path(field: &Field<'_>, errors: &mut Errors) {
    let text = field.str();
    if text.is_empty() {
        errors.push(field.required(""));
        return;
    }
    let Some((domain, path)) = text.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty())
    else {
        errors.push(field.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        return;
    };
    let mistakes = api::names::is_dns1123_subdomain(domain);
    errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(domain, wrong)));
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(field.invalid_value(path, detail));
    }
}

#[cfg(test)]
mod tests;
