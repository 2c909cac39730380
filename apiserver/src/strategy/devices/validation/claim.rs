//! What a claim may ask for.
//!
//! Upstream: pkg/apis/resource/validation/validation.go (ValidateResourceClaim, ValidateResourceClaimTemplate)
//! Left out: whether the namespace may ask for admin access, which its labels tell.

use std::collections::{BTreeMap, BTreeSet};

use api::{field::Field, names};
use serde_json::Value;

use super::{Age, MAX_CONFIGURATIONS, configuration, each, qualified_name, selectors, set};
use crate::{
    operations::metadata::{validate_annotations, validate_labels},
    strategy::validation::{Errors, required_like, unsupported},
};

const MAX_REQUESTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_CONSTRAINTS: usize = 32;

/// The mistakes of what a claim asks for.
pub(crate) fn spec(spec: &Field<'_>, errors: &mut Errors) {
    let devices = spec.child("devices");
    let known = RequestNames::of(devices.value);
    set(&devices.child("requests"), MAX_REQUESTS, name_of, errors, request);
    each(&devices.child("constraints"), MAX_CONSTRAINTS, errors, |each, errors| constraint(each, &known, errors));
    each(&devices.child("config"), MAX_CONFIGURATIONS, errors, |each, errors| {
        references(&each.child("requests"), &known, errors);
        configuration(each, Age::New, errors);
    });
}

/// The mistakes of the claims that are made from a template.
pub(crate) fn template(template: &Field<'_>, errors: &mut Errors) {
    let metadata = template.child("metadata");
    validate_annotations(&metadata.child("annotations"), errors);
    validate_labels(&metadata.child("labels"), errors);
    for (name, part) in metadata.value.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "labels" | "annotations") && !part.is_null() {
            errors.push(metadata.child(name).forbidden("cannot be set"));
        }
    }
    spec(&template.child("spec"), errors);
}

/// The requests of a claim by their names, with the names of their alternatives.
pub(super) struct RequestNames<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> RequestNames<'a> {
    /// Those of a claim's devices.
    pub(super) fn of(devices: &'a Value) -> RequestNames<'a> {
        let list = |value: &'a Value| value.as_array().into_iter().flatten();
        let name = |value: &'a Value| value["name"].as_str().unwrap_or_default();
        let requests = list(&devices["requests"]);
        RequestNames(requests.map(|each| (name(each), list(&each["firstAvailable"]).map(name).collect())).collect())
    }

    fn has(&self, reference: &str) -> bool {
        match reference.split_once('/') {
            None => self.0.contains_key(reference),
            Some((request, alternative)) => self.0.get(request).is_some_and(|all| all.contains(alternative)),
        }
    }
}

/// References to requests, each at most once.
pub(super) fn references(list: &Field<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    set(list, MAX_REQUESTS, |each| each.str().to_owned(), errors, |each, errors| reference(each, known, errors));
}

/// A reference to a request, or to one of its alternatives after a slash.
pub(super) fn reference(reference: &Field<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    let name = reference.str();
    let unknown =
        "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    if name.matches('/').count() > 1 {
        errors.push(reference.invalid_value(name, unknown));
        return;
    }
    for part in name.split('/') {
        let mistakes = names::is_dns1123_label(part);
        errors.extend(mistakes.into_iter().map(|wrong| reference.invalid_value(part, wrong)));
    }
    if !known.has(name) {
        errors.push(reference.invalid_value(name, unknown));
    }
}

fn name_of(item: &Field<'_>) -> String {
    item.child("name").str().to_owned()
}

fn name(field: &Field<'_>, errors: &mut Errors) {
    let mistakes = names::is_dns1123_label(field.str());
    errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(field.str(), wrong)));
}

/// A request is for devices of one class, or for the first of some alternatives.
fn request(request: &Field<'_>, errors: &mut Errors) {
    name(&request.child("name"), errors);
    let (exactly, first) = (request.child("exactly"), request.child("firstAvailable"));
    match (exactly.is_absent(), first.is_empty()) {
        (true, true) => errors.push(request.required("exactly one of `exactly` or `firstAvailable` is required")),
        (false, false) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(request.invalid_value(Value::Null, detail));
        }
        (false, true) => of_class(&exactly, errors),
        (true, false) => set(&first, MAX_ALTERNATIVES, name_of, errors, |alternative, errors| {
            name(&alternative.child("name"), errors);
            of_class(alternative, errors);
        }),
    }
}

fn of_class(request: &Field<'_>, errors: &mut Errors) {
    required_like(&request.child("deviceClassName"), names::is_dns1123_subdomain, errors);
    selectors(&request.child("selectors"), Age::New, errors);
    let (mode, field) = (request.child("allocationMode"), request.child("count"));
    let count = field.i64().unwrap_or_default();
    match mode.str() {
        "ExactCount" if count <= 0 => errors.push(field.invalid_value(count, "must be greater than zero")),
        "All" if count != 0 => {
            errors.push(field.invalid_value(count, "must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" | "All" => {}
        _ => errors.push(unsupported(&mode, &["All", "ExactCount"])),
    }
}

/// Some requests get devices that are alike in an attribute.
fn constraint(constraint: &Field<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    references(&constraint.child("requests"), known, errors);
    let attribute = constraint.child("matchAttribute");
    if attribute.is_absent() {
        errors.push(attribute.required(""));
        return;
    }
    qualified_name(&attribute, attribute.str(), errors);
    if !attribute.str().contains('/') {
        errors.push(attribute.invalid("a fully qualified name must be a domain and a name separated by a slash"));
    }
}
