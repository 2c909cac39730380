//! PriorityClasses and RuntimeClasses.
//!
//! Upstream: pkg/registry/{scheduling/priorityclass,node/runtimeclass}/strategy.go, pkg/apis/scheduling/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{
    Generation, Strategy,
    filling::{canonical_quantities, drop_false, fill, object_in},
};

pub(crate) struct PriorityClasses;

impl Strategy for PriorityClasses {
    fn defaults(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            fill(fields, "value", 0);
            drop_false(fields, "globalDefault");
            fill(fields, "preemptionPolicy", "PreemptLowerPriority");
        }
    }

    fn generation(&self) -> Generation {
        Generation::Once
    }

    fn forbids_delete(&self, name: &str) -> Option<&'static str> {
        let system = matches!(name, "system-cluster-critical" | "system-node-critical");
        system.then_some("this is a system priority class and cannot be deleted")
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::priority_class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::priority_class_update(object, current)
    }
}

pub(crate) struct RuntimeClasses;

impl Strategy for RuntimeClasses {
    fn defaults(&self, object: &mut Value) {
        if let Some(overhead) = object.as_object_mut().and_then(|fields| object_in(fields, "overhead")) {
            canonical_quantities(overhead, "podFixed");
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::runtime_class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::runtime_class_update(object, current)
    }
}
