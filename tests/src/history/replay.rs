//! The state at every revision, from the store's own account.
//!
//! Upstream: none

use std::collections::{BTreeMap, HashMap};

use super::{Change, Item, Record};

/// What the store says happened, in the order of revisions.
pub struct Replay {
    /// By revision.
    changes: Vec<Change>,
    /// Per key the indexes of its changes.
    of_key: HashMap<String, Vec<usize>>,
    /// The index of the change that wrote a tag.
    of_tag: HashMap<String, usize>,
}

/// A key's value at some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present<'a> {
    pub revision: u64,
    pub tag: &'a str,
    pub label: &'a str,
}

impl Replay {
    /// The account in `records`, as it is there: [`super::revisions`] judges it.
    pub fn of(records: &[Record]) -> Replay {
        let changes = records.iter().filter_map(|record| match record {
            Record::Changed(change) => Some(change.clone()),
            _ => None,
        });
        let changes: Vec<Change> = changes.collect();
        let mut of_key: HashMap<String, Vec<usize>> = HashMap::new();
        let mut of_tag = HashMap::new();
        for (index, change) in changes.iter().enumerate() {
            of_key.entry(change.key.clone()).or_default().push(index);
            if let Some(tag) = &change.tag {
                of_tag.insert(tag.clone(), index);
            }
        }
        Replay { changes, of_key, of_tag }
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The change that wrote `tag`.
    pub fn with_tag(&self, tag: &str) -> Option<&Change> {
        self.of_tag.get(tag).map(|index| &self.changes[*index])
    }

    /// The change at `revision` of `key`.
    pub fn at(&self, key: &str, revision: u64) -> Option<&Change> {
        self.history(key).find(|change| change.revision == revision)
    }

    /// The changes of a key.
    pub fn history(&self, key: &str) -> impl DoubleEndedIterator<Item = &Change> {
        self.of_key.get(key).into_iter().flatten().map(|index| &self.changes[*index])
    }

    /// The key's value as of `revision`.
    pub fn present(&self, key: &str, revision: u64) -> Option<Present<'_>> {
        let indexes = self.of_key.get(key)?;
        let count = indexes.partition_point(|index| self.changes[*index].revision <= revision);
        let change = &self.changes[indexes[count.checked_sub(1)?]];
        change.tag.as_deref().map(|tag| Present { revision: change.revision, tag, label: &change.label })
    }

    /// Goes through the states, from the first one on.
    pub fn states(&self) -> States<'_> {
        States { rest: &self.changes, present: BTreeMap::new() }
    }
}

/// The state at one revision after another.
pub struct States<'a> {
    /// The changes that are still to come.
    rest: &'a [Change],
    present: BTreeMap<&'a str, (u64, &'a str)>,
}

impl States<'_> {
    /// All keys that begin with `prefix`, as of `revision`, which must not go down from call to call.
    pub fn at(&mut self, revision: u64, prefix: &str) -> Vec<Item> {
        let (now, rest) = self.rest.split_at(self.rest.partition_point(|change| change.revision <= revision));
        self.rest = rest;
        for change in now {
            match &change.tag {
                Some(tag) => self.present.insert(&change.key, (change.revision, tag)),
                None => self.present.remove(change.key.as_str()),
            };
        }
        let selected = self.present.range(prefix..).take_while(|(key, _)| key.starts_with(prefix));
        let item = |(key, (revision, tag)): (&&str, &(u64, &str))| Item {
            key: (*key).to_owned(),
            revision: *revision,
            tag: (*tag).to_owned(),
        };
        selected.map(item).collect()
    }
}
