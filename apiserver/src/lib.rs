//! The API server: one path for every request, one row for every kind.
//!
//! Upstream: apiserver, pkg/controlplane

pub mod attributes;
pub mod memory;
pub mod object;
pub mod registry;
pub mod request_info;
pub mod row;
pub mod rows;
pub mod strategy;
