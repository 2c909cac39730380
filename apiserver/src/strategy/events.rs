//! Events, in their stored core form. What is sent to events.k8s.io/v1 must fit more rules than what is sent to core/v1.
//!
//! Upstream: pkg/registry/core/event/strategy.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{
    Strategy,
    filling::{fill, object_or_empty},
};

/// As core/v1 has them.
pub(crate) struct Events;

impl Strategy for Events {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        object_or_empty(fields, "source");
        fill(fields, "reportingComponent", "");
        fill(fields, "reportingInstance", "");
        for time in ["eventTime", "firstTimestamp", "lastTimestamp"] {
            fill(fields, time, Value::Null);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::event(object)
    }
}

/// As events.k8s.io/v1 has them; only what may be is its own.
pub(crate) struct NewEvents;

impl Strategy for NewEvents {
    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::new_event(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::new_event_update(object, current)
    }
}
