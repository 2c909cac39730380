//! What device classes, claims and slices may be, and what of them may change.
//!
//! Upstream: pkg/apis/resource/validation/validation.go
//! Left out: compiling the expressions of selectors; opaque parameters; counters, and the names of attributes.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
};
use serde_json::Value;

use crate::strategy::validation::{Errors, immutable, looks_like, required_like, unsupported};

const MAX_SELECTORS: usize = 32;
const MAX_REQUESTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_DEVICES: usize = 128;

/// The mistakes of a DeviceClass.
pub(super) fn class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = class.child("spec");
    selectors(&spec.child("selectors"), &mut errors);
    errors
}

/// Each selector is an expression; there are not too many.
fn selectors(selectors: &Field<'_>, errors: &mut Errors) {
    if selectors.len() > MAX_SELECTORS {
        errors.push(selectors.too_many(MAX_SELECTORS));
    }
    for selector in selectors.items() {
        let cel = selector.child("cel");
        if cel.is_absent() {
            errors.push(cel.required(""));
            continue;
        }
        let expression = cel.child("expression");
        if expression.is_empty() {
            errors.push(expression.required(""));
        }
    }
}

/// The mistakes of what a claim asks for.
pub(super) fn claim_spec(spec: &Field<'_>, errors: &mut Errors) {
    let devices = spec.child("devices");
    let requests = devices.child("requests");
    if requests.len() > MAX_REQUESTS {
        errors.push(requests.too_many(MAX_REQUESTS));
    }
    let mut known = BTreeSet::new();
    for request in requests.items() {
        let name = request.child("name");
        required_like(&name, names::is_dns1123_label, errors);
        if !name.is_empty() && !known.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
        one_request(&request, &mut known, errors);
    }
    let constraints = devices.child("constraints");
    if constraints.len() > MAX_REQUESTS {
        errors.push(constraints.too_many(MAX_REQUESTS));
    }
    for list in [&constraints, &devices.child("config")] {
        for each in list.items() {
            for reference in each.child("requests").items() {
                if !known.contains(reference.str()) {
                    let detail = "must be the name of a request in the claim or the name of a request and a subrequest \
                         separated by '/'";
                    errors.push(reference.invalid(detail));
                }
            }
        }
    }
}

/// A request is for devices of one class, or for the first of some alternatives.
fn one_request(request: &Field<'_>, known: &mut BTreeSet<String>, errors: &mut Errors) {
    let (exactly, first) = (request.child("exactly"), request.child("firstAvailable"));
    match (exactly.is_absent(), first.is_empty()) {
        (true, true) => errors.push(request.required("exactly one of `exactly` or `firstAvailable` is required")),
        (false, false) => {
            errors.push(
                request
                    .invalid("exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"),
            );
        }
        (false, true) => of_class(&exactly, errors),
        (true, false) => {
            if first.len() > MAX_ALTERNATIVES {
                errors.push(first.too_many(MAX_ALTERNATIVES));
            }
            for alternative in first.items() {
                let name = alternative.child("name");
                required_like(&name, names::is_dns1123_label, errors);
                let full = format!("{}/{}", request.child("name").str(), name.str());
                if !name.is_empty() && !known.insert(full) {
                    errors.push(name.duplicate());
                }
                of_class(&alternative, errors);
            }
        }
    }
}

fn of_class(request: &Field<'_>, errors: &mut Errors) {
    let class = request.child("deviceClassName");
    if class.is_empty() {
        errors.push(class.required(""));
    } else {
        looks_like(&class, names::is_dns1123_subdomain, errors);
    }
    selectors(&request.child("selectors"), errors);
    let (mode, count) = (request.child("allocationMode"), request.child("count"));
    match mode.str() {
        "ExactCount" => {
            if count.i64().unwrap_or_default() <= 0 {
                errors.push(count.invalid("must be greater than zero"));
            }
        }
        "All" => {
            if count.i64().unwrap_or_default() != 0 {
                errors.push(count.invalid("must not be specified when allocationMode is 'All'"));
            }
        }
        _ => errors.push(unsupported(&mode, &["All", "ExactCount"])),
    }
}

/// The mistakes in a change of a claim or template: what it asks for stays.
pub(super) fn spec_stays(object: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    immutable(&object.child("spec"), &current["spec"], &mut errors);
    errors
}

/// The mistakes of a ResourceSlice.
pub(super) fn slice(slice: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = slice.child("spec");
    required_like(&spec.child("driver"), names::is_dns1123_subdomain, &mut errors);
    let pool = spec.child("pool");
    let name = pool.child("name");
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        for part in name.str().split('/') {
            errors.extend(names::is_dns1123_subdomain(part).into_iter().map(|wrong| name.invalid(wrong)));
        }
    }
    let (count, generation) = (pool.child("resourceSliceCount"), pool.child("generation"));
    if count.i64().unwrap_or_default() <= 0 {
        errors.push(count.invalid("must be greater than zero"));
    }
    if generation.i64().is_some_and(|generation| generation < 0) {
        errors.push(generation.invalid("must be greater than or equal to zero"));
    }
    errors.extend(where_it_is(&spec));
    let devices = spec.child("devices");
    if devices.len() > MAX_DEVICES {
        errors.push(devices.too_many(MAX_DEVICES));
    }
    let mut seen = BTreeSet::new();
    for device in devices.items() {
        let name = device.child("name");
        required_like(&name, names::is_dns1123_label, &mut errors);
        if !name.is_empty() && !seen.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
    }
    errors
}

/// Which nodes have the devices is said in exactly one way.
fn where_it_is(spec: &Field<'_>) -> Option<FieldError> {
    let said = [
        ("nodeName", !spec.child("nodeName").is_empty()),
        ("perDeviceNodeSelection", spec.child("perDeviceNodeSelection").bool()),
        ("nodeSelector", !spec.child("nodeSelector").is_absent()),
        ("allNodes", spec.child("allNodes").bool()),
    ];
    let set: Vec<&str> = said.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    let rule = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.as_slice() {
        [] => Some(spec.required(rule)),
        [_] => None,
        _ => {
            let fields: Vec<String> = set.iter().map(|name| format!("`{name}`")).collect();
            Some(spec.invalid_value(format!("{{{}}}", fields.join(", ")), rule))
        }
    }
}

/// The mistakes in a change of a ResourceSlice: whose it is stays.
pub(super) fn slice_update(slice: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::slice(slice);
    let spec = slice.child("spec");
    for name in ["driver", "nodeName"] {
        immutable(&spec.child(name), &current["spec"][name], &mut errors);
    }
    immutable(&spec.child("pool").child("name"), &current["spec"]["pool"]["name"], &mut errors);
    errors
}
