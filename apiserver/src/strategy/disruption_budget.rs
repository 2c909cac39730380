//! PodDisruptionBudgets.
//!
//! Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{Generation, Strategy, keep_status};

pub(crate) struct DisruptionBudgets;

impl Strategy for DisruptionBudgets {
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
}
