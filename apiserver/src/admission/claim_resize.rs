//! A claim grows only when it is bound and its class allows that.
//!
//! Upstream: plugin/pkg/admission/storage/persistentvolume/resize/admission.go
//! Left out: nothing.

use api::{object::Object as _, resources, status::Status};
use serde_json::Value;

use super::{Admission, Operation, Request};

pub(super) struct PersistentVolumeClaimResize;

impl Admission for PersistentVolumeClaimResize {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let is_update = request.operation == Operation::Update;
        if !is_update || request.subresource_of("", "persistentvolumeclaims") != Some("") {
            return Ok(());
        }
        let (Some(claim), Some(old)) = (&request.object, request.old) else { return Ok(()) };
        let size = |claim: &Value| resources::read(&claim["spec"]["resources"]["requests"]).remove("storage");
        if size(claim).unwrap_or_default() <= size(old).unwrap_or_default() {
            return Ok(());
        }
        if old["status"]["phase"] != "Bound" {
            return Err(request.forbidden("Only bound persistent volume claims can be expanded"));
        }
        if !class_allows(request, claim, old) {
            return Err(request.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                 support resize",
            ));
        }
        Ok(())
    }
}

fn class_allows(request: &Request<'_>, claim: &Value, old: &Value) -> bool {
    let class = |claim: &Value| {
        let beta = claim.annotation("volume.beta.kubernetes.io/storage-class");
        beta.or(claim["spec"]["storageClassName"].as_str()).unwrap_or_default().to_owned()
    };
    let (name, before) = (class(claim), class(old));
    if name.is_empty() || name != before {
        return false;
    }
    let found = request.objects.get("storage.k8s.io", "storageclasses", "", &name);
    found.is_some_and(|class| class.value()["allowVolumeExpansion"] == true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{admin, send};
    use super::*;
    use crate::objects::world::World;

    fn check(class: &str, phase: &str, storage: &str) -> Result<(), String> {
        let world = World::new([
            json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
            json!({"kind": "StorageClass", "metadata": {"name": "grows"}, "allowVolumeExpansion": true}),
            json!({"kind": "StorageClass", "metadata": {"name": "stays"}}),
        ]);
        let claim = |storage: &str| {
            json!({"metadata": {"name": "x"}, "status": {"phase": phase},
                "spec": {"storageClassName": class, "resources": {"requests": {"storage": storage}}}})
        };
        let path = "/persistentvolumeclaims/ns/x/";
        let sent = send(&world, &admin(), Operation::Update, path, Some(claim(storage)), Some(&claim("1Gi")));
        sent.map(drop).map_err(|why| why.replace("persistentvolumeclaims \"x\" is forbidden: ", ""))
    }

    #[test]
    fn only_bound_claims_of_classes_that_allow_it_grow() {
        assert_eq!(check("grows", "Bound", "2Gi"), Ok(()));
        assert_eq!(check("stays", "Bound", "1Gi"), Ok(()));
        let pending = "Only bound persistent volume claims can be expanded";
        assert_eq!(check("grows", "Pending", "2Gi"), Err(pending.to_owned()));
        let of_class = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
        for class in ["stays", "none", ""] {
            assert_eq!(check(class, "Bound", "2Gi"), Err(of_class.to_owned()));
        }
    }
}
