//! The local copy of one kind's objects, with indexes, and the stream of its changes.
//!
//! Readers share the objects (`Arc`), never copy them. The cache is only ever written by its list+watch
//! (`list_watch.rs`), in revision order, so `revision()` says how far it has seen.
//!
//! Upstream: client-go/tools/cache/{thread_safe_store,shared_informer,delta_fifo}.go
//! Left out: resync timers (a change is never re-announced; controllers that want time ask for `requeue_after`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::Stream;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};

use crate::ObjectKey;

/// One change of one object, as the cache saw it. A created object has no `before`, a deleted one no `after`.
#[derive(Debug)]
pub struct Change<K> {
    pub before: Option<Arc<K>>,
    pub after: Option<Arc<K>>,
    /// The revision at which the cache learnt of it.
    pub revision: u64,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Self {
        Change { before: self.before.clone(), after: self.after.clone(), revision: self.revision }
    }
}

impl<K> Change<K> {
    /// The object after the change, or the last state of one that is gone.
    pub fn object(&self) -> &Arc<K> {
        self.after.as_ref().or(self.before.as_ref()).expect("a change has a before or an after")
    }
}

/// A shared handle on the objects of one kind (within one selector). The list+watch ends with the last handle.
pub struct Cache<K> {
    pub(crate) shared: Arc<Shared<K>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache { shared: self.shared.clone() }
    }
}

pub(crate) struct Shared<K> {
    state: RwLock<State<K>>,
    progress: watch::Sender<Progress>,
    /// The task that keeps this cache; it holds the cache weakly and is stopped when the cache is dropped.
    pub(crate) keeper: OnceLock<AbortOnDrop>,
}

pub(crate) struct AbortOnDrop(pub(crate) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Progress {
    synced: bool,
    revision: u64,
}

/// Says under which values an object is found in an index.
type IndexOf<K> = fn(&K) -> Vec<String>;

struct State<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    indexes: FxHashMap<&'static str, Index<K>>,
    subscribers: Vec<mpsc::UnboundedSender<Change<K>>>,
    progress: Progress,
}

struct Index<K> {
    values_of: IndexOf<K>,
    keys: FxHashMap<String, BTreeSet<ObjectKey>>,
}

impl<K: Resource> Cache<K> {
    /// An empty cache that nothing fills yet.
    pub(crate) fn empty() -> Cache<K> {
        let state = State {
            objects: BTreeMap::new(),
            indexes: FxHashMap::default(),
            subscribers: Vec::new(),
            progress: Progress::default(),
        };
        let shared = Shared { state: RwLock::new(state), progress: watch::Sender::default(), keeper: OnceLock::new() };
        Cache { shared: Arc::new(shared) }
    }

    /// A synced cache of fixed objects: the world of a decision test.
    pub fn of_objects(objects: impl IntoIterator<Item = K>) -> Cache<K> {
        let cache = Cache::empty();
        cache.shared.replace_all(objects.into_iter().collect(), 1);
        cache
    }

    /// The object of that name, if there is one.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.read().objects.get(key).cloned()
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.read().objects.values().cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.read().objects.len()
    }

    /// True when there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects of one namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let from = Bound::Included(ObjectKey::new(namespace, ""));
        let state = self.shared.read();
        let objects = state.objects.range((from, Bound::Unbounded));
        objects.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// The objects that name the object of this uid among their owners, controlling or not.
    pub fn by_owner(&self, uid: &str) -> Vec<Arc<K>> {
        self.index("owner", |object| {
            let owners = object.meta().owner_references.as_deref().unwrap_or_default();
            owners.iter().map(|owner| owner.uid.clone()).collect()
        });
        self.by_index("owner", uid)
    }

    /// Adds an index. The first definition of a name stays; an index that is there already costs nothing.
    pub fn index(&self, name: &'static str, values_of: IndexOf<K>) {
        if self.shared.read().indexes.contains_key(name) {
            return;
        }
        let mut state = self.shared.write();
        let mut index = Index { values_of, keys: FxHashMap::default() };
        for (key, object) in &state.objects {
            index.insert(key, object);
        }
        state.indexes.entry(name).or_insert(index);
    }

    /// The objects found under `value` in the index `name`, ordered by key. None when there is no such index.
    pub fn by_index(&self, name: &'static str, value: &str) -> Vec<Arc<K>> {
        let state = self.shared.read();
        let keys = state.indexes.get(name).and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// The highest revision that this cache has seen of its kind.
    pub fn revision(&self) -> u64 {
        self.shared.read().progress.revision
    }

    /// True once the first list is in.
    pub fn is_synced(&self) -> bool {
        self.shared.read().progress.synced
    }

    /// Waits until the first list is in.
    pub async fn synced(&self) {
        self.until(|cache| cache.is_synced()).await;
    }

    /// Waits until `seen` holds, asking again after each step of the cache.
    pub async fn until(&self, seen: impl Fn(&Self) -> bool) {
        let mut progress = self.shared.progress.subscribe();
        while !seen(self) {
            progress.changed().await.expect("the cache holds the sender");
        }
    }

    /// Every change from now on, the current objects first, each once and in revision order.
    ///
    /// The stream ends when the cache is dropped. A slow reader delays nobody; it holds the `Arc`s it has not read.
    pub fn changes(&self) -> impl Stream<Item = Change<K>> + Send + Unpin + use<K>
    where
        K: Send + Sync + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut state = self.shared.write();
        let revision = state.progress.revision;
        for object in state.objects.values() {
            let _ = sender.send(Change { before: None, after: Some(object.clone()), revision });
        }
        state.subscribers.push(sender);
        futures::stream::poll_fn(move |context| receiver.poll_recv(context))
    }
}

impl Cache<Pod> {
    /// The pods bound to a node.
    pub fn by_node(&self, node: &str) -> Vec<Arc<Pod>> {
        self.index("node", |pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect());
        self.by_index("node", node)
    }
}

impl<K: Resource> Shared<K> {
    fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a whole list: announces what differs, with a deletion for each object that is no longer there.
    pub(crate) fn replace_all(&self, objects: Vec<K>, revision: u64) {
        let mut state = self.write();
        let mut gone: BTreeSet<ObjectKey> = state.objects.keys().cloned().collect();
        for object in objects {
            let key = ObjectKey::of(&object);
            gone.remove(&key);
            state.put(key, object, revision);
        }
        for key in gone {
            state.remove(&key, revision);
        }
        state.progress = Progress { synced: true, revision };
        self.announce(state);
    }

    /// Takes an object that was created or changed.
    pub(crate) fn apply(&self, object: K, revision: u64) {
        let mut state = self.write();
        state.put(ObjectKey::of(&object), object, revision);
        state.progress.revision = revision;
        self.announce(state);
    }

    /// Takes the deletion of an object.
    pub(crate) fn remove(&self, key: &ObjectKey, revision: u64) {
        let mut state = self.write();
        state.remove(key, revision);
        state.progress.revision = revision;
        self.announce(state);
    }

    /// Takes a bookmark: nothing of this kind changed up to `revision`.
    pub(crate) fn advance(&self, revision: u64) {
        let mut state = self.write();
        state.progress.revision = revision;
        self.announce(state);
    }

    fn announce(&self, state: RwLockWriteGuard<'_, State<K>>) {
        let progress = state.progress;
        drop(state);
        self.progress.send_replace(progress);
    }
}

impl<K: Resource> State<K> {
    fn put(&mut self, key: ObjectKey, object: K, revision: u64) {
        let before = self.objects.get(&key).cloned();
        if before.as_ref().is_some_and(|before| is_same_version(&**before, &object)) {
            return;
        }
        if let Some(before) = &before {
            let replaced = before.meta().uid != object.meta().uid;
            self.unindex(&key, before);
            if replaced {
                // Deleted and created again while the watch was away: two changes, so that nobody mistakes one for the other.
                self.tell(Change { before: Some(before.clone()), after: None, revision });
            }
        }
        let after = Arc::new(object);
        for index in self.indexes.values_mut() {
            index.insert(&key, &after);
        }
        self.objects.insert(key, after.clone());
        let before = before.filter(|before| before.meta().uid == after.meta().uid);
        self.tell(Change { before, after: Some(after), revision });
    }

    fn remove(&mut self, key: &ObjectKey, revision: u64) {
        if let Some(before) = self.objects.remove(key) {
            self.unindex(key, &before);
            self.tell(Change { before: Some(before), after: None, revision });
        }
    }

    fn unindex(&mut self, key: &ObjectKey, object: &K) {
        for index in self.indexes.values_mut() {
            index.remove(key, object);
        }
    }

    fn tell(&mut self, change: Change<K>) {
        self.subscribers.retain(|subscriber| subscriber.send(change.clone()).is_ok());
    }
}

impl<K> Index<K> {
    fn insert(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values_of)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove(&mut self, key: &ObjectKey, object: &K) {
        for value in (self.values_of)(object) {
            let Some(keys) = self.keys.get_mut(&value) else { continue };
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&value);
            }
        }
    }
}

fn is_same_version<K: Resource>(before: &K, after: &K) -> bool {
    let (before, after) = (before.meta(), after.meta());
    after.resource_version.is_some() && before.uid == after.uid && before.resource_version == after.resource_version
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use k8s_openapi::api::core::v1::{Pod, PodSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;

    fn pod(name: &str, uid: &str, revision: u64) -> Pod {
        let owner = OwnerReference { uid: "owner-of-all".into(), ..OwnerReference::default() };
        Pod {
            metadata: ObjectMeta {
                namespace: Some("default".into()),
                name: Some(name.into()),
                uid: Some(uid.into()),
                resource_version: Some(revision.to_string()),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec { node_name: Some(format!("node-of-{name}")), ..PodSpec::default() }),
            ..Pod::default()
        }
    }

    /// Everything that the stream has now, in words.
    fn drain(changes: &mut (impl Stream<Item = Change<Pod>> + Unpin)) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(Some(change)) = changes.next().now_or_never() {
            let verb = match (&change.before, &change.after) {
                (None, _) => "added",
                (_, None) => "deleted",
                _ => "changed",
            };
            words.push(format!("{verb} {} at {}", ObjectKey::of(&**change.object()), change.revision));
        }
        words
    }

    #[test]
    fn a_reader_that_comes_late_is_told_the_current_objects_first() {
        let cache = Cache::of_objects([pod("a", "1", 1)]);
        let mut changes = cache.changes();
        cache.shared.apply(pod("b", "2", 2), 2);
        assert_eq!(drain(&mut changes), ["added default/a at 1", "added default/b at 2"]);
    }

    #[test]
    fn a_new_list_announces_only_what_differs_and_what_is_gone() {
        let cache = Cache::of_objects([pod("a", "1", 1), pod("b", "2", 1), pod("c", "3", 1)]);
        let mut changes = cache.changes();
        drain(&mut changes);
        cache.shared.replace_all(vec![pod("a", "1", 1), pod("b", "2", 5), pod("d", "4", 6)], 9);
        assert_eq!(drain(&mut changes), ["changed default/b at 9", "added default/d at 9", "deleted default/c at 9"]);
        assert_eq!(cache.revision(), 9);
    }

    #[test]
    fn an_object_that_came_back_with_another_uid_is_deleted_and_added() {
        let cache = Cache::of_objects([pod("a", "1", 1)]);
        let mut changes = cache.changes();
        drain(&mut changes);
        cache.shared.apply(pod("a", "2", 4), 4);
        assert_eq!(drain(&mut changes), ["deleted default/a at 4", "added default/a at 4"]);
    }

    #[test]
    fn indexes_follow_the_objects() {
        let cache = Cache::of_objects([pod("a", "1", 1), pod("b", "2", 1)]);
        assert_eq!(cache.by_owner("owner-of-all").len(), 2);
        assert_eq!(cache.by_node("node-of-b").len(), 1);
        let mut moved = pod("b", "2", 3);
        moved.metadata.owner_references = None;
        moved.spec.get_or_insert_default().node_name = Some("elsewhere".into());
        cache.shared.apply(moved, 3);
        cache.shared.remove(&ObjectKey::new("default", "a"), 4);
        assert!(cache.by_owner("owner-of-all").is_empty());
        assert!(cache.by_node("node-of-b").is_empty());
        assert_eq!(cache.by_node("elsewhere").len(), 1);
    }

    #[test]
    fn a_namespace_is_exactly_its_own_objects() {
        let mut other = pod("x", "7", 1);
        other.metadata.namespace = Some("default-2".into());
        let cache = Cache::of_objects([pod("a", "1", 1), other]);
        assert_eq!(cache.in_namespace("default").len(), 1);
        assert_eq!(cache.in_namespace("defaul").len(), 0);
    }

    #[test]
    fn the_cache_is_synced_once_the_first_list_is_in() {
        let cache: Cache<Pod> = Cache::empty();
        assert!(cache.synced().now_or_never().is_none());
        cache.shared.replace_all(Vec::new(), 3);
        assert!(cache.synced().now_or_never().is_some());
    }
}
