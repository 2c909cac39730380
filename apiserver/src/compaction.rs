//! How much history the store keeps: what is neither older than an hour nor behind the last gigabyte.
//!
//! Upstream: apiserver/pkg/storage/etcd3/compact.go (every five minutes, by time alone)
//! Left out: agreeing on who compacts; every API server does, and to compact less than before changes nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use store::{Revision, Store};
use tokio::time::{Instant, MissedTickBehavior};

use crate::memory::Memory;

/// Which part of history is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub age: Duration,
    /// Counted as the keys and values that were written since.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { age: Duration::from_secs(3600), bytes: 1 << 30 }
    }
}

/// How often the log's position is noted. A timer, because age is what it looks at; the size limit is kept to what is
/// written between two ticks.
const TICK: Duration = Duration::from_secs(5);
/// The store is asked only when this much of the age, or of the bytes, has passed since: compacting has a cost.
const STEPS: u32 = 64;

/// Where the log was at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    at: Instant,
    revision: Revision,
    /// Bytes logged up to then.
    logged: u64,
}

/// What was noted and is not yet out of the retention.
struct Window {
    retention: Retention,
    /// Oldest first.
    notes: VecDeque<Note>,
}

impl Window {
    /// Adds a note; the revision to compact to, if history has become too long.
    fn note(&mut self, note: Note) -> Option<Revision> {
        let (age, bytes) = (self.retention.age / STEPS, self.retention.bytes / u64::from(STEPS));
        let far = |last: &Note| note.at - last.at >= age || note.logged - last.logged >= bytes;
        if self.notes.back().is_none_or(far) {
            self.notes.push_back(note);
        }
        let outside =
            |old: &Note| note.at - old.at >= self.retention.age || note.logged - old.logged >= self.retention.bytes;
        let count = self.notes.iter().take_while(|old| outside(old)).count();
        self.notes.drain(..count).next_back().map(|old| old.revision)
    }
}

/// Compacts the store as time passes, until the server that reads it is gone.
pub(crate) async fn keep_short(memory: Weak<Memory>, store: Arc<dyn Store>, retention: Retention) {
    let mut window = Window { retention, notes: VecDeque::new() };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(memory) = memory.upgrade() else { return };
        let note = Note { at: Instant::now(), revision: memory.revision(), logged: memory.logged_bytes() };
        drop(memory);
        if let Some(oldest) = window.note(note) {
            match store.compact(oldest).await {
                Ok(()) => tracing::debug!(oldest = oldest.0, "history compacted"),
                Err(error) => tracing::warn!(%error, oldest = oldest.0, "history was not compacted; the next one is"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Op, Range, StoreError, Txn};

    fn check(notes: &[(u64, u64, u64)], expected: &[Option<u64>]) {
        let start = Instant::now();
        let retention = Retention { age: Duration::from_secs(640), bytes: 6400 };
        let mut window = Window { retention, notes: VecDeque::new() };
        let due = notes.iter().map(|(seconds, revision, logged)| {
            let at = start + Duration::from_secs(*seconds);
            window.note(Note { at, revision: Revision(*revision), logged: *logged }).map(|revision| revision.0)
        });
        assert_eq!(due.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn what_is_older_than_the_age_goes() {
        check(&[(0, 5, 0), (100, 6, 0), (639, 7, 0), (640, 8, 0), (740, 9, 0)], &[None, None, None, Some(5), Some(6)]);
    }

    #[tokio::test]
    async fn what_lies_behind_the_bytes_goes_at_once() {
        check(&[(0, 5, 0), (1, 6, 300), (2, 7, 6500), (3, 8, 7000)], &[None, None, Some(5), Some(6)]);
    }

    #[tokio::test]
    async fn notes_that_lie_close_are_one() {
        let retention = Retention { age: Duration::from_secs(640), bytes: 6400 };
        let mut window = Window { retention, notes: VecDeque::new() };
        let start = Instant::now();
        for second in 0..2000 {
            let at = start + Duration::from_secs(second);
            window.note(Note { at, revision: Revision(second), logged: second });
        }
        assert!(window.notes.len() <= STEPS as usize + 1, "{}", window.notes.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_later_history_is_gone_and_the_present_is_there() {
        let store: Arc<dyn Store> = Arc::new(store::Memory::new());
        let registry = crate::registry::Registry::new(crate::rows::rows());
        let memory = Arc::new(Memory::new(&registry, Vec::new()));
        let put = |value: &'static str| Txn {
            compares: vec![],
            ops: vec![Op::Put { key: "/a".into(), value: value.into(), ttl: None }],
        };
        let first = store.transact(put("1")).await.unwrap();
        let second = store.transact(put("2")).await.unwrap();
        drop(memory.load(&*store).await.unwrap());
        tokio::spawn(keep_short(Arc::downgrade(&memory), store.clone(), Retention::default()));
        tokio::time::sleep(Duration::from_secs(3500)).await;
        assert!(store.range(Range::all(), Some(first), None).await.is_ok(), "not before its time");
        tokio::time::sleep(Duration::from_secs(200)).await;
        let gone = store.range(Range::all(), Some(first), None).await;
        assert!(matches!(gone, Err(StoreError::Compacted { .. })), "{gone:?}");
        assert_eq!(store.range(Range::all(), Some(second), None).await.unwrap().items.len(), 1);
    }
}
