//! The kinds of storage.k8s.io.
//!
//! Upstream: pkg/registry/storage/*/strategy.go, pkg/apis/storage/v1/defaults.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{fill, lacks, spec},
    keep_status,
};

pub(crate) struct StorageClasses;

impl Strategy for StorageClasses {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        fill(fields, "reclaimPolicy", "Delete");
        fill(fields, "volumeBindingMode", "Immediate");
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
}

pub(crate) struct VolumeAttachments;

impl Strategy for VolumeAttachments {
    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"attached": false});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }
}
