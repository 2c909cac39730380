//! Decides a batch: its transactions one after the other, each on the state that the one before leaves. Pure.
//!
//! Upstream: none; etcd applies entries one by one after they are durable
//! Left out: nothing.

use std::collections::HashMap;

use super::frame::Transaction;
use crate::{
    Key, Op, Revision, StoreError, Txn,
    history::History,
    transaction::{Change, Present, evaluate},
};

/// Which transactions there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    All,
    /// The disk is full: those that delete something.
    Deletes,
    /// Nothing can be written.
    Nothing,
}

/// A batch as it is put together.
pub(super) struct Stage<'a> {
    history: &'a History,
    accept: Accept,
    /// In the order of their revisions, which follow the history's.
    pub(super) transactions: Vec<Transaction>,
    /// What they write, over the history.
    written: HashMap<Key, Option<Present>>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(history: &'a History, accept: Accept) -> Stage<'a> {
        Stage { history, accept, transactions: Vec::new(), written: HashMap::new() }
    }

    /// The revision after the transactions so far.
    pub(super) fn current(&self) -> Revision {
        Revision(self.history.current().0 + self.transactions.len() as u64)
    }

    /// Adds a transaction; what its writer is to be told when the batch is durable.
    pub(super) fn transact(&mut self, txn: &Txn) -> Result<Revision, StoreError> {
        let changes = evaluate(txn, |key| self.present(key))?;
        if changes.is_empty() {
            return Ok(self.current());
        }
        let deletes = txn.ops.iter().any(|op| matches!(op, Op::Delete { .. }));
        if self.accept == Accept::Nothing || (self.accept == Accept::Deletes && !deletes) {
            return Err(StoreError::NoSpace("the disk is full; make room on it, or delete objects".into()));
        }
        Ok(self.add(changes))
    }

    /// Adds the end of a key's TTL, at a revision of its own.
    pub(super) fn expire(&mut self, key: Key) {
        if self.accept != Accept::Nothing && self.present(&key).is_some() {
            self.add(vec![Change { key, value: None, ttl: None }]);
        }
    }

    fn add(&mut self, changes: Transaction) -> Revision {
        let modified = Revision(self.current().0 + 1);
        for change in &changes {
            let present = change.value.clone().map(|value| Present { modified, value });
            self.written.insert(change.key.clone(), present);
        }
        self.transactions.push(changes);
        modified
    }

    fn present(&self, key: &Key) -> Option<Present> {
        self.written.get(key).cloned().unwrap_or_else(|| self.history.present(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compare, history::EMPTY};

    fn put(key: &'static str) -> Op {
        Op::Put { key: key.into(), value: "v".into(), ttl: None }
    }

    fn txn(compares: Vec<Compare>, ops: Vec<Op>) -> Txn {
        Txn { compares, ops }
    }

    #[test]
    fn a_transaction_sees_what_those_before_it_in_the_batch_wrote() {
        let history = History::beginning_at(EMPTY, 0);
        let mut stage = Stage::new(&history, Accept::All);
        let create = txn(vec![Compare::Absent("a".into())], vec![put("a")]);
        assert_eq!(stage.transact(&create).unwrap(), Revision(2));
        match stage.transact(&create) {
            Err(StoreError::Conflict { actual, .. }) => assert_eq!(actual, Revision(2)),
            other => panic!("{other:?}"),
        }
        let update = txn(vec![Compare::Modified("a".into(), Revision(2))], vec![put("a")]);
        assert_eq!(stage.transact(&update).unwrap(), Revision(3));
        assert_eq!(stage.transact(&txn(vec![], vec![Op::Delete { key: "b".into() }])).unwrap(), Revision(3));
        stage.expire("a".into());
        assert_eq!(stage.transact(&create).unwrap(), Revision(5));
    }

    #[test]
    fn on_a_full_disk_only_what_deletes_is_taken() {
        let history = History::beginning_at(EMPTY, 0);
        let mut all = Stage::new(&history, Accept::All);
        all.transact(&txn(vec![], vec![put("a")])).unwrap();
        let written = std::mem::take(&mut all.written);
        let mut stage = Stage { written, ..Stage::new(&history, Accept::Deletes) };
        assert!(matches!(stage.transact(&txn(vec![], vec![put("b")])), Err(StoreError::NoSpace(_))));
        let delete = txn(vec![], vec![Op::Delete { key: "a".into() }, put("provenance")]);
        assert!(stage.transact(&delete).is_ok());
        let refused = txn(vec![Compare::Absent("provenance".into())], vec![put("b")]);
        assert!(matches!(stage.transact(&refused), Err(StoreError::Conflict { .. })), "the cause comes first");
    }
}
