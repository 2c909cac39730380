//! Leases.
//!
//! Upstream: pkg/registry/coordination/lease/strategy.go
//! Left out: coordinated leader election's fields.

pub(crate) mod validation;

use super::Strategy;
use api::field::{Field, FieldError};

pub(crate) struct Leases;

impl Strategy for Leases {
    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::lease(object)
    }
}
