//! One change of one object, and its encoded forms.
//!
//! Upstream: apiserver/pkg/storage/cacher/caching_object.go, where each watcher wraps the object again
//! Left out: protobuf and CBOR frames.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use store::Revision;

use crate::object::Object;

/// One change. Each of its frames is encoded at most once, whoever asks, and shared by all watchers.
#[derive(Debug)]
pub struct Event {
    pub revision: Revision,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
    added: OnceLock<Bytes>,
    modified: OnceLock<Bytes>,
    deleted: OnceLock<Bytes>,
}

/// What a change is to one watcher, whose selector may match the object before, after, both or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// The change that a watcher sees whose selector matched before and after as given; `None`: nothing.
    pub fn seen(before: bool, after: bool) -> Option<Change> {
        match (before, after) {
            (false, true) => Some(Change::Added),
            (true, true) => Some(Change::Modified),
            (true, false) => Some(Change::Deleted),
            (false, false) => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        }
    }
}

impl Event {
    pub fn new(revision: Revision, before: Option<Arc<Object>>, after: Option<Arc<Object>>) -> Event {
        Event { revision, before, after, added: OnceLock::new(), modified: OnceLock::new(), deleted: OnceLock::new() }
    }

    /// The object as a watcher is shown it: a deletion shows the last state that matched, under the event's revision.
    pub fn object(&self, change: Change) -> Bytes {
        match (change, &self.after, &self.before) {
            (Change::Added | Change::Modified, Some(after), _) => after.bytes(),
            (_, _, Some(before)) => before.at(self.revision),
            (_, Some(after), None) => after.bytes(),
            (_, None, None) => Bytes::new(),
        }
    }

    /// The JSON line that goes on the wire.
    pub fn frame(&self, change: Change) -> Bytes {
        let cell = match change {
            Change::Added => &self.added,
            Change::Modified => &self.modified,
            Change::Deleted => &self.deleted,
        };
        cell.get_or_init(|| frame(change.name(), &self.object(change))).clone()
    }
}

/// The line `{"type":"TYPE","object":...}`.
pub fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
