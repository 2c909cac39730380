//! The gate: a key is not planned again until the cache has seen what we wrote for it.
//!
//! Without it a controller that just created a pod, woken once more before its watch has told it so, would create a
//! second one.
//!
//! Upstream: pkg/controller/controller_utils.go (expectations, which count creations and deletions instead)
//! Left out: writes of which no cache of this process holds the whole kind: nothing is planned from those.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::{Client, Resource};
use tracing::warn;

use crate::action::{self, Written};
use crate::cache::{Cache, Shared};
use crate::{Action, Informers, ObjectKey};

/// How long a key waits for its own writes. A watch that is later than this is broken and being restarted.
const PATIENCE: Duration = Duration::from_secs(30);

/// One write that a cache is to see.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// The object, or its kind, got this far.
    UpTo { revision: u64 },
    /// The object of this uid is gone, or is marked as going.
    Deleted { key: ObjectKey, uid: Option<String> },
}

/// What the gate asks of a cache, whatever its kind.
pub(crate) trait Observed: Send + Sync {
    /// Ends when the cache has seen the write.
    fn seen(self: Arc<Self>, write: Write) -> BoxFuture<'static, ()>;
}

impl<K: Resource + Send + Sync + 'static> Observed for Shared<K> {
    fn seen(self: Arc<Self>, write: Write) -> BoxFuture<'static, ()> {
        let cache = Cache { shared: self };
        Box::pin(async move { cache.until(|cache| has_seen(cache, &write)).await })
    }
}

fn has_seen<K: Resource>(cache: &Cache<K>, write: &Write) -> bool {
    match write {
        Write::UpTo { revision } => cache.revision() >= *revision,
        Write::Deleted { key, uid } => cache.get(key).is_none_or(|object| {
            let meta = object.meta();
            meta.deletion_timestamp.is_some() || (uid.is_some() && meta.uid != *uid)
        }),
    }
}

/// The writes of one pass over one key.
#[derive(Default)]
pub(crate) struct Gate {
    waits: Vec<(Arc<dyn Observed>, Write)>,
}

impl Gate {
    /// Notes a write that succeeded.
    pub(crate) fn wrote(&mut self, informers: &Informers, action: &Action, written: &Written) {
        let Some(target) = action.target() else { return };
        let write = match action {
            Action::Delete { preconditions, .. } => Write::Deleted { key: target.key, uid: preconditions.uid.clone() },
            _ => match written.revision() {
                Some(revision) => Write::UpTo { revision },
                None => return,
            },
        };
        for cache in informers.observing(&target.resource.group, &target.resource.plural) {
            self.waits.push((cache, write.clone()));
        }
    }

    /// Notes a write of which we do not know whether it happened: one consistent read tells how far to wait.
    pub(crate) async fn unsure(&mut self, informers: &Informers, action: &Action, client: &Client) {
        let Some(target) = action.target().filter(|target| !target.key.name.is_empty()) else { return };
        match action::read(client, &target).await {
            Ok(Some(current)) if !matches!(action, Action::Delete { .. }) => self.wrote(informers, action, &current),
            Ok(_) => {}
            Err(error) => warn!(%error, "cannot read back {target}"),
        }
    }

    /// Waits until every write is in its cache.
    pub(crate) async fn open(self) {
        for (cache, write) in self.waits {
            if tokio::time::timeout(PATIENCE, cache.seen(write.clone())).await.is_err() {
                warn!(?write, "our own write did not come back within {PATIENCE:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

    use super::*;

    fn pod(uid: &str) -> Pod {
        let metadata = ObjectMeta { name: Some("a".into()), uid: Some(uid.into()), ..ObjectMeta::default() };
        Pod { metadata, ..Pod::default() }
    }

    #[test]
    fn a_write_is_seen_when_the_cache_is_at_its_revision() {
        let cache = Cache::of_objects([pod("1")]);
        assert!(!has_seen(&cache, &Write::UpTo { revision: 7 }));
        cache.shared.advance(7);
        assert!(has_seen(&cache, &Write::UpTo { revision: 7 }));
    }

    #[test]
    fn a_delete_is_seen_when_the_uid_has_left_or_is_leaving() {
        let delete = Write::Deleted { key: ObjectKey::cluster("a"), uid: Some("1".into()) };
        assert!(!has_seen(&Cache::of_objects([pod("1")]), &delete));
        assert!(has_seen(&Cache::of_objects([pod("2")]), &delete));
        assert!(has_seen(&Cache::<Pod>::of_objects([]), &delete));
        let mut leaving = pod("1");
        leaving.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(has_seen(&Cache::of_objects([leaving]), &delete));
    }
}
