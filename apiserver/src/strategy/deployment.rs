//! Deployments.
//!
//! Upstream: pkg/registry/apps/deployment/strategy.go, pkg/apis/apps/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_condition_times, fill_text, object_or_empty, spec},
    keep, keep_all_but, keep_status, pod_template,
};

use crate::row::Subresource;

pub(crate) struct Deployments;

impl Strategy for Deployments {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime", "lastUpdateTime"]);
        let Some(spec) = spec(object) else { return };
        fill(spec, "replicas", 1);
        let strategy = object_or_empty(spec, "strategy");
        fill_text(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            let rolling = object_or_empty(strategy, "rollingUpdate");
            fill(rolling, "maxUnavailable", "25%");
            fill(rolling, "maxSurge", "25%");
        }
        fill(spec, "revisionHistoryLimit", 10);
        fill(spec, "progressDeadlineSeconds", 600);
        pod_template::defaults(spec, "template");
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep(&mut object["metadata"], &current["metadata"], "labels");
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecOrAnnotationChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::deployment(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::status(object, current)
    }
}
