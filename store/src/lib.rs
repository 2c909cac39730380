//! Ordered keys, revisions and watch: what the API server keeps its objects in.
//!
//! Upstream: apiserver/pkg/storage (interfaces.go) over etcd's KV, Watch and Lease services
//! Left out: versioned values (bytes are bytes here), transactions with branches on failure.
//!
//! Three back ends stand behind one trait and must pass one contract suite ([`contract`]): [`memory`], the reference;
//! [`embedded`], on disk; [`etcd`].

pub mod contract;
pub mod embedded;
pub mod etcd;
mod follow;
mod history;
pub mod memory;
mod transaction;

use std::{fmt, ops::Bound, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, future::BoxFuture};

pub use embedded::Embedded;
pub use memory::Memory;
pub use transaction::MAX_OPERATIONS;

/// A point in the history of the store: the number of the transaction. Strictly increasing, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key: bytes, compared as bytes. The API server writes `/registry/GROUP/RESOURCE/NAMESPACE/NAME`.
pub type Key = Bytes;

/// A half-open range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub start: Key,
    /// The first key that is not in the range; `None` is the end of the key space.
    pub end: Option<Key>,
}

impl Range {
    /// All keys.
    pub fn all() -> Range {
        Range { start: Key::new(), end: None }
    }

    /// Exactly one key.
    pub fn key(key: impl Into<Key>) -> Range {
        let start: Key = key.into();
        let mut end = start.to_vec();
        end.push(0);
        Range { start, end: Some(end.into()) }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Key>) -> Range {
        let start: Key = prefix.into();
        let mut end = start.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Range { start, end: Some(end.into()) };
            }
        }
        Range { start, end: None }
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && self.end.as_ref().is_none_or(|end| key < &end[..])
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| self.start >= *end)
    }

    /// The range as bounds for an ordered map, which refuses those of an empty range.
    pub fn bounds(&self) -> (Bound<Key>, Bound<Key>) {
        let end = self.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.start.clone()), end)
    }
}

/// A key with its value as of its last write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Key,
    pub value: Bytes,
    /// The transaction that wrote this value.
    pub modified: Revision,
}

/// What a range read saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision of the whole store that this is the state of.
    pub revision: Revision,
    /// In key order.
    pub items: Vec<KeyValue>,
    /// Whether `limit` cut the answer short.
    pub more: bool,
}

/// Compares, then writes, at one revision: all of it or nothing.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    /// Judged in order, before any ledger; at most [`MAX_OPERATIONS`].
    pub compares: Vec<Compare>,
    /// No key twice, at most [`MAX_OPERATIONS`]. A transaction that changes nothing (no operations, or only deletes of
    /// absent keys) takes no revision: its answer is the revision at which its compares held.
    pub ops: Vec<Op>,
}

/// A condition on the state that a transaction finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key has no value.
    Absent(Key),
    /// The key's value was written at exactly this revision.
    Modified(Key, Revision),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets a value. With a `ttl` the store deletes the key by itself that long after this write (on disk and in
    /// etcd: a little later), at a revision that no transaction has; in etcd, keys that were written within the same
    /// minute may go at the same one. Writing the key again replaces its `ttl` or, without one, ends it.
    Put { key: Key, value: Bytes, ttl: Option<Duration> },
    /// Removes a key; removing an absent one changes nothing.
    Delete { key: Key },
    /// Adds `delta` to a counter (a decimal number as text; absent is 0) and refuses the transaction with
    /// [`StoreError::Ceiling`] if it would grow past `ceiling` or fall below 0. Evaluated where transactions are put
    /// in order, so that two writers can't both take the last unit.
    Add { ledger: Key, delta: i64, ceiling: Option<i64> },
}

/// One key's change within a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: Key,
    /// The value after the transaction; `None` is a delete.
    pub value: Option<Bytes>,
    /// The value before it, where the back end has it at hand: live events of memory and embedded carry it always,
    /// history and etcd may not.
    pub previous: Option<Bytes>,
}

/// All changes of one transaction that fall into a watched range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub revision: Revision,
    /// In key order, never empty.
    pub events: Vec<Event>,
}

/// Commits in revision order. Ends with an error when the watch can't go on; after that the caller lists again.
pub type Watch = Pin<Box<dyn Stream<Item = Result<Commit, StoreError>> + Send>>;

/// Why the store did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A compare did not hold: someone else wrote first. Re-read and retry, or report the conflict.
    #[error("{key:?} is at revision {actual}")]
    Conflict {
        key: Key,
        /// The revision of the key's present value; 0 when it has none.
        actual: Revision,
    },
    /// A ledger has not that much left. The caller says which limit was reached.
    #[error("{ledger:?} is at {current} and can't take {delta} more")]
    Ceiling { ledger: Key, current: i64, delta: i64 },
    /// History before `oldest` is gone: the watcher must list again (HTTP 410 Expired).
    #[error("revision {requested} is compacted, oldest is {oldest}")]
    Compacted { requested: Revision, oldest: Revision },
    /// The revision lies in the future of this store.
    #[error("revision {requested} is not there yet, current is {current}")]
    Future { requested: Revision, current: Revision },
    /// No store could run this transaction: the caller's mistake.
    #[error("invalid transaction: {0}")]
    Invalid(String),
    /// The disk is full: reads and deletes still work.
    #[error("no space left for the store: {0}")]
    NoSpace(String),
    /// Nobody knows whether the write took place (a connection broke before the answer). Read before trying again.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The store can't be reached or has stopped; nothing was written.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The data on disk is damaged or belongs to something else; says where and what to do.
    #[error("{0}")]
    Corrupt(String),
}

/// Ordered keys with revisions, transactions and watch.
///
/// With [`memory`] and [`embedded`], a transaction's commit stands in every open watch's queue before
/// [`Store::transact`] returns, and [`Store::current`] is at least its revision.
pub trait Store: Send + Sync + 'static {
    /// Reads `range` at revision `at` (now, when `None`), at most `limit` keys.
    ///
    /// # Errors
    /// `Compacted` and `Future` when `at` is out of reach, `Unavailable`.
    fn range(
        &self,
        range: Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> BoxFuture<'_, Result<Snapshot, StoreError>>;

    /// Runs a transaction. The answer means it is on disk (memory: visible); its revision is returned.
    ///
    /// # Errors
    /// `Conflict`, `Ceiling`, `NoSpace`, `Unknown`, `Unavailable`. But for `Unknown`, an error means nothing changed.
    fn transact(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// The commits after `after` that touch `range`, first those of history, then live ones, without a gap. Revision 1
    /// is that of an empty store, so `after` 0 and 1 mean the same.
    ///
    /// # Errors
    /// `Compacted` when history does not reach back to `after`; `Future` when `after` lies ahead.
    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>>;

    /// A revision that is at least that of every transaction answered before this call: the linearization point of
    /// reads. At once with memory and embedded; a read of etcd, shared by concurrent callers, with etcd.
    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// Forgets what only reads before `oldest` need: a read at an earlier revision, and a watch after one, fail with
    /// `Compacted` from now on, open watches that have not got as far too. Compacting to less than before does nothing.
    ///
    /// # Errors
    /// `Future` when `oldest` lies ahead, `Unavailable`.
    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>>;
}
