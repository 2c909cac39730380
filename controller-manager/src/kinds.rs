//! The kinds that the API server serves now, each with a cache of its objects' metadata.
//!
//! The garbage collector and the namespace controller work on kinds that nobody knew when they were written: those of
//! CustomResourceDefinitions and of aggregated API servers. When one of these changes, discovery is read again.
//!
//! Upstream: pkg/controller/garbagecollector (resource monitors), client-go/metadata
//! Left out: Events: nothing depends on one, and they end by themselves; reading discovery again on a timer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Cache, Change, Informers, Metadata};
use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use kube::Client;
use kube::api::ApiResource;
use kube::discovery::{self, Scope, verbs};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long one kind may keep all others from being worked on: an aggregated API server that does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The kinds whose change changes which kinds there are.
const DEFINING: [(&str, &str); 2] =
    [("apiextensions.k8s.io", "customresourcedefinitions"), ("apiregistration.k8s.io", "apiservices")];

/// One kind, in the version that the server prefers.
pub struct Kind {
    pub resource: ApiResource,
    pub namespaced: bool,
    pub cache: Cache<Metadata>,
}

/// What discovery said.
#[derive(Default)]
struct Discovered {
    kinds: BTreeMap<(String, String), Arc<Kind>>,
    /// The groups that could not be read, with the reason.
    failures: Vec<String>,
}

/// A shared handle on all kinds.
#[derive(Clone)]
pub struct Kinds {
    shared: Arc<Shared>,
}

struct Shared {
    informers: Informers,
    discovered: Mutex<Discovered>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Arc<Kind>>>>,
    ready: watch::Sender<bool>,
}

impl Kinds {
    pub fn new(informers: Informers) -> Self {
        let shared = Shared {
            informers,
            discovered: Mutex::default(),
            subscribers: Mutex::default(),
            ready: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The client that reads.
    pub fn client(&self) -> &Client {
        self.shared.informers.client()
    }

    /// All kinds that can be listed, watched and deleted.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        self.discovered().kinds.values().cloned().collect()
    }

    /// The groups that could not be discovered, with the reason of each.
    pub fn failures(&self) -> Vec<String> {
        self.discovered().failures.clone()
    }

    /// The kind that a reference names, whichever version it names.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let discovered = self.discovered();
        discovered.kinds.values().find(|it| it.resource.group == group && it.resource.kind == kind).cloned()
    }

    /// Waits until all kinds are known and their caches filled, but for one that takes too long.
    pub async fn ready(&self) {
        let mut ready = self.shared.ready.subscribe();
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Every change of every object of every kind, those kinds included that come later.
    pub fn changes(&self) -> impl Stream<Item = (Arc<Kind>, Change<Metadata>)> + Send + use<> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        {
            let discovered = self.discovered();
            discovered.kinds.values().for_each(|kind| drop(sender.send(kind.clone())));
            self.subscribers().push(sender);
        }
        let mut changes: SelectAll<BoxStream<'static, (Arc<Kind>, Change<Metadata>)>> = SelectAll::new();
        futures::stream::poll_fn(move |context| {
            while let std::task::Poll::Ready(Some(kind)) = receiver.poll_recv(context) {
                let of_kind = kind.clone();
                changes.push(kind.cache.changes().map(move |change| (of_kind.clone(), change)).boxed());
            }
            match changes.poll_next_unpin(context) {
                // No kind yet: the receiver wakes us when the first one comes.
                std::task::Poll::Ready(None) => std::task::Poll::Pending,
                other => other,
            }
        })
    }

    /// Reads discovery, and again whenever something changes what it would say.
    pub async fn keep(&self, shutdown: CancellationToken) {
        let work = async {
            let mut wait = Duration::from_millis(100);
            while let Err(error) = self.discover().await {
                warn!(%error, "cannot read discovery, will retry");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
            self.fill().await;
            let mut changes = std::pin::pin!(self.defining_changes());
            while changes.next().await.is_some() {
                if let Err(error) = self.discover().await {
                    warn!(%error, "cannot read discovery, kinds stay as they were");
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = work => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Waits until the caches are filled, then lets everybody begin.
    async fn fill(&self) {
        for kind in self.all() {
            if tokio::time::timeout(PATIENCE, kind.cache.synced()).await.is_err() {
                warn!(resource = kind.resource.plural, "objects of this kind cannot be listed, going on without");
            }
        }
        self.shared.ready.send_replace(true);
    }

    fn defining_changes(&self) -> impl Stream<Item = Change<Metadata>> + Send + use<> {
        let kinds = self.all();
        let defining = kinds
            .into_iter()
            .filter(|kind| DEFINING.contains(&(kind.resource.group.as_str(), kind.resource.plural.as_str())));
        futures::stream::select_all(defining.map(|kind| kind.cache.changes()))
    }

    /// Reads which kinds there are. A group that does not answer keeps the kinds that it had.
    async fn discover(&self) -> Result<(), kube::Error> {
        let client = self.client();
        let mut groups = vec![String::new()];
        groups.extend(client.list_api_groups().await?.groups.into_iter().map(|group| group.name));
        let mut found: BTreeMap<(String, String), (ApiResource, bool)> = BTreeMap::new();
        let mut failures = Vec::new();
        for name in &groups {
            let group = match discovery::group(client, name).await {
                Ok(group) => group,
                Err(error) => {
                    failures.push(format!("{name}: {error}"));
                    continue;
                }
            };
            for (resource, capabilities) in group.resources_by_stability() {
                let works = [verbs::LIST, verbs::WATCH, verbs::DELETE];
                let is_event = resource.plural == "events" && matches!(name.as_str(), "" | "events.k8s.io");
                if works.iter().all(|verb| capabilities.supports_operation(verb)) && !is_event {
                    let key = (resource.group.clone(), resource.plural.clone());
                    found.insert(key, (resource, capabilities.scope == Scope::Namespaced));
                }
            }
        }
        self.replace(found, &groups, failures);
        Ok(())
    }

    fn replace(
        &self,
        found: BTreeMap<(String, String), (ApiResource, bool)>,
        groups: &[String],
        failures: Vec<String>,
    ) {
        let mut discovered = self.discovered();
        let failed = |group: &str| failures.iter().any(|failure| failure.starts_with(&format!("{group}: ")));
        discovered.kinds.retain(|key, kind| {
            found.get(key).is_some_and(|(resource, _)| *resource == kind.resource)
                || (groups.contains(&key.0) && failed(&key.0))
        });
        for (key, (resource, namespaced)) in found {
            if discovered.kinds.contains_key(&key) {
                continue;
            }
            debug!(group = key.0, resource = key.1, "a kind is served");
            let cache = self.shared.informers.metadata(&resource);
            let kind = Arc::new(Kind { resource, namespaced, cache });
            self.subscribers().retain(|subscriber| subscriber.send(kind.clone()).is_ok());
            discovered.kinds.insert(key, kind);
        }
        discovered.failures = failures;
    }

    fn discovered(&self) -> std::sync::MutexGuard<'_, Discovered> {
        self.shared.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::UnboundedSender<Arc<Kind>>>> {
        self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
