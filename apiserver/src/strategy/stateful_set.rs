//! StatefulSets, and ControllerRevisions beside them.
//!
//! Upstream: pkg/registry/apps/{statefulset,controllerrevision}/strategy.go, pkg/apis/apps/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_condition_times, fill_text, object_or_empty, spec},
    keep_status,
    persistent_volume_claim::claim,
    pod_template,
};

use crate::row::Subresource;

pub(crate) struct StatefulSets;

impl Strategy for StatefulSets {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime"]);
        let Some(spec) = spec(object) else { return };
        fill_text(spec, "podManagementPolicy", "OrderedReady");
        let strategy = object_or_empty(spec, "updateStrategy");
        if strategy.get("type").is_none_or(|kind| kind == "") {
            fill_text(strategy, "type", "RollingUpdate");
            object_or_empty(strategy, "rollingUpdate");
        }
        if strategy["type"] == "RollingUpdate"
            && let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut)
        {
            fill(rolling, "partition", 0);
        }
        let retention = object_or_empty(spec, "persistentVolumeClaimRetentionPolicy");
        fill_text(retention, "whenDeleted", "Retain");
        fill_text(retention, "whenScaled", "Retain");
        fill(spec, "replicas", 1);
        fill(spec, "revisionHistoryLimit", 10);
        pod_template::defaults(spec, "template");
        for template in spec.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten() {
            claim(template);
            if let Some(fields) = template.as_object_mut() {
                fill_text(fields, "kind", "PersistentVolumeClaim");
                fill_text(fields, "apiVersion", "v1");
            }
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"replicas": 0, "availableReplicas": 0});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::stateful_set(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

pub(crate) struct ControllerRevisions;

impl Strategy for ControllerRevisions {
    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::revision(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::revision_update(object, current)
    }
}
