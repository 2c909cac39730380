//! What can be done with the objects of a row: one module for each verb.
//!
//! Upstream: apiserver/pkg/endpoints/handlers, apiserver/pkg/registry/generic/registry/store.go
//! Left out: apply (server-side) and exports.

pub mod call;
pub mod component_status;
pub mod connect;
pub mod create;
pub mod delete;
pub mod eviction;
pub mod get;
pub mod list;
pub mod metadata;
pub mod options;
pub mod patch;
pub mod proxy;
pub mod subresource;
pub mod update;
pub mod watch;
pub mod write;
