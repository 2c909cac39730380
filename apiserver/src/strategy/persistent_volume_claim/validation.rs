//! What a claim may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePersistentVolumeClaim and its updates)
//! Left out: the diff in the message about immutable fields.

use api::{field::Field, names, object::Object as _};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, immutable, looks_like, optional_one_of, required,
    resources::{amount, class_name, positive_amount, quantity},
    same,
    selectors::label_selector,
    volume_sources::capacity,
};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Checks how a volume may be mounted; `detail` says what is missing when nothing is given.
pub(crate) fn access_modes(modes: &Field<'_>, detail: &str, errors: &mut Errors) {
    if modes.is_empty() {
        errors.push(modes.required(detail));
    }
    let (mut alone, mut other) = (false, false);
    for mode in modes.items() {
        let known = ACCESS_MODES.contains(&mode.str());
        if !known {
            let at_list = api::field::FieldError { field: modes.path(), ..mode.not_supported(&ACCESS_MODES) };
            errors.push(at_list);
        }
        alone |= mode.str() == "ReadWriteOncePod";
        other |= known && mode.str() != "ReadWriteOncePod";
    }
    if alone && other {
        errors.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// Checks the spec of a claim, be it an object or the template of one.
pub(crate) fn spec(spec: &Field<'_>, errors: &mut Errors) {
    access_modes(&spec.child("accessModes"), "at least 1 access mode is required", errors);
    label_selector(&spec.child("selector"), errors);
    let resources = spec.child("resources");
    let requests = resources.value.get("requests").unwrap_or(&Value::Null);
    let at = spec.alias("resources", requests);
    let storage = at.key("storage");
    if storage.is_absent() {
        errors.push(storage.required(""));
    } else if positive_amount(&storage, errors) {
        amount(&storage, "storage", errors);
    }
    class_name(&spec.child("storageClassName"), errors);
    optional_one_of(&spec.child("volumeMode"), &["Block", "Filesystem"], errors);
    let (source, reference) = (spec.child("dataSource"), spec.child("dataSourceRef"));
    data_source(&source, errors);
    data_source(&reference, errors);
    if !source.is_absent() && !reference.is_absent() {
        let elsewhere = !reference.child("namespace").is_empty();
        let same = ["apiGroup", "kind", "name"].iter().all(|name| source.value[name] == reference.value[name]);
        let shown = source.path();
        if elsewhere {
            errors.push(spec.invalid_value(shown, "may not be specified when dataSourceRef.namespace is specified"));
        } else if !same {
            errors.push(spec.invalid_value(shown, "must match dataSourceRef"));
        }
    }
    class_name(&spec.child("volumeAttributesClassName"), errors);
}

fn data_source(source: &Field<'_>, errors: &mut Errors) {
    if source.is_absent() {
        return;
    }
    required(&source.child("name"), errors);
    required(&source.child("kind"), errors);
    let group = source.child("apiGroup");
    if group.is_empty() && source.child("kind").str() != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(source.invalid_value(source.child("kind").str(), detail));
    }
    if !group.is_empty() {
        looks_like(&group, names::is_dns1123_subdomain, errors);
    }
    let namespace = source.child("namespace");
    if !namespace.is_empty() {
        looks_like(&namespace, names::is_dns1123_label, errors);
    }
}

/// The mistakes of a claim.
pub(super) fn claim(claim: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    spec(&claim.child("spec"), &mut errors);
    errors
}

/// The mistakes in a change: once bound a claim may grow, and little else may change.
pub(super) fn update(claim: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::claim(claim);
    let spec = claim.child("spec");
    let before = &current["spec"];
    let mut now = spec.value.clone();
    let mut then = before.clone();
    if then["volumeName"].as_str().unwrap_or_default().is_empty() {
        crate::strategy::keep(&mut then, &now, "volumeName");
    }
    let annotation = current.annotation(OLD_CLASS);
    if claim.value.annotation(OLD_CLASS) != annotation {
        let metadata = claim.child("metadata");
        let annotations = metadata.child("annotations");
        errors.push(annotations.key(OLD_CLASS).invalid("field is immutable"));
    }
    let class_given_late = before["storageClassName"].is_null()
        && now["storageClassName"].as_str().is_some_and(|class| annotation.is_none_or(|old| old == class));
    if class_given_late {
        crate::strategy::keep(&mut now, before, "storageClassName");
    }
    if claim.value["status"]["phase"] == "Bound" {
        if now["resources"]["requests"].is_object() {
            crate::strategy::keep(&mut now["resources"]["requests"], &before["resources"]["requests"], "storage");
        }
        if !now["volumeAttributesClassName"].is_null() {
            crate::strategy::keep(&mut now, before, "volumeAttributesClassName");
        }
    }
    if !same(&now, &then) {
        errors.push(spec.forbidden(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\n",
        ));
    }
    shrinking(&spec, current, &mut errors);
    let mode = claim.alias("volumeMode", spec.value.get("volumeMode").unwrap_or(&Value::Null));
    immutable(&mode, &before["volumeMode"], &mut errors);
    let class = spec.child("volumeAttributesClassName");
    if !before["volumeAttributesClassName"].is_null() {
        if class.is_absent() {
            errors.push(class.forbidden("update from non-nil value to nil is forbidden"));
        } else if class.is_empty() {
            errors.push(class.forbidden("update from non-nil value to an empty string is forbidden"));
        }
    }
    errors
}

/// A request may shrink only to recover from an expansion that failed: never to what the volume already has.
fn shrinking(spec: &Field<'_>, current: &Value, errors: &mut Errors) {
    let amount = |value: &Value| quantity(&Field::root(value));
    let resources = spec.child("resources");
    let requests = resources.child("requests");
    let storage = requests.child("storage");
    let before = &current["spec"]["resources"]["requests"]["storage"];
    if amount(storage.value) < amount(before)
        && amount(storage.value) <= amount(&current["status"]["capacity"]["storage"])
    {
        errors.push(storage.forbidden("field can not be less than status.capacity"));
    }
}

/// The mistakes in a change of a claim's status.
pub(super) fn status(claim: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = claim.child("status");
    for (_, amount) in status.child("capacity").entries() {
        capacity(&amount, &mut errors);
    }
    for (_, amount) in status.child("allocatedResources").entries() {
        capacity(&amount, &mut errors);
    }
    errors
}
