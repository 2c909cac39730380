//! The API server: one path for every request, one row for every kind.
//!
//! Upstream: apiserver, pkg/controlplane

pub mod admission;
pub mod allocation;
pub mod answer;
pub mod attributes;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod body;
mod bootstrap;
mod capacity;
mod compaction;
pub mod core;
pub mod discovery;
mod event_budget;
pub mod flags;
pub mod kubelet_client;
mod leadership;
pub mod memory;
pub mod metrics;
pub mod object;
pub mod objects;
pub mod operations;
pub(crate) mod pem;
pub(crate) mod pod_references;
pub mod quota;
pub mod registry;
pub mod request_info;
pub mod row;
pub mod rows;
pub mod selection;
pub mod server;
pub mod service;
pub mod strategy;
pub mod table;
