//! PodDisruptionBudgets.
//!
//! Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{Generation, Strategy, filling::spec, keep_status};

use crate::row::Subresource;

pub(crate) struct DisruptionBudgets;

impl Strategy for DisruptionBudgets {
    fn defaults(&self, object: &mut Value) {
        spec(object);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] =
            json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::budget(object)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}
