//! What the kinds of resource.k8s.io may be: what they share, and device classes.
//!
//! Upstream: pkg/apis/resource/validation/validation.go
//! Left out: fields that are dropped before they are looked at (`gates.rs`).

pub(crate) mod claim;
pub(crate) mod claim_status;
mod selectors;
pub(crate) mod slice;

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use selectors::selectors;

use crate::strategy::validation::{Errors, immutable, looks_like, same, volume_sources::csi_driver_name};

const MAX_CONFIGURATIONS: usize = 32;
const MAX_PARAMETER_BYTES: usize = 10 << 10;
const MAX_POOL_NAME: usize = 253;
const MAX_IDENTIFIER: usize = 32;

/// Whether a part was accepted before: what a driver is told may then be longer than what is new, and expressions may
/// refer to more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
    Stored,
}

/// The mistakes of a new DeviceClass.
pub(super) fn class(class: &Field<'_>) -> Errors {
    class_spec(&class.child("spec"), &Value::Null)
}

/// The mistakes in a change of a DeviceClass.
pub(super) fn class_update(class: &Field<'_>, current: &Value) -> Errors {
    class_spec(&class.child("spec"), &current["spec"])
}

fn class_spec(spec: &Field<'_>, before: &Value) -> Errors {
    let mut errors = Errors::new();
    let age = |field: &str| match before.is_object() && same(&spec.value[field], &before[field]) {
        true => Age::Stored,
        false => Age::New,
    };
    selectors(&spec.child("selectors"), age("selectors"), &mut errors);
    let of_config = age("config");
    each(&spec.child("config"), MAX_CONFIGURATIONS, &mut errors, |each, errors| configuration(each, of_config, errors));
    errors
}

/// The mistakes in a change of a claim or template: what it asks for stays.
pub(super) fn spec_stays(object: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    immutable(&object.child("spec"), &current["spec"], &mut errors);
    errors
}

/// Checks each item of a list of at most `max`; of a longer list only its length is told.
fn each(list: &Field<'_>, max: usize, errors: &mut Errors, check: impl Fn(&Field<'_>, &mut Errors)) {
    if list.len() > max {
        errors.push(list.too_many(max));
        return;
    }
    for item in list.items() {
        check(&item, errors);
    }
}

/// As [`each`], for items that must differ in their keys.
fn set(
    list: &Field<'_>,
    max: usize,
    key: impl Fn(&Field<'_>) -> String,
    errors: &mut Errors,
    check: impl Fn(&Field<'_>, &mut Errors),
) {
    each(list, max, errors, check);
    if list.len() > max {
        return;
    }
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let key = key(&item);
        if !seen.insert(key.clone()) {
            errors.push(item.duplicate_value(key));
        }
    }
}

/// What a driver is told: whatever it understands.
fn configuration(configuration: &Field<'_>, age: Age, errors: &mut Errors) {
    let opaque = configuration.child("opaque");
    if opaque.is_absent() {
        errors.push(opaque.required(""));
        return;
    }
    csi_driver_name(&opaque.child("driver"), errors);
    raw_object(&opaque.child("parameters"), age, errors);
}

/// Any JSON object, of a length that can be stored.
fn raw_object(raw: &Field<'_>, age: Age, errors: &mut Errors) {
    if raw.is_absent() {
        errors.push(raw.required(""));
    } else if age == Age::New && raw.value.to_string().len() > MAX_PARAMETER_BYTES {
        errors.push(raw.too_long(MAX_PARAMETER_BYTES));
    } else if !raw.value.is_object() {
        errors.push(raw.invalid_value("<value omitted>", "must be a valid JSON object"));
    }
}

/// The name of a pool: subdomains with slashes between them, since drivers name pools after nodes.
fn pool_name(field: &Field<'_>, errors: &mut Errors) {
    let name = field.str();
    if name.is_empty() {
        errors.push(field.required(""));
        return;
    }
    if name.len() > MAX_POOL_NAME {
        errors.push(field.too_long(MAX_POOL_NAME));
    }
    for part in name.split('/') {
        let mistakes = names::is_dns1123_subdomain(part);
        errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(part, wrong)));
    }
}

/// The name of a device.
fn device_name(field: &Field<'_>, errors: &mut Errors) {
    looks_like(field, names::is_dns1123_label, errors);
}

/// The name of an attribute or a capacity: an identifier, after a domain or alone. It stands at `field`, and need not be
/// the value there.
fn qualified_name(field: &Field<'_>, name: &str, errors: &mut Errors) {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [identifier] => c_identifier(field, identifier, errors),
        [domain, identifier] => {
            if domain.is_empty() {
                errors.push(field.invalid_value("", "the domain must not be empty"));
            } else {
                csi_driver_name(&field.instead(&Value::from(*domain)), errors);
            }
            if identifier.is_empty() {
                errors.push(field.invalid_value("", "the name must not be empty"));
            } else {
                c_identifier(field, identifier, errors);
            }
        }
        // Upstream accepts more slashes, for now.
        _ => {}
    }
}

fn c_identifier(field: &Field<'_>, identifier: &str, errors: &mut Errors) {
    if identifier.len() > MAX_IDENTIFIER {
        errors.push(field.too_long(MAX_IDENTIFIER));
    }
    let mistakes = names::is_c_identifier(identifier);
    errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(identifier, wrong)));
}
