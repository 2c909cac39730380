//! The kinds of resource.k8s.io: device classes, claims and their templates, and slices.
//!
//! Upstream: pkg/registry/resource/*/strategy.go, pkg/apis/resource/v1/defaults.go
//! Left out: whether a namespace may ask for admin access, which its labels tell.

mod gates;
mod validation;

use std::collections::BTreeSet;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{Fields, fill_number, fill_text, object_in, objects_in, spec},
    keep, keep_metadata, keep_status,
};
use crate::row::Subresource;

pub(crate) struct DeviceClasses;

impl Strategy for DeviceClasses {
    fn defaults(&self, object: &mut Value) {
        spec(object);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        gates::drop_from_class(object);
    }

    fn prepare_for_update(&self, object: &mut Value, _: &Value) {
        gates::drop_from_class(object);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::class_update(object, current)
    }
}

pub(crate) struct Claims;

impl Strategy for Claims {
    fn defaults(&self, object: &mut Value) {
        if let Some(spec) = spec(object) {
            claim_defaults(spec);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
        gates::drop_from_claim(object.get_mut("spec"));
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
        gates::drop_from_claim(object.get_mut("spec"));
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep(object, current, "spec");
        keep_metadata(object, current);
        if let Some(status) = object.get_mut("status") {
            gates::drop_from_claim_status(status);
            drop_returned_devices(status, &current["status"]);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        validation::claim::spec(&object.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::spec_stays(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::claim_status::update(object, current)
    }
}

/// What drivers tell about devices goes when the claim gives the devices back: who writes the allocation may not know
/// of it.
fn drop_returned_devices(status: &mut Value, before: &Value) {
    let allocated = |status: &Value| -> BTreeSet<String> {
        let results = status.pointer("/allocation/devices/results").and_then(Value::as_array);
        results.into_iter().flatten().map(validation::claim_status::device_id).collect()
    };
    let returned = &allocated(before) - &allocated(status);
    let Some(fields) = status.as_object_mut() else { return };
    if let Some(devices) = fields.get_mut("devices").and_then(Value::as_array_mut) {
        devices.retain(|device| !returned.contains(&validation::claim_status::device_id(device)));
        if devices.is_empty() {
            fields.remove("devices");
        }
    }
}

pub(crate) struct ClaimTemplates;

impl Strategy for ClaimTemplates {
    fn defaults(&self, object: &mut Value) {
        if let Some(claim) = spec(object).and_then(|spec| object_in(spec, "spec")) {
            claim_defaults(claim);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        gates::drop_from_claim(object.pointer_mut("/spec/spec"));
    }

    fn prepare_for_update(&self, object: &mut Value, _: &Value) {
        gates::drop_from_claim(object.pointer_mut("/spec/spec"));
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        validation::claim::template(&object.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::spec_stays(object, current)
    }
}

pub(crate) struct Slices;

impl Strategy for Slices {
    fn prepare_for_create(&self, object: &mut Value) {
        gates::drop_from_slice(object);
    }

    fn prepare_for_update(&self, object: &mut Value, _: &Value) {
        gates::drop_from_slice(object);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::slice::slice(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::slice::update(object, current)
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        let driver = object["spec"]["driver"].as_str().unwrap_or_default();
        let has_capitals = driver.chars().any(char::is_uppercase);
        let warning =
            || format!("spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters");
        has_capitals.then(warning).into_iter().collect()
    }
}

/// A request is for one device, exactly, unless it says otherwise.
fn claim_defaults(spec: &mut Fields) {
    let Some(devices) = object_in(spec, "devices") else { return };
    for request in objects_in(devices, "requests") {
        if let Some(exactly) = object_in(request, "exactly") {
            count_defaults(exactly);
        }
        for alternative in objects_in(request, "firstAvailable") {
            count_defaults(alternative);
        }
    }
}

fn count_defaults(request: &mut Fields) {
    fill_text(request, "allocationMode", "ExactCount");
    if request["allocationMode"] == "ExactCount" {
        fill_number(request, "count", 1);
    }
}
