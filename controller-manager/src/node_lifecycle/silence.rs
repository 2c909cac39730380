//! Measures for how long a node has been silent.
//!
//! What counts is when we saw a heartbeat change, by our own steady clock: neither the node's clock nor a jump of ours
//! can make a node look dead.
//!
//! Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go (nodeHealthData)
//! Left out: nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::nodes;

/// What a node said last: the renewal of its Lease, and the heartbeat in its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heartbeat {
    renewed: Option<Timestamp>,
    posted: Option<Timestamp>,
}

/// When each node was last heard.
#[derive(Default)]
pub struct Silence {
    heard: Mutex<FxHashMap<String, (Heartbeat, Instant)>>,
}

impl Silence {
    /// Notes what the node says now, and tells how long it has been saying the same.
    pub fn of(&self, node: &Node, lease: Option<&Lease>) -> Duration {
        let renewed = lease.and_then(|lease| lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0));
        let posted = nodes::condition(node, "Ready").and_then(|ready| ready.last_heartbeat_time.as_ref());
        let heartbeat = Heartbeat { renewed, posted: posted.map(|time| time.0) };
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, since) = heard.entry(nodes::name(node).to_owned()).or_insert((heartbeat, now));
        if *last != heartbeat {
            // What we wrote ourselves when the node fell silent is no sign of life; the kubelet's time is in it still.
            (*last, *since) = (heartbeat, now);
        }
        now.duration_since(*since)
    }

    /// Whether nothing was heard of a node of this name yet.
    pub fn is_new(&self, name: &str) -> bool {
        !self.heard.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// The node is gone: one that comes back under its name starts anew.
    pub fn forget(&self, name: &str) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}
