//! The one loop of every controller: observe (cache), decide (`plan`), act (`Action`).
//!
//! A controller says what wakes which key, gathers what it needs to know, and plans; everything else is here, once:
//! concurrency, de-duplication, back-off, conflicts, panics, spans, the gate, the cause that a write carries.
//!
//! Upstream: the `Run`/`runWorker`/`processNextWorkItem`/`syncHandler` of every file in pkg/controller
//! Left out: slow-start batches (one failing create ends the plan).

use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::{BoxStream, select_all};
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use kube::{Client, Error, Resource};
use rustc_hash::FxHashMap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::action::Written;
use crate::gate::Gate;
use crate::{Action, Cache, Change, ClientSource, Informers, Metrics, ObjectKey, Recorder, WorkQueue};

/// Independent writes of one plan that are under way at once.
const WRITES_AT_ONCE: usize = 16;

/// What a controller would do about one key.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order; the first that fails ends the plan, and the key comes back.
    pub actions: Vec<Action>,
    /// When to look again though nothing changed: something in the plan depends on time.
    pub requeue_after: Option<Duration>,
}

impl Plan {
    /// Nothing to do.
    pub fn nothing() -> Plan {
        Plan::default()
    }
}

impl From<Vec<Action>> for Plan {
    fn from(actions: Vec<Action>) -> Plan {
        Plan { actions, requeue_after: None }
    }
}

/// A controller: keys, what it knows of a key, and what it does about it.
pub trait Controller: Send + Sync + 'static {
    /// Its name in logs, Events and its user agent: `replicaset`.
    const NAME: &'static str;
    /// What it works on, mostly an [`ObjectKey`].
    type Key: Clone + Eq + Hash + Debug + Display + Send + Sync + 'static;
    /// Everything that a decision about one key depends on.
    type Input: Send + Sync + 'static;

    /// The service account in kube-system that it writes as.
    fn service_account() -> String {
        format!("{}-controller", Self::NAME)
    }

    /// How many keys are worked on at once; upstream's usual number.
    fn concurrency() -> usize {
        5
    }

    /// Which changes wake which keys, and which caches must be filled before the first decision.
    fn watches(&self) -> Watches<Self::Key>;

    /// Collects what is known about the key, from the caches where possible; None when there is nothing to decide.
    ///
    /// # Errors
    /// A live read failed: the key comes back after its back-off.
    fn gather(&self, key: &Self::Key) -> impl Future<Output = Result<Option<Self::Input>, Error>> + Send;

    /// Told that the server refused a step of the key's plan, for a controller that shows this in a status. The key
    /// comes back after its back-off.
    fn refused(&self, _key: &Self::Key, _action: &Action, _error: &Error) {}

    /// Decides. Pure: the same input and time give the same plan.
    fn plan(input: &Self::Input, now: Timestamp) -> Plan;
}

/// What wakes a controller.
pub struct Watches<Key> {
    wakes: Vec<BoxStream<'static, (Key, u64)>>,
    synced: Vec<BoxFuture<'static, ()>>,
}

impl<Key: Send + 'static> Default for Watches<Key> {
    fn default() -> Self {
        Watches::new()
    }
}

impl<Key: Send + 'static> Watches<Key> {
    pub fn new() -> Watches<Key> {
        Watches { wakes: Vec::new(), synced: Vec::new() }
    }

    /// Each change of the cache wakes the keys that `keys_of` names.
    pub fn map<K, I>(mut self, cache: &Cache<K>, keys_of: impl Fn(&Change<K>) -> I + Send + Sync + 'static) -> Self
    where
        K: Resource + Send + Sync + 'static,
        I: IntoIterator<Item = Key>,
        I::IntoIter: Send + 'static,
    {
        let wakes = cache.changes().flat_map(move |change| {
            let keys: Vec<Key> = keys_of(&change).into_iter().collect();
            futures::stream::iter(keys.into_iter().map(move |key| (key, change.revision)))
        });
        self.wakes.push(wakes.boxed());
        self.reads(cache)
    }

    /// The cache must be filled before the first decision, but wakes nothing.
    pub fn reads<K: Resource + Send + Sync + 'static>(mut self, cache: &Cache<K>) -> Self {
        let cache = cache.clone();
        self.synced.push(async move { cache.synced().await }.boxed());
        self
    }

    /// Wakes from elsewhere: kinds that appear at run time, files. Each comes with the revision that caused it, or 0.
    pub fn stream(mut self, wakes: impl Stream<Item = (Key, u64)> + Send + 'static) -> Self {
        self.wakes.push(wakes.boxed());
        self
    }
}

impl Watches<ObjectKey> {
    /// Each change of an object wakes its own key.
    pub fn objects<K: Resource + Send + Sync + 'static>(self, cache: &Cache<K>) -> Self {
        self.map(cache, |change| [ObjectKey::of(&**change.object())])
    }

    /// Each change of an object wakes the object of kind `owner_kind` that controls it, or controlled it before.
    pub fn owners<K: Resource + Send + Sync + 'static>(self, cache: &Cache<K>, owner_kind: &'static str) -> Self {
        self.map(cache, move |change| {
            let mut keys: Vec<ObjectKey> = Vec::new();
            for object in change.before.iter().chain(&change.after) {
                let meta = object.meta();
                let owners = meta.owner_references.iter().flatten();
                for owner in owners.filter(|owner| owner.controller == Some(true) && owner.kind == owner_kind) {
                    let key = ObjectKey::new(meta.namespace.clone().unwrap_or_default(), &owner.name);
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            keys
        })
    }
}

/// Runs controllers. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    informers: Informers,
    clients: ClientSource,
    metrics: Metrics,
}

impl Runner {
    /// Controllers that read through `informers`, each write with a client of their own, and count in `metrics`.
    pub fn new(informers: Informers, clients: ClientSource, metrics: Metrics) -> Runner {
        Runner { informers, clients, metrics }
    }

    /// The caches that the controllers share.
    pub fn informers(&self) -> &Informers {
        &self.informers
    }

    /// Runs one controller until `shutdown`; what it has in hand is finished first.
    pub async fn run<C: Controller>(&self, controller: C, shutdown: CancellationToken) {
        let Watches { wakes, synced } = controller.watches();
        let client = self.clients.client(&C::service_account());
        let work = Arc::new(Work {
            recorder: Recorder::new(client.clone(), &C::service_account()),
            controller,
            client,
            informers: self.informers.clone(),
            queue: self.metrics.work_queue(C::NAME),
            causes: Mutex::default(),
        });
        tokio::select! {
            _ = join_all(synced) => {}
            _ = shutdown.cancelled() => return,
        }
        debug!(controller = C::NAME, "caches are filled");
        tokio::select! {
            _ = work.clone().wake(wakes) => {}
            _ = work.clone().serve(shutdown.clone()) => {}
        }
    }
}

/// One controller at work.
struct Work<C: Controller> {
    controller: C,
    client: Client,
    recorder: Recorder,
    informers: Informers,
    queue: WorkQueue<C::Key>,
    /// The newest revision that woke a key which waits to be worked on.
    causes: Mutex<FxHashMap<C::Key, u64>>,
}

impl<C: Controller> Work<C> {
    /// Turns changes into keys.
    async fn wake(self: Arc<Self>, wakes: Vec<BoxStream<'static, (C::Key, u64)>>) {
        let mut wakes = select_all(wakes);
        while let Some((key, revision)) = wakes.next().await {
            if revision > 0 {
                let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
                let cause = causes.entry(key.clone()).or_default();
                *cause = revision.max(*cause);
            }
            self.queue.add(key);
        }
        // No stream is left to end (a controller without watches): only what is queued for later still comes.
        std::future::pending().await
    }

    /// Works on keys until `shutdown`.
    async fn serve(self: Arc<Self>, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(C::concurrency()));
        let mut in_hand = JoinSet::new();
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            while in_hand.try_join_next().is_some() {}
            let key = tokio::select! {
                biased;
                _ = shutdown.cancelled() => break,
                key = self.queue.next() => key,
            };
            let work = self.clone();
            let span = info_span!("reconcile", controller = C::NAME, object = %key);
            in_hand.spawn(
                async move {
                    let mut gate = Gate::default();
                    work.reconcile(&key, &mut gate).await;
                    // The place is free for others while this key waits for its own writes to come back.
                    drop(place);
                    gate.open().await;
                    work.queue.done(&key);
                }
                .instrument(span),
            );
        }
        let finished = async { while in_hand.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(5), finished).await.is_err() {
            warn!(controller = C::NAME, "work in hand did not end in time");
        }
    }

    /// One pass over one key; afterwards the key is forgotten, or queued for later.
    async fn reconcile(&self, key: &C::Key, gate: &mut Gate) {
        let cause = self.causes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let pass = AssertUnwindSafe(self.pass(key, cause, gate)).catch_unwind().await;
        match pass {
            Ok(Ok(requeue_after)) => {
                self.queue.forget(key);
                if let Some(delay) = requeue_after {
                    self.queue.add_after(key.clone(), delay);
                }
            }
            Ok(Err(failure)) => {
                match failure.severity() {
                    Severity::Final => {
                        debug!("{failure}, nothing to be done");
                        return self.queue.forget(key);
                    }
                    Severity::Expected => debug!("{failure}, will look again"),
                    Severity::Unexpected => warn!("{failure}, will retry"),
                }
                self.queue.retry(key.clone());
            }
            Err(_) => {
                // The panic's own message was printed by the panic hook. Only this key suffers.
                error!("panic while working on this key");
                self.queue.retry(key.clone());
            }
        }
    }

    async fn pass(&self, key: &C::Key, cause: Option<u64>, gate: &mut Gate) -> Result<Option<Duration>, Failure> {
        let gathered = self.controller.gather(key).await;
        let Some(input) = gathered.map_err(|error| Failure { doing: "gather".into(), error })? else {
            return Ok(None);
        };
        let mut plan = C::plan(&input, Timestamp::now());
        plan.actions.iter_mut().for_each(Action::choose_name);
        for batch in batches(plan.actions) {
            let writes: Vec<_> = batch.into_iter().map(|action| self.write(action, cause).boxed()).collect();
            let results: Vec<_> = futures::stream::iter(writes).buffered(WRITES_AT_ONCE).collect().await;
            let mut failure = None;
            for (action, result) in results {
                match result {
                    Ok(written) => {
                        info!("{action}");
                        gate.wrote(&self.informers, &action, &written);
                    }
                    Err(Error::Api(status)) if status.code == 404 && matches!(action, Action::Delete { .. }) => {
                        debug!("{action}: gone already");
                    }
                    Err(error) => {
                        if is_outcome_unknown(&error) {
                            gate.unsure(&self.informers, &action, &self.client).await;
                        }
                        self.controller.refused(key, &action, &error);
                        failure.get_or_insert(Failure { doing: action.to_string(), error });
                    }
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(plan.requeue_after)
    }

    async fn write(&self, action: Action, cause: Option<u64>) -> (Action, Result<Written, Error>) {
        let result = action.execute(&self.client, &self.recorder, cause).await;
        (action, result)
    }
}

/// A plan's actions in order, with neighbours that may be written in any order put together.
fn batches(actions: Vec<Action>) -> Vec<Vec<Action>> {
    let mut batches: Vec<Vec<Action>> = Vec::new();
    for action in actions {
        match batches.last_mut() {
            Some(batch) if are_independent(&batch[0], &action) => batch.push(action),
            _ => batches.push(vec![action]),
        }
    }
    batches
}

/// Creations of one kind, deletions of one kind.
fn are_independent(one: &Action, other: &Action) -> bool {
    match (one, other) {
        (Action::Create { resource: one, .. }, Action::Create { resource: other, .. }) => one == other,
        (Action::Delete { target: one, .. }, Action::Delete { target: other, .. }) => one.resource == other.resource,
        _ => false,
    }
}

/// What went wrong with a key.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {error}")]
struct Failure {
    doing: String,
    error: Error,
}

#[derive(Debug, PartialEq)]
enum Severity {
    /// Trying again cannot help.
    Final,
    /// The cache was behind the world; a normal event.
    Expected,
    /// Somebody should know.
    Unexpected,
}

impl Failure {
    fn severity(&self) -> Severity {
        let Error::Api(status) = &self.error else { return Severity::Unexpected };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        if causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating") {
            return Severity::Final;
        }
        match status.code {
            404 | 409 => Severity::Expected,
            _ => Severity::Unexpected,
        }
    }
}

/// True unless the server itself said that it did not do it.
fn is_outcome_unknown(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code >= 500,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::Pod;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
    use kube::core::Status;

    use super::*;

    fn pod(name: &str, owner: Option<(&str, &str)>) -> Pod {
        let owners = owner.map(|(kind, name)| OwnerReference {
            kind: kind.into(),
            name: name.into(),
            controller: Some(true),
            ..OwnerReference::default()
        });
        let metadata = ObjectMeta {
            namespace: Some("default".into()),
            name: Some(name.into()),
            owner_references: owners.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        Pod { metadata, ..Pod::default() }
    }

    fn woken(watches: Watches<ObjectKey>) -> Vec<String> {
        let mut wakes = select_all(watches.wakes);
        let mut keys = Vec::new();
        while let Some(Some((key, _))) = wakes.next().now_or_never() {
            keys.push(key.to_string());
        }
        keys
    }

    #[test]
    fn a_pod_wakes_the_replica_set_that_controls_it_and_no_other_kind() {
        let pods =
            Cache::of_objects([pod("a", Some(("ReplicaSet", "web"))), pod("b", Some(("Job", "load"))), pod("c", None)]);
        assert_eq!(woken(Watches::new().owners(&pods, "ReplicaSet")), ["default/web"]);
        assert_eq!(woken(Watches::new().objects(&pods)), ["default/a", "default/b", "default/c"]);
    }

    fn refusal(code: u16, reason: &str) -> Failure {
        let status = Status { code, ..Status::failure("no", reason) };
        Failure { doing: "create Pod default/a".into(), error: Error::Api(status.boxed()) }
    }

    #[test]
    fn a_conflict_is_no_news_and_a_refusal_is() {
        assert_eq!(refusal(409, "Conflict").severity(), Severity::Expected);
        assert_eq!(refusal(422, "Invalid").severity(), Severity::Unexpected);
        assert_eq!(refusal(500, "InternalError").severity(), Severity::Unexpected);
        assert!(is_outcome_unknown(&refusal(504, "Timeout").error));
        assert!(!is_outcome_unknown(&refusal(409, "Conflict").error));
    }

    #[test]
    fn creations_of_one_kind_go_together_and_deletions_wait_for_them() {
        let (one, other) = (pod("a", None), pod("b", None));
        let replica_set = ReplicaSet::default();
        let actions = vec![
            Action::create(&one),
            Action::create(&other),
            Action::create(&replica_set),
            Action::delete(&one),
            Action::delete(&other),
        ];
        let sizes: Vec<usize> = batches(actions).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 2]);
    }
}
