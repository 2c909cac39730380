//! How much history the store keeps: what was written in the last interval, and at most in the one before.
//!
//! Upstream: apiserver/pkg/storage/etcd3/compact.go
//! Left out: agreeing on who compacts. Each API server does, to what was there an interval ago by its own clock; to
//! compact less than before changes nothing.

use std::{sync::Arc, time::Duration};

use store::{Revision, Store};
use tokio::time::MissedTickBehavior;

/// Upstream's default of `--etcd-compaction-interval`.
pub const INTERVAL: Duration = Duration::from_secs(300);

/// Compacts `store` at the end of each `interval`; with zero never.
pub(crate) async fn compact_regularly(store: Arc<dyn Store>, interval: Duration) {
    if interval.is_zero() {
        return std::future::pending().await;
    }
    let mut compactor = Compactor { store, oldest: None };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        compactor.turn().await;
    }
}

struct Compactor {
    store: Arc<dyn Store>,
    /// Where the store was at the last turn.
    oldest: Option<Revision>,
}

impl Compactor {
    /// Ends an interval: history before its beginning goes. A failure is made up for at the next turn.
    async fn turn(&mut self) {
        let current = self.store.current().await;
        if let Some(oldest) = self.oldest {
            match self.store.compact(oldest).await {
                Ok(()) => tracing::debug!(oldest = oldest.0, "history compacted"),
                Err(error) => tracing::warn!(%error, oldest = oldest.0, "history was not compacted"),
            }
        }
        match current {
            Ok(current) => self.oldest = Some(current),
            Err(error) => tracing::warn!(%error, "the store's revision could not be read; less is compacted next"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use store::{Memory, Op, Range, StoreError, Txn};

    use super::*;

    /// Writes once in each of so many intervals; how many of the writes can still be read at their revision.
    async fn kept_after(intervals: usize) -> usize {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let mut compactor = Compactor { store: store.clone(), oldest: None };
        let mut written = Vec::new();
        for _ in 0..intervals {
            compactor.turn().await;
            let op = Op::Put { key: "/a".into(), value: "v".into(), ttl: None };
            written.push(store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap());
        }
        let mut kept = 0;
        for revision in written {
            match store.range(Range::all(), Some(revision), None).await {
                Ok(found) => {
                    assert_eq!(found.items.len(), 1);
                    kept += 1;
                }
                Err(StoreError::Compacted { .. }) => {
                    assert_eq!(kept, 0, "{revision} is gone, and one before it is not")
                }
                Err(error) => panic!("{error}"),
            }
        }
        kept
    }

    #[tokio::test]
    async fn the_last_interval_and_the_state_at_its_beginning_are_kept() {
        let mut kept = Vec::new();
        for intervals in 1..=6 {
            kept.push(kept_after(intervals).await);
        }
        // The write of this interval, that of the last one, and the one before, which was the state at its beginning.
        assert_eq!(kept, [1, 2, 3, 3, 3, 3]);
    }

    #[tokio::test]
    async fn an_interval_of_zero_keeps_everything() {
        assert!(compact_regularly(Arc::new(Memory::new()), Duration::ZERO).now_or_never().is_none());
    }
}
