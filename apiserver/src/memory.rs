//! Everything the API server serves reads from: the current objects of every row, and rings of their latest events.
//!
//! Upstream: apiserver/pkg/storage/cacher (cacher.go, watch_cache.go, ready.go)
//! Left out: falling back to the store while loading; nothing is served before the first load.
//!
//! One task follows the store's log and applies it in revision order ([`Memory::follow`]); requests wait until the
//! revision they need has been applied ([`Memory::wait_for`]).

pub mod event;
pub mod table;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use imbl::OrdMap;
use store::{Commit, Range, Revision, Store, StoreError};
use tokio::{sync::watch, time::Instant};

use crate::{
    object::{Draft, Object, ObjectKey},
    registry::Registry,
    row::{Row, Scope},
};
use table::Table;

/// Follows every change in revision order: the indexes of authorizers and allocators.
pub trait Observer: Send + Sync {
    /// Called before the change becomes visible to requests.
    fn observe(&self, row: &Row, before: Option<&Object>, after: Option<&Object>);
}

/// The whole state in memory.
pub struct Memory {
    /// By what the store's keys have between [`OBJECTS`] and the object: `core/pods`.
    tables: HashMap<String, Arc<Table>>,
    observers: Vec<Arc<dyn Observer>>,
    applied: watch::Sender<Revision>,
    /// Held while a commit is applied, so that observers see one order.
    applying: Mutex<()>,
    /// What is on its way to the store, by the store's keys.
    expected: Mutex<HashMap<store::Key, Draft>>,
}

/// An object that memory expects from the store, until this is dropped.
pub struct Expected<'a> {
    memory: &'a Memory,
    key: store::Key,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.memory.expected().remove(&self.key);
    }
}

/// How long a read waits for a revision that this server has not seen yet.
const FRESHNESS_WAIT: Duration = Duration::from_secs(3);

/// Watchers are woken at once, but not more often than this: under load, what came meanwhile goes out in one piece.
const WAKE_INTERVAL: Duration = Duration::from_millis(1);

/// The prefix of all objects' keys.
pub const OBJECTS: &str = "/registry/";

/// The store's key of an object: `/registry/GROUP/RESOURCE/[NAMESPACE/]NAME`; the core group is written `core`.
pub fn store_key(row: &Row, key: &ObjectKey) -> store::Key {
    let mut text = table_prefix(row);
    if row.scope == Scope::Namespaced {
        text.push_str(&key.namespace);
        text.push('/');
    }
    text.push_str(&key.name);
    text.into()
}

/// What all keys of a row begin with.
pub fn table_prefix(row: &Row) -> String {
    format!("{OBJECTS}{}/", table_name(&row.group, &row.plural))
}

fn table_name(group: &str, plural: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    [group, "/", plural].concat()
}

impl Memory {
    /// An empty memory for the rows of `registry`.
    pub fn new(registry: &Registry, observers: Vec<Arc<dyn Observer>>) -> Memory {
        let stored = registry.rows().iter().filter(|row| row.stored_as.is_none());
        let tables = stored.map(|row| {
            let name = table_name(&row.group, &row.plural);
            (name, Arc::new(Table::new(row.clone())))
        });
        Memory {
            tables: tables.collect(),
            observers,
            applied: watch::Sender::new(Revision(0)),
            applying: Mutex::new(()),
            expected: Mutex::default(),
        }
    }

    /// Loads the store's present state, each table in one step, and returns the log that goes on from there, for
    /// [`Memory::follow`]. Whoever watches is told to list again: what has changed since an earlier load was not seen
    /// as events.
    ///
    /// # Errors
    /// What the store says; `Corrupt` when a value is not an object.
    pub async fn load(&self, store: &dyn Store) -> Result<store::Watch, StoreError> {
        let snapshot = store.range(Range::prefix(OBJECTS), None, None).await?;
        let mut loaded: HashMap<String, OrdMap<ObjectKey, Arc<Object>>> = HashMap::new();
        for item in &snapshot.items {
            let Some((table, key)) = self.locate(&item.key) else { continue };
            let object = match table.get(&key).filter(|object| object.revision == item.modified) {
                Some(unchanged) => unchanged,
                None => Object::load(&table.row, key.clone(), item.value.clone(), item.modified)
                    .map(Arc::new)
                    .map_err(|error| StoreError::Corrupt(format!("{:?} does not hold an object: {error}", item.key)))?,
            };
            let name = table_name(&table.row.group, &table.row.plural);
            loaded.entry(name).or_default().insert(key, object);
        }
        self.replace(loaded, snapshot.revision);
        store.watch(Range::prefix(OBJECTS), snapshot.revision).await
    }

    /// Makes `loaded` the state of all tables.
    fn replace(&self, mut loaded: HashMap<String, OrdMap<ObjectKey, Arc<Object>>>, revision: Revision) {
        let _order = self.applying.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for (name, table) in &self.tables {
            let objects = loaded.remove(name).unwrap_or_default();
            for gone in table.snapshot().in_namespace("").filter(|object| !objects.contains_key(&object.key)) {
                self.observe(table, Some(gone), None);
            }
            for (key, object) in &objects {
                let before = table.get(key);
                if before.as_ref().is_none_or(|before| before.revision != object.revision) {
                    self.observe(table, before.as_deref(), Some(object));
                }
            }
            table.replace(objects, revision);
        }
        self.applied.send_replace(revision);
        self.wake();
    }

    /// Applies the store's log until it ends.
    ///
    /// # Errors
    /// Why the log ended: the caller must load again, or stop.
    pub async fn follow(&self, mut log: store::Watch) -> Result<(), StoreError> {
        let (mut woken, mut waiting) = (Instant::now(), false);
        loop {
            let first = tokio::select! {
                biased;
                first = log.next() => first,
                () = tokio::time::sleep_until(woken + WAKE_INTERVAL), if waiting => {
                    self.wake();
                    (woken, waiting) = (Instant::now(), false);
                    continue;
                }
            };
            let Some(first) = first else { break };
            let mut revision = self.apply(&first?);
            // What is there already is applied before anybody is woken.
            while let Some(Some(next)) = futures::FutureExt::now_or_never(log.next()) {
                revision = self.apply(&next?);
            }
            self.applied.send_replace(revision);
            waiting = woken.elapsed() < WAKE_INTERVAL;
            if !waiting {
                self.wake();
                woken = Instant::now();
            }
        }
        Err(StoreError::Unavailable("the store's log ended".into()))
    }

    fn wake(&self) {
        for table in self.tables.values() {
            table.wake();
        }
    }

    fn apply(&self, commit: &Commit) -> Revision {
        let _order = self.applying.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for event in &commit.events {
            let Some((table, key)) = self.locate(&event.key) else { continue };
            match &event.value {
                None => self.apply_one(&table, None, Some(key), commit.revision),
                Some(value) => match self.object(&table.row, key, &event.key, value, commit.revision) {
                    Ok(object) => self.apply_one(&table, Some(object), None, commit.revision),
                    Err(error) => {
                        tracing::error!(key = ?event.key, %error, "the store holds something that is no object; skipped")
                    }
                },
            }
        }
        commit.revision
    }

    /// The object that the store has at a key: the one that was expected, if it has the very bytes.
    fn object(
        &self,
        row: &Row,
        key: ObjectKey,
        store_key: &store::Key,
        stored: &Bytes,
        revision: Revision,
    ) -> Result<Object, serde_json::Error> {
        match self.expected().remove(store_key) {
            Some(draft) if draft.stored == stored => Ok(Draft { stored: stored.clone(), ..draft }.at(key, revision)),
            _ => Object::load(row, key, stored.clone(), revision),
        }
    }

    /// Tells memory what an object will be that is on its way to the store, so that its bytes, when they come from
    /// there, need not be read. It is no promise: somebody else may write first.
    pub fn expect(&self, key: store::Key, draft: Draft) -> Expected<'_> {
        self.expected().insert(key.clone(), draft);
        Expected { memory: self, key }
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<store::Key, Draft>> {
        self.expected.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn apply_one(&self, table: &Table, after: Option<Object>, deleted: Option<ObjectKey>, revision: Revision) {
        let after = after.map(Arc::new);
        let key = match (&after, deleted) {
            (Some(object), _) => object.key.clone(),
            (None, Some(key)) => key,
            (None, None) => return,
        };
        let before = table.get(&key);
        self.observe(table, before.as_deref(), after.as_deref());
        table.publish(key, before, after, revision);
    }

    fn observe(&self, table: &Table, before: Option<&Object>, after: Option<&Object>) {
        for observer in &self.observers {
            observer.observe(&table.row, before, after);
        }
    }

    fn locate(&self, store_key: &[u8]) -> Option<(Arc<Table>, ObjectKey)> {
        let text = std::str::from_utf8(store_key).ok()?.strip_prefix(OBJECTS)?;
        let (slash, _) = text.match_indices('/').nth(1)?;
        let (table, name) = (self.tables.get(&text[..slash])?, &text[slash + 1..]);
        let key = match table.row.scope {
            Scope::Cluster => ObjectKey::new("", name),
            Scope::Namespaced => name.split_once('/').map(|(namespace, name)| ObjectKey::new(namespace, name))?,
        };
        Some((table.clone(), key))
    }

    /// The table of a row.
    pub fn table(&self, group: &str, resource: &str) -> Option<&Arc<Table>> {
        self.tables.get(&table_name(group, resource))
    }

    /// The rows of all tables, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.tables.values().map(|table| &table.row)
    }

    /// The current object of that name, if there is one.
    pub fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.table(group, resource)?.get(&ObjectKey::new(namespace, name))
    }

    /// The current objects of a namespace ("" is all), in order.
    pub fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Object>> {
        self.table(group, resource)
            .map(|table| table.snapshot().in_namespace(namespace).cloned().collect())
            .unwrap_or_default()
    }

    /// The latest revision whose changes are visible here.
    pub fn revision(&self) -> Revision {
        *self.applied.borrow()
    }

    /// Waits until `revision` has been applied, at most three seconds.
    ///
    /// # Errors
    /// The revision that memory was at when the wait was given up.
    pub async fn wait_for(&self, revision: Revision) -> Result<(), Revision> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut applied = self.applied.subscribe();
        let wait = applied.wait_for(|applied| *applied >= revision);
        match tokio::time::timeout(FRESHNESS_WAIT, wait).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.revision()),
        }
    }
}

#[cfg(test)]
mod tests;
