//! A store in which something else happens right after a transaction, before who sent it hears of it.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use store::{Range, Revision, Snapshot, Store, StoreError, Txn, Watch};

pub struct Interrupted {
    store: Arc<dyn Store>,
    next: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Interrupted {
    pub fn new(store: Arc<dyn Store>) -> Interrupted {
        Interrupted { store, next: Mutex::default() }
    }

    /// What happens after the next transaction.
    pub fn with(&self, next: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::pin(next));
    }
}

impl Store for Interrupted {
    fn range(
        &self,
        range: Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        self.store.range(range, at, limit)
    }

    fn transact(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async move {
            let answer = self.store.transact(txn).await;
            let next = self.next.lock().unwrap().take();
            if let Some(next) = next {
                next.await;
            }
            answer
        })
    }

    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        self.store.watch(range, after)
    }

    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.store.current()
    }

    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.compact(oldest)
    }
}
