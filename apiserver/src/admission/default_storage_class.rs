//! A claim that names no StorageClass gets the default one.
//!
//! Upstream: plugin/pkg/admission/storage/storageclass/setdefault/admission.go, pkg/volume/util/storageclass.go
//! Left out: nothing.

use std::cmp::Reverse;

use api::status::Status;
use serde_json::Value;

use super::{Admission, Operation, Request};
use crate::objects::Objects;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(super) struct DefaultStorageClass;

impl Admission for DefaultStorageClass {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let objects = request.objects;
        let Some(claim) = request.object_of(Operation::Create, "", "persistentvolumeclaims") else { return Ok(()) };
        // An empty name is a choice too: no class at all.
        let chosen = !claim["spec"]["storageClassName"].is_null()
            || claim["metadata"]["annotations"].get(CLASS_ANNOTATION).is_some();
        if !chosen && let Some(name) = default_class(objects) {
            claim["spec"]["storageClassName"] = name.into();
        }
        Ok(())
    }
}

/// The name of the default class; of several, the one made last, of those the first by name.
fn default_class(objects: &dyn Objects) -> Option<String> {
    let classes = objects.list("storage.k8s.io", "storageclasses", "");
    let values = classes.iter().map(|class| class.value());
    let defaults = values.filter(|class| {
        let annotations = &class["metadata"]["annotations"];
        DEFAULT_ANNOTATIONS.iter().any(|annotation| annotations[*annotation] == "true")
    });
    let text = |class: &Value, field: &str| class["metadata"][field].as_str().unwrap_or_default().to_owned();
    defaults.map(|class| (Reverse(text(&class, "creationTimestamp")), text(&class, "name"))).min().map(|(_, name)| name)
}
