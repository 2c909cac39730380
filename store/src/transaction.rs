//! Decides a transaction: do its compares hold, and what does it write?
//!
//! Upstream: etcd's server/etcdserver/apply (Txn), without its branches on failure
//! Left out: nested transactions; ranges as operations (a delete of a range is many keys' deletes here).

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;

use crate::{Compare, Key, Op, Revision, StoreError, Txn};

/// The most compares, and the most operations, in one transaction: etcd's `--max-txn-ops`.
pub const MAX_OPERATIONS: usize = 128;

/// A key's present value.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) modified: Revision,
    pub(crate) value: Bytes,
}

/// What a transaction does to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Key,
    /// `None` removes the key.
    pub(crate) value: Option<Bytes>,
    pub(crate) ttl: Option<Duration>,
}

/// The changes that `txn` makes to the state that `present` shows, in key order.
///
/// Compares are judged in order before any ledger; deletes of absent keys are left out, so the answer may be empty.
pub(crate) fn evaluate(txn: &Txn, present: impl Fn(&Key) -> Option<Present>) -> Result<Vec<Change>, StoreError> {
    check_shape(txn)?;
    for compare in &txn.compares {
        check_compare(compare, present(compare.key()).map(|present| present.modified))?;
    }
    let mut changes = Vec::with_capacity(txn.ops.len());
    for op in &txn.ops {
        match op {
            Op::Put { key, value, ttl } => {
                changes.push(Change { key: key.clone(), value: Some(value.clone()), ttl: *ttl });
            }
            Op::Delete { key } => {
                if present(key).is_some() {
                    changes.push(Change { key: key.clone(), value: None, ttl: None });
                }
            }
            Op::Add { ledger, delta, ceiling } => {
                let sum = add(ledger, present(ledger).map(|present| present.value).as_deref(), *delta, *ceiling)?;
                changes.push(Change { key: ledger.clone(), value: Some(sum.to_string().into()), ttl: None });
            }
        }
    }
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(changes)
}

/// Refuses a transaction that no back end could run, whatever the state.
pub(crate) fn check_shape(txn: &Txn) -> Result<(), StoreError> {
    if txn.compares.len() > MAX_OPERATIONS || txn.ops.len() > MAX_OPERATIONS {
        return Err(StoreError::Invalid(format!(
            "{} compares and {} operations, at most {MAX_OPERATIONS} of each",
            txn.compares.len(),
            txn.ops.len()
        )));
    }
    let mut seen = HashSet::new();
    for op in &txn.ops {
        if op.key().is_empty() {
            return Err(StoreError::Invalid("a key is empty".into()));
        }
        if !seen.insert(op.key()) {
            return Err(StoreError::Invalid(format!("{:?} is written twice in one transaction", op.key())));
        }
    }
    Ok(())
}

/// Judges one compare; `actual` is the revision of the key's present value.
pub(crate) fn check_compare(compare: &Compare, actual: Option<Revision>) -> Result<(), StoreError> {
    let holds = match compare {
        Compare::Absent(_) => actual.is_none(),
        Compare::Modified(_, expected) => actual == Some(*expected),
    };
    if holds {
        return Ok(());
    }
    Err(StoreError::Conflict { key: compare.key().clone(), actual: actual.unwrap_or_default() })
}

/// The new value of a ledger that holds `current` (decimal text; absent is 0).
///
/// The ceiling binds only what grows: units can be given back to a ledger whose ceiling was lowered below it.
pub(crate) fn add(ledger: &Key, current: Option<&[u8]>, delta: i64, ceiling: Option<i64>) -> Result<i64, StoreError> {
    let current = match current {
        None => 0,
        Some(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(|| StoreError::Invalid(format!("the ledger {ledger:?} does not hold a number")))?,
    };
    let refused = StoreError::Ceiling { ledger: ledger.clone(), current, delta };
    let sum = current.checked_add(delta).ok_or(refused.clone())?;
    let too_much = delta > 0 && ceiling.is_some_and(|ceiling| sum > ceiling);
    if too_much || sum < 0 { Err(refused) } else { Ok(sum) }
}

impl Compare {
    /// The key that is compared.
    pub fn key(&self) -> &Key {
        match self {
            Compare::Absent(key) | Compare::Modified(key, _) => key,
        }
    }
}

impl Op {
    /// The key that is written.
    pub fn key(&self) -> &Key {
        match self {
            Op::Put { key, .. } | Op::Delete { key } | Op::Add { ledger: key, .. } => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: Option<&str>, delta: i64, ceiling: Option<i64>, expected: Option<i64>) {
        let answer = add(&Key::from_static(b"ledger"), current.map(str::as_bytes), delta, ceiling);
        assert_eq!(answer.ok(), expected, "{current:?} + {delta} under {ceiling:?}");
    }

    #[test]
    fn a_ledger_grows_up_to_its_ceiling_and_never_falls_below_zero() {
        check(None, 1, None, Some(1));
        check(Some("4"), 1, Some(5), Some(5));
        check(Some("5"), 1, Some(5), None);
        check(Some("5"), -5, Some(5), Some(0));
        check(Some("5"), -6, Some(5), None);
        check(None, -1, None, None);
        check(Some("9223372036854775807"), 1, None, None);
    }

    #[test]
    fn units_can_be_given_back_to_a_ledger_above_its_ceiling() {
        check(Some("9"), -1, Some(5), Some(8));
        check(Some("9"), 0, Some(5), Some(9));
    }

    #[test]
    fn a_ledger_that_is_not_a_number_is_an_error() {
        check(Some("many"), 1, None, None);
    }
}
