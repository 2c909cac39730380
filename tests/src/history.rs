//! The history of a run: what clients asked and were told, what watches showed, and what the store says happened.
//!
//! Upstream: etcd's tests/robustness (model, validate, report)
//! Left out: searching for an order of operations. Every write that took place has a revision, and the store promises
//! that this is the order; so checking takes one pass.
//!
//! A history is JSON lines, one [`Record`] each, so that a failed run can be kept and looked at. Every write carries a
//! tag that no other has: a write whose outcome nobody was told is found by it. Times are nanoseconds of one steady
//! clock; a client has one operation at a time. [`check`] holds the invariants of one run:
//!
//! * I01 no acknowledged write is lost, I02 revisions strictly increase, I03 in an order that real time allows, I04
//!   nothing that was seen disappears: [`revisions`]
//! * I06 a list is exactly the state at its revision, and not older than what was acknowledged before: [`lists`]
//! * I05 the properties of a watch, I07 a gap is never silent: [`watches`]

pub mod lists;
pub mod replay;
pub mod revisions;
pub mod watches;

use std::{
    fmt,
    io::{self, BufRead, Write},
};

use serde::{Deserialize, Serialize};

pub use replay::Replay;

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A client is about to ask; when the run ends before the answer, the outcome is unknown.
    Called(Called),
    /// A client was told.
    Returned {
        client: u32,
        id: u64,
        at_ns: u64,
        answer: Answer,
    },
    /// The store's own account, from a reader that misses nothing.
    Changed(Change),
    /// History before this revision may be gone from `at_ns` on.
    Compacted {
        revision: u64,
        at_ns: u64,
    },
    WatchOpened(WatchOpened),
    Shown {
        watch: u32,
        at_ns: u64,
        event: Event,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    pub client: u32,
    /// Counts the client's operations.
    pub id: u64,
    pub at_ns: u64,
    pub request: Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Create {
        key: String,
        tag: String,
    },
    /// Replaces what is there; only the value of revision `expected`, when given.
    Update {
        key: String,
        tag: String,
        expected: Option<u64>,
    },
    Delete {
        key: String,
        expected: Option<u64>,
    },
    /// Reads all keys that begin with `prefix`, now or at a revision.
    List {
        prefix: String,
        at: Option<u64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Written {
        revision: u64,
    },
    Listed {
        revision: u64,
        items: Vec<Item>,
    },
    /// It took place; at which revision was not said (a delete that is answered with a Status).
    Done,
    /// Refused for the state that was found: exists already, conflict, not found.
    Refused,
    /// It may have happened or not: a timeout, a broken connection, a server error.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    pub key: String,
    pub revision: u64,
    pub tag: String,
}

/// What a transaction did to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub revision: u64,
    pub key: String,
    /// `None` is a delete.
    pub tag: Option<String>,
    /// What selectors of watches go by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchOpened {
    pub watch: u32,
    pub at_ns: u64,
    pub prefix: String,
    /// Only objects with this label.
    pub label: Option<String>,
    /// Shows what comes after this revision.
    pub after: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Added(Item),
    Modified(Item),
    /// The last state, at the revision of the delete (or of the write that took it out of the selection).
    Deleted(Item),
    /// Everything up to this revision was shown.
    Bookmark {
        revision: u64,
    },
    /// The watch can't go on: 410.
    Gone,
}

/// An operation with its outcome.
#[derive(Debug, Clone)]
pub struct Operation {
    pub called: Called,
    /// `None`: the run ended first.
    pub returned_ns: Option<u64>,
    pub answer: Answer,
}

/// What a run broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// As RELIABILITY's table has it.
    pub invariant: &'static str,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// The first violations only: one cause may break a thousand things.
const SHOWN: usize = 20;

/// Everything that is wrong with a run, at most twenty findings of each checker.
pub fn check(records: &[Record]) -> Vec<Violation> {
    let replay = Replay::of(records);
    let operations = operations(records);
    let mut violations = Vec::new();
    for found in
        [revisions::check(&operations, &replay), lists::check(&operations, &replay), watches::check(records, &replay)]
    {
        violations.extend(found.into_iter().take(SHOWN));
    }
    violations
}

/// Panics when a run broke something, with what it was, and keeps the history beside the other temporary files.
pub fn assert_holds(run: &str, records: &[Record]) {
    let violations = check(records);
    if violations.is_empty() {
        return;
    }
    let shown: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
    let path = std::env::temp_dir().join(format!("skiff-history-{run}.jsonl"));
    let kept = match std::fs::File::create(&path).and_then(|file| write(io::BufWriter::new(file), records)) {
        Ok(()) => format!("its history is in {}", path.display()),
        Err(error) => format!("its history can't be kept in {}: {error}", path.display()),
    };
    panic!("the run {run} broke its promises; {kept}\n{shown}");
}

/// The operations of a history, in the order of their calls.
pub fn operations(records: &[Record]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut open = std::collections::HashMap::new();
    for record in records {
        match record {
            Record::Called(called) => {
                open.insert((called.client, called.id), operations.len());
                operations.push(Operation { called: called.clone(), returned_ns: None, answer: Answer::Unknown });
            }
            Record::Returned { client, id, at_ns, answer } => {
                if let Some(operation) = open.remove(&(*client, *id)).map(|index| &mut operations[index]) {
                    // An unknown outcome may still come about later: it has no end.
                    operation.returned_ns = (*answer != Answer::Unknown).then_some(*at_ns);
                    operation.answer = answer.clone();
                }
            }
            _ => {}
        }
    }
    operations.sort_by_key(|operation| operation.called.at_ns);
    operations
}

/// Writes a history as JSON lines.
///
/// # Errors
/// The writer's.
pub fn write(mut to: impl Write, records: &[Record]) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut to, record)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// Reads a history; a last line that was cut off, by a process that was killed, is left out.
///
/// # Errors
/// The reader's, and a line that is no record.
pub fn read(from: impl BufRead) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut lines = from.lines().peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_str(&line?) {
            Ok(record) => records.push(record),
            Err(error) if error.is_eof() && lines.peek().is_none() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
