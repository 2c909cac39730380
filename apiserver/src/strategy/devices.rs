//! The kinds of resource.k8s.io: device classes, claims and their templates, and slices.
//!
//! Upstream: pkg/registry/resource/*/strategy.go, pkg/apis/resource/v1/defaults.go
//! Left out: the time that upstream stamps taints of devices with; what feature gates that are off would add.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{Fields, fill, fill_number, fill_text, object_in, objects_in, spec},
    keep, keep_metadata, keep_status,
};

pub(crate) struct DeviceClasses;

impl Strategy for DeviceClasses {
    fn defaults(&self, object: &mut Value) {
        spec(object);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::class(object)
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
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: crate::row::Subresource, object: &mut Value, current: &Value) {
        keep(object, current, "spec");
        keep_metadata(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        validation::claim_spec(&object.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::spec_stays(object, current)
    }
}

pub(crate) struct ClaimTemplates;

impl Strategy for ClaimTemplates {
    fn defaults(&self, object: &mut Value) {
        if let Some(claim) = spec(object).and_then(|spec| object_in(spec, "spec")) {
            claim_defaults(claim);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let template = object.child("spec");
        validation::claim_spec(&template.child("spec"), &mut errors);
        errors
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::spec_stays(object, current)
    }
}

pub(crate) struct Slices;

impl Strategy for Slices {
    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::slice(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::slice_update(object, current)
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
    for toleration in objects_in(request, "tolerations") {
        fill(toleration, "operator", "Equal");
    }
}
