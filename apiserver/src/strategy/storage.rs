//! The kinds of storage.k8s.io.
//!
//! Upstream: pkg/registry/storage/*/strategy.go, pkg/apis/storage/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{canonical_quantities, canonical_quantity, fill, lacks, objects_in, spec},
    keep_all_but, keep_metadata, keep_status, pod,
};
use crate::row::Subresource;

pub(crate) struct StorageClasses;

impl Strategy for StorageClasses {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        fill(fields, "reclaimPolicy", "Delete");
        fill(fields, "volumeBindingMode", "Immediate");
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::class_update(object, current)
    }
}

pub(crate) struct CsiDrivers;

impl Strategy for CsiDrivers {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        fill(spec, "attachRequired", true);
        fill(spec, "podInfoOnMount", false);
        fill(spec, "storageCapacity", false);
        fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        if lacks(spec, "volumeLifecycleModes") {
            spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
        }
        fill(spec, "requiresRepublish", false);
        fill(spec, "seLinuxMount", false);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::driver(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::driver_update(object, current)
    }
}

pub(crate) struct VolumeAttachments;

impl Strategy for VolumeAttachments {
    fn defaults(&self, object: &mut Value) {
        let inlined = object.pointer_mut("/spec/source/inlineVolumeSpec").and_then(Value::as_object_mut);
        let Some(volume) = inlined else { return };
        canonical_quantities(volume, "capacity");
        pod::defaults::volume_source(volume);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"attached": false});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::new_attachment(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::attachment_update(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::attachment_update(object, current)
    }
}

pub(crate) struct CsiNodes;

impl Strategy for CsiNodes {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        for driver in objects_in(spec, "drivers") {
            driver.entry("topologyKeys").or_insert(Value::Null);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::node(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::node_update(object, current)
    }
}

pub(crate) struct CsiStorageCapacities;

impl Strategy for CsiStorageCapacities {
    fn defaults(&self, object: &mut Value) {
        for name in ["capacity", "maximumVolumeSize"] {
            if let Some(quantity) = object.get_mut(name) {
                canonical_quantity(quantity);
            }
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::capacity(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::capacity_update(object, current)
    }
}

pub(crate) struct VolumeAttributesClasses;

impl Strategy for VolumeAttributesClasses {
    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::attributes_class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::attributes_class_update(object, current)
    }
}
