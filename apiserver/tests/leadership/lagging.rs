//! A store whose log can be held back: whoever follows it is behind, as an API server on a slow network is.

use std::sync::Arc;

use futures::{StreamExt, future::BoxFuture};
use store::{Range, Revision, Snapshot, Store, StoreError, Txn, Watch};
use tokio::sync::watch;

pub struct Lagging {
    store: Arc<dyn Store>,
    is_held: watch::Sender<bool>,
    /// How many transactions were answered.
    answered: watch::Sender<usize>,
}

impl Lagging {
    pub fn new(store: Arc<dyn Store>) -> Lagging {
        Lagging { store, is_held: watch::Sender::new(false), answered: watch::Sender::new(0) }
    }

    /// From now on no commit is shown. What is returned shows them all, once one more transaction was answered.
    pub fn hold(&self) -> impl Future<Output = ()> {
        self.is_held.send_replace(true);
        let mut answered = self.answered.subscribe();
        async move {
            answered.changed().await.unwrap();
            self.is_held.send_replace(false);
        }
    }
}

impl Store for Lagging {
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
            self.answered.send_modify(|count| *count += 1);
            answer
        })
    }

    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        Box::pin(async move {
            let (log, is_held) = (self.store.watch(range, after).await?, self.is_held.subscribe());
            let late = log.then(move |commit| {
                let mut is_held = is_held.clone();
                async move {
                    let _ = is_held.wait_for(|is_held| !is_held).await;
                    commit
                }
            });
            Ok(Box::pin(late) as Watch)
        })
    }

    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.store.current()
    }

    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.compact(oldest)
    }
}
