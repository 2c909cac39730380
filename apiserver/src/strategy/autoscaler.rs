//! HorizontalPodAutoscalers, in autoscaling/v2.
//!
//! Upstream: pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go, pkg/apis/autoscaling/v2/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{Fields, fill, fill_condition_times, fill_text, lacks, object_in, object_or_empty, spec},
    keep_status,
};
use crate::row::Subresource;

pub(crate) struct Autoscalers;

impl Strategy for Autoscalers {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime"]);
        let Some(spec) = spec(object) else { return };
        fill(spec, "minReplicas", 1);
        if lacks(spec, "metrics") {
            let target = json!({"type": "Utilization", "averageUtilization": 80});
            spec.insert(
                "metrics".to_owned(),
                json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]),
            );
        }
        if let Some(behavior) = object_in(spec, "behavior") {
            let up = json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]);
            rules(behavior, "scaleUp", up);
            fill(object_or_empty(behavior, "scaleUp"), "stabilizationWindowSeconds", 0);
            rules(behavior, "scaleDown", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"desiredReplicas": 0, "currentMetrics": null});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::autoscaler(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

/// How fast to scale in one direction, where nothing is said.
fn rules(behavior: &mut Fields, direction: &str, policies: Value) {
    let rules = object_or_empty(behavior, direction);
    fill_text(rules, "selectPolicy", "Max");
    // A list that is there and empty is a mistake, and stays for validation to see.
    fill(rules, "policies", policies);
}
