//! ServiceAccounts.
//!
//! Upstream: pkg/registry/core/serviceaccount/strategy.go
//! Left out: nothing.

use super::Strategy;

pub(crate) struct ServiceAccounts;

impl Strategy for ServiceAccounts {}
