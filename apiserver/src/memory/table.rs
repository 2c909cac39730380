//! The objects of one row, and the ring of their latest events.
//!
//! Upstream: apiserver/pkg/storage/cacher (watch_cache.go, watch_cache_interval.go, store_btree.go)
//! Left out: per-watcher channels: a watcher here is a cursor into a ring, and a slow one costs the others nothing.
//!
//! Watchers of one namespace, one name or one node don't look at each other's events: each such scope that somebody
//! watches has a ring of its own ([`Topic`]), filled from the same events.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use imbl::OrdMap;
use store::Revision;
use tokio::sync::Notify;

use super::event::Event;
use crate::{
    object::{Object, ObjectKey},
    row::Row,
};

/// How many bytes of objects the ring of one row may keep alive.
const RING_BUDGET_BYTES: usize = 32 << 20;
/// How many events the ring of one row may hold.
const RING_BUDGET_EVENTS: usize = 100_000;

/// Which events of a row a watcher can be interested in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    All,
    Namespace(Arc<str>),
    Object(ObjectKey),
    /// The value of the row's indexed field: pods by `spec.nodeName`.
    Indexed(Box<str>),
}

/// The objects and events of one row.
pub struct Table {
    pub row: Arc<Row>,
    /// The place of the field among the row's selectable fields that lists and watches are indexed by.
    indexed_field: Option<usize>,
    state: Mutex<State>,
    /// Whether something was published since the watchers were last woken.
    dirty: AtomicBool,
}

#[derive(Default)]
struct State {
    objects: OrdMap<ObjectKey, Arc<Object>>,
    by_field: HashMap<Box<str>, OrdMap<ObjectKey, Arc<Object>>>,
    ring: Ring,
    ring_bytes: usize,
    /// The revision of the latest change.
    last: Revision,
    /// The revision of the newest event that the ring no longer has: watches can start at it, not before it.
    oldest: Revision,
    topics: HashMap<Scope, Topic>,
    /// The watchers to wake once the present batch is visible.
    to_wake: Vec<Arc<Notify>>,
}

/// Events in revision order; `first` is the sequence number of the oldest one that is still there.
#[derive(Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    first: u64,
}

/// A ring for one scope, alive while somebody watches it. What the row's ring has dropped it drops at its next event.
struct Topic {
    ring: Ring,
    watchers: usize,
    wake: Arc<Notify>,
}

/// The state of a table at one moment; holding it costs nothing and blocks nobody.
pub struct TableSnapshot {
    objects: OrdMap<ObjectKey, Arc<Object>>,
}

impl TableSnapshot {
    /// The objects of a namespace ("" is all), in order.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.from(namespace, ObjectKey::new(namespace, ""))
    }

    /// The objects of a namespace ("" is all) from `start` on, in order.
    pub fn from(&self, namespace: &str, start: ObjectKey) -> impl Iterator<Item = &Arc<Object>> {
        let namespace = namespace.to_owned();
        self.objects
            .range(start..)
            .map(|(_, object)| object)
            .take_while(move |object| namespace.is_empty() || *object.key.namespace == *namespace)
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl Table {
    pub fn new(row: Arc<Row>) -> Table {
        let indexed_field = row.selectable_fields.iter().position(|field| field.label == "spec.nodeName");
        Table { row, indexed_field, state: Mutex::default(), dirty: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The label of the indexed field, if the row has one.
    pub fn indexed_field(&self) -> Option<&'static str> {
        self.indexed_field.map(|at| self.row.selectable_fields[at].label)
    }

    /// The current object of that key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Object>> {
        self.state().objects.get(key).cloned()
    }

    /// The current objects.
    pub fn snapshot(&self) -> TableSnapshot {
        TableSnapshot { objects: self.state().objects.clone() }
    }

    /// The current objects (those whose indexed field has the value, if one is given) and the revision that this is
    /// the state of. `applied` is a revision that memory is known to have applied.
    pub fn snapshot_at(&self, indexed: Option<&str>, applied: Revision) -> (TableSnapshot, Revision) {
        let state = self.state();
        let objects = match indexed {
            None => state.objects.clone(),
            Some(value) => state.by_field.get(value).cloned().unwrap_or_default(),
        };
        (TableSnapshot { objects }, state.last.max(applied))
    }

    /// The smallest revision that a watch from memory can start after.
    pub fn oldest(&self) -> Revision {
        self.state().oldest
    }

    /// Makes `objects` all that there is, the state at `revision`, in one step. How it came about was not seen as
    /// events, so every ring begins anew, one place further on: no cursor is left where nothing seems to be missing.
    pub(super) fn replace(&self, objects: OrdMap<ObjectKey, Arc<Object>>, revision: Revision) {
        let mut by_field: HashMap<Box<str>, OrdMap<ObjectKey, Arc<Object>>> = HashMap::new();
        for (key, object) in objects.iter().filter(|_| self.indexed_field.is_some()) {
            let value = self.indexed_field.and_then(|at| object.meta.field(at)).unwrap_or_default().into();
            by_field.entry(value).or_default().insert(key.clone(), object.clone());
        }
        let mut state = self.state();
        let state = &mut *state;
        (state.objects, state.by_field) = (objects, by_field);
        (state.last, state.oldest, state.ring_bytes) = (revision, revision, 0);
        state.ring.begin_anew();
        for topic in state.topics.values_mut() {
            topic.ring.begin_anew();
            state.to_wake.push(topic.wake.clone());
        }
        self.dirty.store(true, Ordering::Release);
    }

    /// Makes a change current and appends its event.
    pub(super) fn publish(
        &self,
        key: ObjectKey,
        before: Option<Arc<Object>>,
        after: Option<Arc<Object>>,
        revision: Revision,
    ) {
        if before.is_none() && after.is_none() {
            return;
        }
        let field = |object: &Option<Arc<Object>>| -> Option<Box<str>> {
            object.as_ref().zip(self.indexed_field).and_then(|(object, at)| object.meta.field(at)).map(Into::into)
        };
        let (field_before, field_after) = (field(&before), field(&after));
        let mut state = self.state();
        let state = &mut *state;
        if let Some(value) = &field_before
            && field_before != field_after
            && let Some(objects) = state.by_field.get_mut(value)
        {
            objects.remove(&key);
            if objects.is_empty() {
                state.by_field.remove(value);
            }
        }
        if let (Some(value), Some(after)) = (&field_after, &after) {
            state.by_field.entry(value.clone()).or_default().insert(key.clone(), after.clone());
        }
        match &after {
            Some(after) => state.objects.insert(key.clone(), after.clone()),
            None => state.objects.remove(&key),
        };
        state.last = revision;
        let event = Arc::new(Event::new(revision, before, after));
        state.append(event, &key, field_before, field_after);
        self.dirty.store(true, Ordering::Release);
    }

    /// Wakes the watchers whose scopes got events since the last call.
    pub(super) fn wake(&self) {
        if self.dirty.swap(false, Ordering::AcqRel) {
            let mut state = self.state();
            for wake in std::mem::take(&mut state.to_wake) {
                wake.notify_waiters();
            }
        }
    }

    /// A cursor on the events of `scope` after `after`, and the objects of now when `after` is `None`.
    ///
    /// # Errors
    /// [`TooOld`] when the ring does not reach back to `after`.
    pub fn subscribe(
        self: &Arc<Self>,
        scope: Scope,
        after: Option<Revision>,
    ) -> Result<(Cursor, TableSnapshot), TooOld> {
        let mut state = self.state();
        let state = &mut *state;
        if let Some(after) = after
            && after < state.oldest
        {
            return Err(TooOld { oldest: state.oldest });
        }
        let topic = state.topics.entry(scope.clone()).or_insert_with(|| Topic {
            ring: Ring::default(),
            watchers: 0,
            wake: Arc::default(),
        });
        topic.watchers += 1;
        let wake = topic.wake.clone();
        let fresh = topic.watchers == 1 && scope != Scope::All;
        if fresh {
            let indexed_field = self.indexed_field;
            topic.ring.events =
                state.ring.events.iter().filter(|event| concerns(event, &scope, indexed_field)).cloned().collect();
        }
        let ring = if scope == Scope::All { &state.ring } else { &topic.ring };
        let next = match after {
            None => ring.first + ring.events.len() as u64,
            Some(after) => ring.first + ring.events.partition_point(|event| event.revision <= after) as u64,
        };
        let snapshot = match &scope {
            Scope::Indexed(value) => state.by_field.get(value).cloned().unwrap_or_default(),
            _ => state.objects.clone(),
        };
        let cursor = Cursor { table: self.clone(), scope, next, wake };
        Ok((cursor, TableSnapshot { objects: snapshot }))
    }
}

/// A watch that the ring can't serve: events up to `oldest` are gone from it.
#[derive(Debug)]
pub struct TooOld {
    pub oldest: Revision,
}

impl State {
    fn append(&mut self, event: Arc<Event>, key: &ObjectKey, before: Option<Box<str>>, after: Option<Box<str>>) {
        if !self.topics.is_empty() {
            let indexed = [before.clone(), if before == after { None } else { after }];
            let scopes = [Scope::All, Scope::Namespace(key.namespace.clone()), Scope::Object(key.clone())];
            for scope in scopes.into_iter().chain(indexed.into_iter().flatten().map(Scope::Indexed)) {
                let Some(topic) = self.topics.get_mut(&scope) else { continue };
                self.to_wake.push(topic.wake.clone());
                if scope != Scope::All {
                    topic.ring.forget_until(self.oldest);
                    topic.ring.events.push_back(event.clone());
                }
            }
        }
        self.ring_bytes += event_bytes(&event);
        self.ring.events.push_back(event);
        while self.ring_bytes > RING_BUDGET_BYTES || self.ring.events.len() > RING_BUDGET_EVENTS {
            let Some(dropped) = self.ring.events.pop_front() else { break };
            self.ring.first += 1;
            self.ring_bytes -= event_bytes(&dropped);
            self.oldest = dropped.revision;
        }
    }
}

impl Ring {
    /// Forgets everything, and lets every cursor know that it has missed something.
    fn begin_anew(&mut self) {
        self.first += self.events.len() as u64 + 1;
        self.events.clear();
    }

    fn forget_until(&mut self, oldest: Revision) {
        while self.events.front().is_some_and(|event| event.revision <= oldest) {
            self.events.pop_front();
            self.first += 1;
        }
    }
}

/// What an event keeps alive beside the current objects.
fn event_bytes(event: &Event) -> usize {
    event.before.as_ref().or(event.after.as_ref()).map_or(0, |object| object.stored().len()) + 128
}

fn concerns(event: &Event, scope: &Scope, indexed_field: Option<usize>) -> bool {
    let matches = |object: &Arc<Object>| match scope {
        Scope::All => true,
        Scope::Namespace(namespace) => object.key.namespace == *namespace,
        Scope::Object(key) => object.key == *key,
        Scope::Indexed(value) => indexed_field.and_then(|at| object.meta.field(at)) == Some(value),
    };
    event.before.as_ref().is_some_and(matches) || event.after.as_ref().is_some_and(matches)
}

/// A watcher's place in its ring.
pub struct Cursor {
    table: Arc<Table>,
    scope: Scope,
    next: u64,
    wake: Arc<Notify>,
}

impl Cursor {
    /// Takes up to `most` events that have not been taken yet.
    ///
    /// # Errors
    /// [`TooOld`] when the ring has dropped some of them: the watcher was too slow.
    pub fn take(&mut self, most: usize) -> Result<Vec<Arc<Event>>, TooOld> {
        let state = self.table.state();
        let ring = match &self.scope {
            Scope::All => &state.ring,
            scope => match state.topics.get(scope) {
                Some(topic) => &topic.ring,
                None => return Ok(Vec::new()),
            },
        };
        if self.next < ring.first {
            return Err(TooOld { oldest: state.oldest });
        }
        let start = usize::try_from(self.next - ring.first).unwrap_or(usize::MAX).min(ring.events.len());
        let events: Vec<Arc<Event>> = ring.events.range(start..).take(most).cloned().collect();
        self.next += events.len() as u64;
        Ok(events)
    }

    /// Completes at the next wake-up. Made before [`Cursor::take`], awaited after it found nothing, so that nothing
    /// that comes between is missed.
    pub fn woken(&self) -> tokio::sync::futures::OwnedNotified {
        self.wake.clone().notified_owned()
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut state = self.table.state();
        if let Some(topic) = state.topics.get_mut(&self.scope) {
            topic.watchers -= 1;
            if topic.watchers == 0 {
                state.topics.remove(&self.scope);
            }
        }
    }
}
