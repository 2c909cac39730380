//! Leases.
//!
//! Upstream: pkg/registry/coordination/lease/strategy.go
//! Left out: coordinated leader election's fields.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{Strategy, filling::spec};

pub(crate) struct Leases;

impl Strategy for Leases {
    fn defaults(&self, object: &mut Value) {
        spec(object);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::lease(object)
    }
}
