//! Leases.
//!
//! Upstream: pkg/registry/coordination/lease/strategy.go
//! Left out: coordinated leader election's fields.

use super::Strategy;

pub(crate) struct Leases;

impl Strategy for Leases {}
