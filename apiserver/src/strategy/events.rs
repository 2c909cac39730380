//! Events, in their stored core form.
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
