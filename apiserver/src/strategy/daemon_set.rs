//! DaemonSets.
//!
//! Upstream: pkg/registry/apps/daemonset/strategy.go, pkg/apis/apps/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::{
    field::{Field, FieldError},
    object::Object as _,
};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_condition_times, fill_text, object_or_empty, spec},
    keep_status, pod_template,
};

use crate::row::Subresource;

pub(crate) struct DaemonSets;

impl Strategy for DaemonSets {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime"]);
        let Some(spec) = spec(object) else { return };
        let strategy = object_or_empty(spec, "updateStrategy");
        fill_text(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            let rolling = object_or_empty(strategy, "rollingUpdate");
            fill(rolling, "maxUnavailable", 1);
            fill(rolling, "maxSurge", 0);
        }
        fill(spec, "revisionHistoryLimit", 10);
        pod_template::defaults(spec, "template");
    }

    fn prepare_for_create(&self, object: &mut Value) {
        let asked = template_generation(object);
        set_template_generation(object, asked.max(1));
        object["status"] = json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        });
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
        let before = template_generation(current);
        let changed = object["spec"]["template"] != current["spec"]["template"];
        set_template_generation(object, if changed { before + 1 } else { before });
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::daemon_set(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

/// Where apps/v1 keeps what was a field of older versions: how often the template has changed.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn template_generation(object: &Value) -> i64 {
    object.annotation(TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn set_template_generation(object: &mut Value, generation: i64) {
    object["metadata"]["annotations"][TEMPLATE_GENERATION] = generation.to_string().into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_of_the_template_is_kept_in_an_annotation() {
        let mut object = json!({"metadata": {}, "spec": {"template": {"a": 1}}});
        DaemonSets.prepare_for_create(&mut object);
        assert_eq!(template_generation(&object), 1);
        let current = object.clone();
        object["metadata"] = json!({});
        DaemonSets.prepare_for_update(&mut object, &current);
        assert_eq!(template_generation(&object), 1);
        object["spec"]["template"]["a"] = 2.into();
        DaemonSets.prepare_for_update(&mut object, &current);
        assert_eq!(template_generation(&object), 2);
    }
}
