//! What a ReplicationController and a PodTemplate may be.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateReplicationController, ValidatePodTemplate)
//! Left out: nothing.

use api::field::Field;

use crate::strategy::validation::{
    Errors, not_negative,
    pod_template::{lasting_pods, pod_template},
    required,
};

/// The mistakes of a ReplicationController.
pub(super) fn replication_controller(controller: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = controller.child("spec");
    not_negative(&spec.child("minReadySeconds"), &mut errors);
    let selector = spec.child("selector");
    required(&selector, &mut errors);
    not_negative(&spec.child("replicas"), &mut errors);
    let template = spec.child("template");
    if template.is_absent() {
        errors.push(template.required(""));
        return errors;
    }
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    let matches = selector.entries().all(|(key, value)| labels.key(key).value == value.value);
    if !selector.is_empty() && !matches {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    pod_template(&template, &mut errors);
    lasting_pods(&template, "ReplicationController", &mut errors);
    errors
}

/// The mistakes of a PodTemplate.
pub(super) fn template(object: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    pod_template(&object.child("template"), &mut errors);
    errors
}
