//! A watch over a history in this process: a cursor into the log, not a queue.
//!
//! Upstream: etcd's mvcc/watchable_store.go, whose watchers have a channel each and fall back to the log when slow
//! Left out: progress notifications; a reader knows the store's revision anyway.
//!
//! A watcher that doesn't read costs nothing, and can't lose an event: it goes on where it stood, or is told
//! `Compacted`.

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use futures::stream;
use tokio::sync::watch;

use crate::{Commit, Range, Revision, StoreError, Watch, history::History};

/// The most commits taken from the log under one lock.
const BATCH: usize = 256;

struct Cursor {
    history: Arc<RwLock<History>>,
    /// The store's current revision; its sender lives as long as the store is open.
    head: watch::Receiver<Revision>,
    range: Range,
    /// The log is read up to here.
    seen: Revision,
    ready: VecDeque<Commit>,
}

/// Follows the commits after `after` that touch `range`.
///
/// # Errors
/// `Compacted` and `Future`, like [`crate::Store::watch`].
pub(crate) fn follow(
    history: &Arc<RwLock<History>>,
    head: watch::Receiver<Revision>,
    range: Range,
    after: Revision,
) -> Result<Watch, StoreError> {
    let (oldest, current) = {
        let history = history.read().unwrap_or_else(PoisonError::into_inner);
        (history.oldest(), history.current())
    };
    let after = after.max(crate::history::EMPTY);
    if after < oldest {
        return Err(StoreError::Compacted { requested: after, oldest });
    }
    if after > current {
        return Err(StoreError::Future { requested: after, current });
    }
    let cursor = Cursor { history: history.clone(), head, range, seen: after, ready: VecDeque::new() };
    Ok(Box::pin(stream::try_unfold(cursor, |mut cursor| async {
        let commit = cursor.next().await?;
        Ok(Some((commit, cursor)))
    })))
}

impl Cursor {
    async fn next(&mut self) -> Result<Commit, StoreError> {
        loop {
            if let Some(commit) = self.ready.pop_front() {
                return Ok(commit);
            }
            self.head.borrow_and_update();
            let before = self.seen;
            let found = {
                let history = self.history.read().unwrap_or_else(PoisonError::into_inner);
                let (found, seen) = history.commits_after(self.seen, &self.range, BATCH)?;
                self.seen = seen;
                found
            };
            for commit in found {
                self.ready.push_back(commit.read(&self.range)?);
            }
            if self.seen == before {
                let closed = |_| StoreError::Unavailable("the store was closed".into());
                self.head.changed().await.map_err(closed)?;
            }
        }
    }
}
