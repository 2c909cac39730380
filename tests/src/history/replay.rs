//! The state at every revision, from the store's own account.

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

    /// All keys that begin with `prefix`, as of `revision`.
    pub fn state(&self, prefix: &str, revision: u64) -> Vec<Item> {
        let mut state = BTreeMap::new();
        let count = self.changes.partition_point(|change| change.revision <= revision);
        for change in self.changes[..count].iter().filter(|change| change.key.starts_with(prefix)) {
            match &change.tag {
                Some(tag) => state.insert(&change.key, (change.revision, tag)),
                None => state.remove(&change.key),
            };
        }
        let item =
            |(key, (revision, tag)): (&String, (u64, &String))| Item { key: key.clone(), revision, tag: tag.clone() };
        state.into_iter().map(item).collect()
    }
}
