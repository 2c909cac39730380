//! ReplicationControllers, and PodTemplates beside them.
//!
//! Upstream: pkg/registry/core/{replicationcontroller,podtemplate}/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_condition_times, lacks, object_or_empty},
    keep_status, pod_template,
};

use crate::row::Subresource;

pub(crate) struct ReplicationControllers;

impl Strategy for ReplicationControllers {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime"]);
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
        let spec = object_or_empty(fields, "spec");
        if !lacks(spec, "template") {
            pod_template::defaults(spec, "template");
        }
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

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::replication_controller(object)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        super::replica_set::validation::status(object)
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

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::template(object)
    }
}
