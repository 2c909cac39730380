//! How a component talks to the API server: informer, cache, work queue, runner.
//!
//! An informer lists and watches one kind and keeps it in a [`Cache`]. A change in the cache adds a key to a
//! [`WorkQueue`]; the [`runner`] takes the key, asks the controller what it would do, and does it.
//! A learner reads `list_watch.rs`, `cache.rs`, `work_queue.rs`, `runner.rs` in this order.
//!
//! Upstream: client-go
//! Left out: typed clients and listers (kube's client has them), client-side rate limits (the server has its own).

mod action;
mod cache;
mod connect;
mod counted;
pub mod election;
mod fence;
mod gate;
mod informers;
mod list_watch;
mod metrics;
mod numbers;
mod object_key;
mod recorder;
pub mod runner;
mod service_accounts;
mod work_queue;

pub use action::{Action, Patch, Preconditions, Propagation, Target};
pub use cache::{Cache, Change};
pub use connect::{ConnectError, connect, connect_counted};
pub use counted::CountRequests;
pub use fence::Term;
pub use informers::{Informers, Metadata, Selector};
pub use metrics::Metrics;
pub use numbers::Numbers;
pub use object_key::ObjectKey;
pub use recorder::{EventType, Recorder};
pub use runner::{Controller, Plan, Runner, Watches};
pub use service_accounts::ClientSource;
pub use work_queue::WorkQueue;
