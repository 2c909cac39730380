//! PersistentVolumes.
//!
//! Upstream: pkg/registry/core/persistentvolume/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: status.lastPhaseTransitionTime, which needs a clock.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{canonical_quantities, fill, fill_text, object_or_empty},
    keep_status, pod,
};

pub(crate) struct Volumes;

impl Strategy for Volumes {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        fill_text(object_or_empty(fields, "status"), "phase", "Pending");
        let spec = object_or_empty(fields, "spec");
        fill_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill(spec, "volumeMode", "Filesystem");
        canonical_quantities(spec, "capacity");
        pod::defaults::volume_source(spec);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"phase": "Pending"});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::volume(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}
