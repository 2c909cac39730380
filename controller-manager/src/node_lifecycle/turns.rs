//! Lets pods be driven off one node at a time, with a pause between two nodes.
//!
//! Upstream: pkg/controller/nodelifecycle/scheduler/rate_limited_queue.go
//! Left out: bursts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::EVICTION_INTERVAL;

/// Each ill node has one turn, and keeps it until it is well.
#[derive(Default)]
pub struct Turns {
    turns: Mutex<FxHashMap<String, Instant>>,
}

impl Turns {
    /// How long the node must wait for its turn; `None` when that has come.
    pub fn wait(&self, node: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let next = turns.values().max().map_or(now, |last| (*last + EVICTION_INTERVAL).max(now));
        let turn = *turns.entry(node.to_owned()).or_insert(next);
        turn.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// The node is well, or gone.
    pub fn give_back(&self, node: &str) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
    }
}
