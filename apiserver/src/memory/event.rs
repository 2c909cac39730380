//! One change of one object, and its encoded forms.
//!
//! Upstream: apiserver/pkg/storage/cacher/caching_object.go, where each watcher wraps the object again
//! Left out: CBOR frames.

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
    /// The same in protobuf; made when somebody first asks for it.
    protobuf: OnceLock<Box<[OnceLock<Bytes>; 3]>>,
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
        let (added, modified, deleted, protobuf) = Default::default();
        Event { revision, before, after, added, modified, deleted, protobuf }
    }

    /// The object as a watcher is shown it: a deletion shows the last state that matched, under the event's revision.
    pub fn object(&self, change: Change) -> Bytes {
        self.shown(change).map_or_else(Bytes::new, |object| object.at(self.revision))
    }

    fn shown(&self, change: Change) -> Option<&Object> {
        let (first, second) = match change {
            Change::Added | Change::Modified => (&self.after, &self.before),
            Change::Deleted => (&self.before, &self.after),
        };
        first.as_ref().or(second.as_ref()).map(|object| &**object)
    }

    /// The protobuf frame that goes on the wire. `encode` makes it of the object; every watcher's is the same.
    pub fn protobuf_frame(&self, change: Change, encode: impl FnOnce(&[u8]) -> Bytes) -> Bytes {
        let cells = self.protobuf.get_or_init(Box::default);
        cells[change as usize].get_or_init(|| encode(&self.object(change))).clone()
    }

    /// The JSON line that goes on the wire.
    pub fn frame(&self, change: Change) -> Bytes {
        let cell = match change {
            Change::Added => &self.added,
            Change::Modified => &self.modified,
            Change::Deleted => &self.deleted,
        };
        let encode = || {
            let object = self.shown(change);
            let length = object.map_or(0, |object| object.stored().len());
            line(change.name(), length, |line| {
                if let Some(object) = object {
                    object.write_whole(line, self.revision);
                }
            })
        };
        cell.get_or_init(encode).clone()
    }
}

/// The line `{"type":"TYPE","object":...}`.
pub fn frame(kind: &str, object: &[u8]) -> Bytes {
    line(kind, object.len(), |line| line.extend_from_slice(object))
}

fn line(kind: &str, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut line = Vec::with_capacity(length + 96);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    write(&mut line);
    line.extend_from_slice(b"}\n");
    line.into()
}
