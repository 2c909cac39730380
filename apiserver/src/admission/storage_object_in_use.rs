//! Volumes and claims in use are not deleted: each gets a finalizer that a controller takes off when nobody uses it.
//!
//! Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection/admission.go
//! Left out: nothing.

use api::status::Status;
use serde_json::json;

use super::{Admission, Operation, Request};

pub(super) struct StorageObjectInUseProtection;

impl Admission for StorageObjectInUseProtection {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let finalizer = match (request.info.group.as_str(), request.info.resource.as_str()) {
            ("", "persistentvolumes") => "kubernetes.io/pv-protection",
            ("", "persistentvolumeclaims") => "kubernetes.io/pvc-protection",
            ("storage.k8s.io", "volumeattributesclasses") => "kubernetes.io/vac-protection",
            _ => return Ok(()),
        };
        let (group, resource) = (request.info.group.clone(), request.info.resource.clone());
        let Some(object) = request.object_of(Operation::Create, &group, &resource) else { return Ok(()) };
        match object["metadata"]["finalizers"].as_array_mut() {
            Some(finalizers) if finalizers.iter().any(|each| each == finalizer) => {}
            Some(finalizers) => finalizers.push(finalizer.into()),
            None => object["metadata"]["finalizers"] = json!([finalizer]),
        }
        Ok(())
    }
}
