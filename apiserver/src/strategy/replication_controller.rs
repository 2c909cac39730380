//! ReplicationControllers, and PodTemplates beside them.
//!
//! Upstream: pkg/registry/core/{replicationcontroller,podtemplate}/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, lacks, object_or_empty},
    keep_status, pod_template,
};

pub(crate) struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        let spec = object_or_empty(fields, "spec");
        fill(spec, "replicas", 1);
        let labels = spec.get("template").map(|template| template["metadata"]["labels"].clone());
        if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty())) {
            if lacks(spec, "selector") {
                spec.insert("selector".to_owned(), labels.clone());
            }
            let metadata = object_or_empty(fields, "metadata");
            if lacks(metadata, "labels") {
                metadata.insert("labels".to_owned(), labels);
            }
        }
        pod_template::defaults(object_or_empty(fields, "spec"), "template");
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"replicas": 0});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }
}

pub(crate) struct PodTemplates;

impl Strategy for PodTemplates {
    fn defaults(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            pod_template::defaults(fields, "template");
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }
}
