//! How many Events are kept: a flood of them takes the place of older ones, not of anything else.
//!
//! Upstream: none; there Events have a store of their own if somebody gives them one (--etcd-servers-overrides)
//! Left out: a budget per namespace.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use store::{Compare, Op, Revision, Store, StoreError, Txn};
use tokio::sync::Notify;

use crate::{
    memory::{Memory, Observer, store_key},
    object::{Object, ObjectKey},
    row::Row,
};

/// About 50 MB of Events. A cluster of 100 busy pods makes some thousands in the hour that they live.
pub const MAX_EVENTS: usize = 50_000;

/// The Events that there are, by the revision of their last write.
pub struct EventBudget {
    limit: usize,
    kept: Mutex<BTreeMap<Revision, ObjectKey>>,
    exceeded: Notify,
}

impl EventBudget {
    pub fn new(limit: usize) -> EventBudget {
        EventBudget { limit, kept: Mutex::default(), exceeded: Notify::new() }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Revision, ObjectKey>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Event that has to go next, if there are too many.
    fn surplus(&self) -> Option<(Revision, ObjectKey)> {
        let kept = self.kept();
        let oldest = kept.first_key_value().filter(|_| kept.len() > self.limit)?;
        Some((*oldest.0, oldest.1.clone()))
    }

    /// Deletes the oldest Events for as long as there are too many, one transaction for each. Never ends.
    pub async fn keep(self: Arc<Self>, memory: Arc<Memory>, store: Arc<dyn Store>) {
        let Some(table) = memory.table("", "events") else { return std::future::pending().await };
        loop {
            let Some((revision, key)) = self.surplus() else {
                self.exceeded.notified().await;
                continue;
            };
            let key = store_key(&table.row, &key);
            let txn = Txn { compares: vec![Compare::Modified(key.clone(), revision)], ops: vec![Op::Delete { key }] };
            let deleted = match store.transact(txn).await {
                // It was written anew or went by itself; memory will show that.
                Err(StoreError::Conflict { .. }) => store.current().await,
                outcome => outcome,
            };
            let reached = match deleted {
                Ok(reached) => reached,
                Err(error) => {
                    tracing::warn!(%error, "an old Event was not deleted");
                    self.exceeded.notified().await;
                    continue;
                }
            };
            if memory.wait_for(reached).await.is_err() {
                self.exceeded.notified().await;
            }
        }
    }
}

impl Observer for EventBudget {
    fn observe(&self, row: &Row, before: Option<&Object>, after: Option<&Object>) {
        if row.plural != "events" || !row.group.is_empty() {
            return;
        }
        let mut kept = self.kept();
        if let Some(before) = before {
            kept.remove(&before.revision);
        }
        if let Some(after) = after {
            kept.insert(after.revision, after.key.clone());
        }
        if kept.len() > self.limit {
            self.exceeded.notify_one();
        }
    }
}
