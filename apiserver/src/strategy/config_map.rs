//! ConfigMaps.
//!
//! Upstream: pkg/registry/core/configmap/strategy.go
//! Left out: nothing.

use super::Strategy;

pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {}
