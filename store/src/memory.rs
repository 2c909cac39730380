//! The store in memory: the reference for the other two, for tests and for clusters that nobody will miss.
//!
//! Upstream: none (Kubernetes' tests start an etcd)
//! Left out: any durability.
//!
//! A transaction commits inline, in the caller's task, under one lock; the only task of its own sleeps until the
//! next TTL is over, and there is none while no key has a TTL. So tests on paused time behave.

use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    Range, Revision, Snapshot, Store, StoreError, Txn, Watch,
    follow::follow,
    history::{EMPTY, History, Write},
    transaction::{Change, evaluate},
};

/// A store that is gone with its process.
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    history: Arc<RwLock<History>>,
    head: watch::Sender<Revision>,
    expiry: std::sync::Mutex<Expiry>,
}

/// The task that deletes keys whose time is up.
#[derive(Default)]
struct Expiry {
    /// Where the clock of the deadlines starts: at the first TTL.
    started: Option<Instant>,
    /// Wakes the running task because an earlier deadline came; `None` while no task runs.
    running: Option<Arc<Notify>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

impl Memory {
    /// An empty store at revision 1.
    pub fn new() -> Memory {
        let history = Arc::new(RwLock::new(History::beginning_at(EMPTY, usize::MAX)));
        let head = watch::Sender::new(EMPTY);
        Memory { inner: Arc::new(Inner { history, head, expiry: Default::default() }) }
    }
}

impl Store for Memory {
    fn range(
        &self,
        range: Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        async move { self.inner.read().range(&range, at, limit)?.read() }.boxed()
    }

    fn transact(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { self.inner.transact(&txn) }.boxed()
    }

    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        async move { follow(&self.inner.history, self.inner.head.subscribe(), range, after) }.boxed()
    }

    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { Ok(self.inner.read().current()) }.boxed()
    }

    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.inner.history().compact(oldest) }.boxed()
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, History> {
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> RwLockWriteGuard<'_, History> {
        self.history.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn transact(self: &Arc<Self>, txn: &Txn) -> Result<Revision, StoreError> {
        let mut history = self.history();
        let changes = evaluate(txn, |key| history.present(key))?;
        if changes.is_empty() {
            return Ok(history.current());
        }
        let mut expires = false;
        let mut write = |Change { key, value, ttl }| {
            expires |= ttl.is_some();
            Write { key, value, place: None, expires_ms: ttl.map(|ttl| self.deadline_ms(ttl)) }
        };
        let writes = changes.into_iter().map(&mut write).collect();
        let revision = history.apply(writes);
        self.head.send_replace(revision);
        drop(history);
        if expires {
            self.arm();
        }
        Ok(revision)
    }

    fn expiry(&self) -> std::sync::MutexGuard<'_, Expiry> {
        self.expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment `ttl` from now, rounded up to a whole millisecond, so that no key goes early.
    fn deadline_ms(&self, ttl: Duration) -> u64 {
        let now = Instant::now();
        let since = now - *self.expiry().started.get_or_insert(now) + ttl;
        u64::try_from(since.as_millis() + 1).unwrap_or(u64::MAX)
    }

    /// Starts the expiry task, or tells it that there is a new deadline.
    fn arm(self: &Arc<Self>) {
        let mut expiry = self.expiry();
        if let Some(wake) = &expiry.running {
            wake.notify_one();
            return;
        }
        let started = *expiry.started.get_or_insert_with(Instant::now);
        let wake = Arc::new(Notify::new());
        expiry.running = Some(wake.clone());
        tokio::spawn(expire(Arc::downgrade(self), started, wake));
    }

    /// Deletes what is due, each key at a revision of its own; the next deadline, or `None` when the task may end.
    fn delete_expired(&self, started: Instant) -> Option<u64> {
        let mut history = self.history();
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        for key in history.expired(now_ms) {
            let revision = history.apply(vec![Write { key, value: None, place: None, expires_ms: None }]);
            self.head.send_replace(revision);
        }
        let next = history.next_deadline_ms();
        if next.is_none() {
            self.expiry().running = None;
        }
        next
    }
}

async fn expire(store: Weak<Inner>, started: Instant, wake: Arc<Notify>) {
    loop {
        let Some(deadline_ms) = store.upgrade().and_then(|store| store.delete_expired(started)) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(started + Duration::from_millis(deadline_ms)) => {}
            () = wake.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, contract};
    use futures::StreamExt;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn memory_keeps_the_contract() {
        contract::check(|| async { Memory::new() }).await;
    }

    #[tokio::test]
    async fn an_earlier_deadline_that_comes_later_is_met_first() {
        let store = Memory::new();
        let put = |key: &'static str, ttl_ms| Op::Put {
            key: key.into(),
            value: "v".into(),
            ttl: Some(Duration::from_millis(ttl_ms)),
        };
        let began = Instant::now();
        store.transact(Txn { compares: vec![], ops: vec![put("late", 200)] }).await.unwrap();
        let written = store.transact(Txn { compares: vec![], ops: vec![put("early", 20)] }).await.unwrap();
        let mut watch = store.watch(Range::all(), written).await.unwrap();
        for (key, ttl_ms) in [("early", 20), ("late", 200)] {
            let commit = watch.next().await.unwrap().unwrap();
            assert_eq!(&commit.events[0].key[..], key.as_bytes());
            assert!(began.elapsed() >= Duration::from_millis(ttl_ms), "{key} after {:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn a_commit_stands_in_every_watch_before_transact_returns() {
        let store = Memory::new();
        let mut watch = store.watch(Range::all(), EMPTY).await.unwrap();
        let op = Op::Put { key: "a".into(), value: "v".into(), ttl: None };
        let revision = store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap();
        assert_eq!(watch.next().now_or_never().unwrap().unwrap().unwrap().revision, revision);
    }

    #[tokio::test]
    async fn a_watch_ends_when_the_store_is_dropped() {
        let store = Memory::new();
        let mut watch = store.watch(Range::all(), EMPTY).await.unwrap();
        drop(store);
        assert!(matches!(watch.next().await, Some(Err(StoreError::Unavailable(_)))));
        assert!(watch.next().await.is_none());
    }
}
