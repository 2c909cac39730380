//! FlowSchemas and PriorityLevelConfigurations.
//!
//! Upstream: pkg/registry/flowcontrol/*/strategy.go, pkg/apis/flowcontrol/v1/defaults.go
//! Left out: the mandatory objects are made again when the server starts, not as soon as they are deleted.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_number, object_in, object_or_empty, spec},
    keep_all_but, keep_metadata, keep_status,
};
use crate::row::Subresource;

pub(crate) struct FlowSchemas;

impl Strategy for FlowSchemas {
    fn defaults(&self, object: &mut Value) {
        if let Some(spec) = spec(object) {
            fill_number(spec, "matchingPrecedence", 1000);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::flow_schema(object)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

pub(crate) struct PriorityLevels;

impl Strategy for PriorityLevels {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        if spec.get("type").is_some_and(|kind| kind == "Exempt") {
            let exempt = object_or_empty(spec, "exempt");
            fill(exempt, "nominalConcurrencyShares", 0);
            fill(exempt, "lendablePercent", 0);
        }
        let Some(limited) = object_in(spec, "limited") else { return };
        fill(limited, "nominalConcurrencyShares", 30);
        fill(limited, "lendablePercent", 0);
        let queuing = object_in(limited, "limitResponse").and_then(|response| object_in(response, "queuing"));
        if let Some(queuing) = queuing {
            fill_number(queuing, "queues", 64);
            fill_number(queuing, "handSize", 8);
            fill_number(queuing, "queueLengthLimit", 50);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::priority_level(object)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}
