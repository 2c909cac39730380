//! A run of the store whose operations on the disk are recorded.
//!
//! Upstream: etcd's tests/robustness/client, where runs are recorded
//! Left out: reads; nothing on disk hangs on them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use futures::{executor::block_on, future::join_all};
use store::{
    Op, Range, Revision, Store, Txn,
    embedded::{Embedded, Operation, Options, Tap, Verdict},
};

/// An operation that was carried out.
#[derive(Debug, Clone)]
pub enum Recorded {
    Create(String),
    Write(String, u64, Vec<u8>),
    Sync(String),
    Rename(String, String),
    Remove(String),
    SyncDirectory,
    Answer(Revision),
}

impl Recorded {
    pub fn answered(&self) -> Option<Revision> {
        if let Recorded::Answer(revision) = self { Some(*revision) } else { None }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recorded::Write(name, offset, bytes) => write!(f, "write {} at {offset} of {name}", bytes.len()),
            other => write!(f, "{other:?}"),
        }
    }
}

/// `key -> (value, modified)` after every revision of a run.
#[derive(Default)]
pub struct Reference {
    changes: BTreeMap<Revision, (String, Option<String>)>,
}

pub type State = BTreeMap<String, (String, Revision)>;

impl Reference {
    /// A change that was answered with `revision`. A delete of what is not there has no revision of its own.
    pub fn note(&mut self, revision: Revision, key: String, value: Option<String>) {
        self.changes.entry(revision).or_insert((key, value));
    }

    pub fn state_at(&self, revision: Revision) -> State {
        let mut state = State::new();
        for (modified, (key, value)) in self.changes.range(..=revision) {
            match value {
                Some(value) => state.insert(key.clone(), (value.clone(), *modified)),
                None => state.remove(key),
            };
        }
        state
    }

    pub fn last(&self) -> Revision {
        self.changes.last_key_value().map_or(Revision(1), |(revision, _)| *revision)
    }
}

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a run did.
pub struct Recording {
    pub operations: Vec<Recorded>,
    pub reference: Reference,
}

impl Recording {
    pub fn has_written(&self, prefix: &str) -> bool {
        let begins = |operation: &Recorded| matches!(operation, Recorded::Rename(_, to) if to.starts_with(prefix));
        self.operations.iter().any(begins)
    }
}

/// A directory in memory, where there is one: what is proved here does not depend on the real disk.
pub fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn state(store: &Embedded) -> (State, Revision) {
    let snapshot = block_on(store.range(Range::all(), None, None)).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let items = snapshot.items.iter().map(|item| (text(&item.key), (text(&item.value), item.modified)));
    (items.collect(), snapshot.revision)
}

/// Writes about `writes` transactions, four at a time, and compacts now and then; `judge` decides what a broken build
/// leaves out. The recording ends while the store is still open.
pub fn run(
    options: &Options,
    writes: usize,
    judge: impl Fn(&Operation<'_>) -> Verdict + Send + Sync + 'static,
) -> Recording {
    let directory = fast_directory();
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let tap: Tap = {
        let shared = shared.clone();
        Arc::new(move |operation| {
            let verdict = judge(operation);
            if verdict == Verdict::Go {
                shared.0.lock().unwrap().extend(recorded(operation));
                shared.1.notify_all();
            }
            Ok(verdict)
        })
    };
    let store = Embedded::open_with(directory.path(), Options { tap: Some(tap), ..options.clone() }).unwrap();
    let mut reference = Reference::default();
    for round in 0..writes / 4 {
        let changes: Vec<_> = (0..4).map(|writer| change(round, writer)).collect();
        let transact = async |(key, value): &(String, Option<String>)| {
            let key = store::Key::from(key.clone());
            let op = match value {
                Some(value) => Op::Put { key, value: value.clone().into(), ttl: None },
                None => Op::Delete { key },
            };
            store.transact(Txn { compares: vec![], ops: vec![op] }).await.unwrap()
        };
        let revisions = block_on(join_all(changes.iter().map(transact)));
        for (revision, (key, value)) in revisions.into_iter().zip(changes) {
            reference.note(revision, key, value);
        }
        if round % 6 == 5 {
            let current = block_on(store.current()).unwrap();
            block_on(store.compact(Revision(current.0 - 4))).unwrap();
        }
    }
    let operations = shared.0.lock().unwrap();
    let no_checkpoint = |operations: &mut Vec<Recorded>| {
        !operations.iter().any(|operation| matches!(operation, Recorded::Remove(name) if name.starts_with("log-")))
    };
    let (mut operations, waited) = shared.1.wait_timeout_while(operations, PATIENCE, no_checkpoint).unwrap();
    assert!(!waited.timed_out(), "the run is long enough for a checkpoint to stand in for a segment");
    Recording { operations: std::mem::take(&mut *operations), reference }
}

/// What a writer writes in a round: values of its own key, and now and then a delete.
fn change(round: usize, writer: usize) -> (String, Option<String>) {
    let key = format!("/k/{writer}");
    let value = format!("{round}.{writer} {}", "x".repeat((round * 53 + writer * 17) % 400));
    (key, (round % 7 != 6).then_some(value))
}

fn recorded(operation: &Operation<'_>) -> Option<Recorded> {
    Some(match operation {
        Operation::Create { name } => Recorded::Create((*name).into()),
        Operation::Write { name, offset, bytes } => Recorded::Write((*name).into(), *offset, bytes.to_vec()),
        Operation::Sync { name } => Recorded::Sync((*name).into()),
        Operation::Rename { from, to } => Recorded::Rename((*from).into(), (*to).into()),
        Operation::Remove { name } => Recorded::Remove((*name).into()),
        Operation::SyncDirectory => Recorded::SyncDirectory,
        Operation::Answer { revision } => Recorded::Answer(*revision),
        Operation::Publish { .. } => return None,
    })
}
