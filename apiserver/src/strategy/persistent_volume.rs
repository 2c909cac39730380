//! PersistentVolumes.
//!
//! Upstream: pkg/registry/core/persistentvolume/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use jiff::Timestamp;
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
        // The phase begins with the volume.
        let made = object["metadata"]["creationTimestamp"].clone();
        object["status"] = json!({"phase": "Pending"});
        if !made.is_null() {
            object["status"]["lastPhaseTransitionTime"] = made;
        }
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    /// The status says since when the phase is as it is, unless who writes it says that.
    fn stamp(&self, object: &mut Value, current: &Value, now: Timestamp) {
        let before = &current["status"];
        let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
        let phase = |phase: Option<&Value>| phase.and_then(Value::as_str).unwrap_or_default().to_owned();
        let stays = phase(status.get("phase")) == phase(before.get("phase"));
        let said = status.get("lastPhaseTransitionTime").filter(|time| !time.is_null());
        let since = match said {
            None if stays => before["lastPhaseTransitionTime"].clone(),
            None => api::time::to_seconds(now).into(),
            Some(said) if !stays && *said == before["lastPhaseTransitionTime"] => api::time::to_seconds(now).into(),
            Some(_) => return,
        };
        if !since.is_null() {
            status.insert("lastPhaseTransitionTime".to_owned(), since);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::volume(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}
