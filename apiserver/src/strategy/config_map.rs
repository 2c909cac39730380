//! ConfigMaps.
//!
//! Upstream: pkg/registry/core/configmap/strategy.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::Strategy;

pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {
    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::config_map(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}
