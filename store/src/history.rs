//! Every key's versions and the log of commits, from the compaction point to now.
//!
//! Upstream: etcd's mvcc (treeIndex, kvstore, watchable_store)
//! Left out: generations and a separate index; versions hang at their key.
//!
//! [`crate::memory`] keeps everything here. [`crate::embedded`] keeps current values and the latest commits; older
//! values stay where its log has them, and only their [`Place`] is kept.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    ops::Bound,
    os::unix::fs::FileExt,
    sync::Arc,
};

use bytes::Bytes;

use crate::{Commit, Event, Key, KeyValue, Range, Revision, Snapshot, StoreError, transaction::Present};

/// The revision of an empty store, as with etcd; the first transaction gets the next one.
pub(crate) const EMPTY: Revision = Revision(1);

/// Where a value lies on disk.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

/// A value, in memory or on disk.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Held(Bytes),
    Filed(Place),
}

impl Value {
    /// The bytes; reads the disk, so not to be called under a lock.
    pub(crate) fn read(self) -> Result<Bytes, StoreError> {
        let place = match self {
            Value::Held(bytes) => return Ok(bytes),
            Value::Filed(place) => place,
        };
        let mut bytes = vec![0; place.length as usize];
        place
            .file
            .read_exact_at(&mut bytes, place.offset)
            .map_err(|error| StoreError::Corrupt(format!("an old value at offset {}: {error}", place.offset)))?;
        if crc32c::crc32c(&bytes) != place.checksum {
            return Err(StoreError::Corrupt(format!("an old value at offset {} has changed on disk", place.offset)));
        }
        Ok(bytes.into())
    }
}

/// One key's change as the history takes it.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: Key,
    /// `None` removes the key.
    pub(crate) value: Option<Bytes>,
    pub(crate) place: Option<Place>,
    /// When the store is to delete the key, in milliseconds of the back end's clock.
    pub(crate) expires_ms: Option<u64>,
}

#[derive(Debug, Clone)]
struct Version {
    modified: Revision,
    /// `None` is a delete.
    value: Option<Stored>,
    expires_ms: Option<u64>,
}

#[derive(Debug, Clone)]
struct Stored {
    /// Dropped when a later version comes and `place` has it too.
    held: Option<Bytes>,
    place: Option<Place>,
}

impl Stored {
    fn value(&self) -> Value {
        match (&self.held, &self.place) {
            (Some(bytes), _) => Value::Held(bytes.clone()),
            (None, Some(place)) => Value::Filed(place.clone()),
            (None, None) => unreachable!("a value is dropped from memory only when it has a place on disk"),
        }
    }
}

/// A commit in the log.
enum Past {
    Held(Arc<Commit>),
    /// Only which keys changed; the values hang at the keys.
    Keys(Box<[Key]>),
}

/// What [`History::commits_after`] found: events whose values may still have to be read from disk.
pub(crate) enum Found {
    Held(Arc<Commit>),
    Filed(Revision, Vec<(Key, Option<Value>)>),
}

impl Found {
    /// The events that fall into `range`, with their values; reads the disk.
    pub(crate) fn read(self, range: &Range) -> Result<Commit, StoreError> {
        match self {
            Found::Held(commit) => {
                let events = commit.events.iter().filter(|event| range.contains(&event.key)).cloned().collect();
                Ok(Commit { revision: commit.revision, events })
            }
            Found::Filed(revision, changes) => {
                let mut events = Vec::with_capacity(changes.len());
                for (key, value) in changes {
                    events.push(Event { key, value: value.map(Value::read).transpose()?, previous: None });
                }
                Ok(Commit { revision, events })
            }
        }
    }
}

/// A key's value as a checkpoint has it.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) key: Key,
    pub(crate) modified: Revision,
    pub(crate) value: Bytes,
    pub(crate) place: Place,
    pub(crate) expires_ms: Option<u64>,
}

/// A key's value as a checkpoint takes it.
pub(crate) struct Stands {
    pub(crate) key: Key,
    pub(crate) modified: Revision,
    pub(crate) value: Value,
    pub(crate) expires_ms: Option<u64>,
}

/// What [`History::range`] found.
pub(crate) struct Unread {
    pub(crate) revision: Revision,
    pub(crate) items: Vec<(Key, Revision, Value)>,
    pub(crate) more: bool,
}

impl Unread {
    /// Whether [`Unread::read`] needs the disk.
    pub(crate) fn is_filed(&self) -> bool {
        self.items.iter().any(|(_, _, value)| matches!(value, Value::Filed(_)))
    }

    /// The snapshot with its values; reads the disk.
    pub(crate) fn read(self) -> Result<Snapshot, StoreError> {
        let mut items = Vec::with_capacity(self.items.len());
        for (key, modified, value) in self.items {
            items.push(KeyValue { key, value: value.read()?, modified });
        }
        Ok(Snapshot { revision: self.revision, items, more: self.more })
    }
}

/// Versions and commits; revisions `oldest..=current` can be read.
pub(crate) struct History {
    current: Revision,
    oldest: Revision,
    /// Oldest version first. A key whose last version is a delete is still here until that is compacted.
    keys: BTreeMap<Key, Vec<Version>>,
    /// The commits of `oldest + 1 ..= current`, without a gap.
    commits: VecDeque<Past>,
    /// How many of the last commits are `Past::Held`, and the size of their values.
    held: usize,
    held_bytes: usize,
    /// The most of `held_bytes`; beyond it the oldest commits keep only their keys.
    held_bytes_limit: usize,
    deadlines: BTreeSet<(u64, Key)>,
}

impl History {
    /// An empty history that begins at `oldest`.
    pub(crate) fn beginning_at(oldest: Revision, held_bytes_limit: usize) -> History {
        History {
            current: oldest,
            oldest,
            keys: BTreeMap::new(),
            commits: VecDeque::new(),
            held: 0,
            held_bytes: 0,
            held_bytes_limit,
            deadlines: BTreeSet::new(),
        }
    }

    /// A history that begins with a checkpoint's state at `oldest`.
    pub(crate) fn resuming(oldest: Revision, state: Vec<Base>, held_bytes_limit: usize) -> History {
        let mut history = History::beginning_at(oldest, held_bytes_limit);
        for Base { key, modified, value, place, expires_ms } in state {
            if let Some(deadline) = expires_ms {
                history.deadlines.insert((deadline, key.clone()));
            }
            let value = Some(Stored { held: Some(value), place: Some(place) });
            history.keys.insert(key, vec![Version { modified, value, expires_ms }]);
        }
        history
    }

    pub(crate) fn current(&self) -> Revision {
        self.current
    }

    pub(crate) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// The key's present value.
    pub(crate) fn present(&self, key: &Key) -> Option<Present> {
        let version = self.keys.get(key)?.last()?;
        let held = version.value.as_ref()?.held.clone();
        Some(Present { modified: version.modified, value: held.expect("current values are held in memory") })
    }

    /// Appends a commit at the next revision. `writes` are in key order, not empty, and delete only what is there.
    pub(crate) fn apply(&mut self, writes: Vec<Write>) -> Revision {
        let revision = Revision(self.current.0 + 1);
        let mut events = Vec::with_capacity(writes.len());
        for write in writes {
            let Write { key, value, place, expires_ms } = write;
            let versions = self.keys.entry(key.clone()).or_default();
            if versions.is_empty() {
                versions.reserve_exact(1); // Most keys are written once or rewritten after a compaction.
            }
            let previous = versions.last_mut().and_then(|version| {
                if let Some(deadline) = version.expires_ms {
                    self.deadlines.remove(&(deadline, key.clone()));
                }
                let stored = version.value.as_mut()?;
                let held = stored.held.clone();
                if stored.place.is_some() {
                    stored.held = None;
                }
                held
            });
            if let Some(deadline) = expires_ms {
                self.deadlines.insert((deadline, key.clone()));
            }
            let stored = value.clone().map(|bytes| Stored { held: Some(bytes), place });
            versions.push(Version { modified: revision, value: stored, expires_ms });
            events.push(Event { key, value, previous });
        }
        self.current = revision;
        self.held += 1;
        self.held_bytes += size(&events);
        self.commits.push_back(Past::Held(Arc::new(Commit { revision, events })));
        self.let_go();
        revision
    }

    /// Keeps only the keys of the oldest commits while more than the limit is held.
    fn let_go(&mut self) {
        while self.held_bytes > self.held_bytes_limit && self.held > 1 {
            let index = self.commits.len() - self.held;
            if let Past::Held(commit) = &self.commits[index] {
                self.held_bytes -= size(&commit.events);
                let keys = commit.events.iter().map(|event| event.key.clone()).collect();
                self.commits[index] = Past::Keys(keys);
            }
            self.held -= 1;
        }
    }

    /// Reads `range` as it was at `at` (now, when `None`).
    pub(crate) fn range(
        &self,
        range: &Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> Result<Unread, StoreError> {
        let at = at.unwrap_or(self.current);
        if at < self.oldest {
            return Err(StoreError::Compacted { requested: at, oldest: self.oldest });
        }
        if at > self.current {
            return Err(StoreError::Future { requested: at, current: self.current });
        }
        let limit = limit.unwrap_or(usize::MAX);
        let mut answer = Unread { revision: at, items: Vec::new(), more: false };
        if range.is_empty() {
            return Ok(answer);
        }
        for (key, versions) in self.keys.range::<Key, _>(range.bounds()) {
            let Some((modified, value)) = version_at(versions, at) else { continue };
            if answer.items.len() == limit {
                answer.more = true;
                break;
            }
            answer.items.push((key.clone(), modified, value));
        }
        Ok(answer)
    }

    /// Up to `limit` keys after `after` with the values that a read at `at` sees.
    pub(crate) fn state_at(&self, at: Revision, after: Option<&Key>, limit: usize) -> Vec<Stands> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.range::<Key, _>((start, Bound::Unbounded));
        let seen = keys.filter_map(|(key, versions)| {
            let version = &versions[versions.partition_point(|version| version.modified <= at).checked_sub(1)?];
            let value = version.value.as_ref()?.value();
            Some(Stands { key: key.clone(), modified: version.modified, value, expires_ms: version.expires_ms })
        });
        seen.take(limit).collect()
    }

    /// Where these versions' values lie from now on.
    pub(crate) fn relocate(&mut self, places: &[(Key, Revision, Place)]) {
        for (key, modified, place) in places {
            let Some(versions) = self.keys.get_mut(key) else { continue };
            if let Ok(index) = versions.binary_search_by_key(modified, |version| version.modified)
                && let Some(stored) = versions[index].value.as_mut()
            {
                stored.place = Some(place.clone());
            }
        }
    }

    /// Up to `limit` commits after `after` that touch `range`, and the revision up to which the log was looked at.
    pub(crate) fn commits_after(
        &self,
        after: Revision,
        range: &Range,
        limit: usize,
    ) -> Result<(Vec<Found>, Revision), StoreError> {
        if after < self.oldest {
            return Err(StoreError::Compacted { requested: after, oldest: self.oldest });
        }
        let mut found = Vec::new();
        let mut seen = after;
        let first = (after.0 - self.oldest.0) as usize;
        for past in self.commits.range(first.min(self.commits.len())..) {
            seen = Revision(seen.0 + 1);
            match past {
                Past::Held(commit) => {
                    if commit.events.iter().any(|event| range.contains(&event.key)) {
                        found.push(Found::Held(commit.clone()));
                    }
                }
                Past::Keys(keys) => {
                    let inside = keys.iter().filter(|key| range.contains(key));
                    let changes: Vec<_> = inside.map(|key| (key.clone(), self.value_written(key, seen))).collect();
                    if !changes.is_empty() {
                        found.push(Found::Filed(seen, changes));
                    }
                }
            }
            if found.len() == limit {
                break;
            }
        }
        Ok((found, seen))
    }

    /// What the commit at `revision` wrote to `key`.
    fn value_written(&self, key: &Key, revision: Revision) -> Option<Value> {
        let versions = self.keys.get(key)?;
        let index = versions.binary_search_by_key(&revision, |version| version.modified).ok()?;
        versions[index].value.as_ref().map(Stored::value)
    }

    /// Forgets the commits up to `oldest` and the versions that only reads before it need.
    pub(crate) fn compact(&mut self, oldest: Revision) -> Result<(), StoreError> {
        if oldest > self.current {
            return Err(StoreError::Future { requested: oldest, current: self.current });
        }
        while self.oldest < oldest {
            self.oldest.0 += 1;
            let past = self.commits.pop_front().expect("the log reaches from oldest to current");
            match past {
                Past::Held(commit) => {
                    self.held -= 1;
                    self.held_bytes -= size(&commit.events);
                    for event in &commit.events {
                        self.trim(&event.key);
                    }
                }
                Past::Keys(keys) => keys.iter().for_each(|key| self.trim(key)),
            }
        }
        Ok(())
    }

    /// Drops the versions of `key` that no read at `oldest` or later sees.
    fn trim(&mut self, key: &Key) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let older = versions.partition_point(|version| version.modified <= self.oldest);
        if older == 0 {
            return;
        }
        let visible = older - 1;
        let dropped = if versions[visible].value.is_none() { older } else { visible };
        versions.drain(..dropped);
        if versions.is_empty() {
            self.keys.remove(key);
        }
    }

    /// When the next key expires, in milliseconds of the back end's clock.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The keys whose time is up at `now_ms`, in the order of their deadlines.
    pub(crate) fn expired(&self, now_ms: u64) -> Vec<Key> {
        self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now_ms).map(|(_, key)| key.clone()).collect()
    }
}

/// The version of a key that a read at `at` sees.
fn version_at(versions: &[Version], at: Revision) -> Option<(Revision, Value)> {
    let older = versions.partition_point(|version| version.modified <= at);
    let version = &versions[older.checked_sub(1)?];
    version.value.as_ref().map(|stored| (version.modified, stored.value()))
}

fn size(events: &[Event]) -> usize {
    let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
    events.iter().map(|event| event.key.len() + bytes(&event.value) + bytes(&event.previous)).sum()
}
