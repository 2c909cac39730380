//! A transaction as one Txn of etcd, and ledgers on top of its compares.
//!
//! Upstream: apiserver/pkg/storage/etcd3/store.go (GuaranteedUpdate); upstream has no ledgers, its quota and allocators
//! retry on objects
//! Left out: nothing.
//!
//! etcd can't add. So `Add` becomes "put this sum if the ledger is still as I know it", tried again with what the
//! refusal shows. Writers of this process queue per ledger, so that they don't refuse each other; between two API
//! servers the compare decides.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use etcd_client::{Compare as EtcdCompare, CompareOp, PutOptions, Txn as EtcdTxn, TxnOp, TxnOpResponse};
use tokio::sync::OwnedMutexGuard;

use super::{Connection, DECODE_LIMIT, Failure, in_time, lease::Leases, number, revision};
use crate::{
    Compare, Key, MAX_OPERATIONS, Op, Revision, StoreError, Txn,
    transaction::{Present, add, check_shape, evaluate},
};

/// What is known of some keys; a key that was looked at and has no value is `None`.
type Known = HashMap<Key, Option<Present>>;

/// One queue per ledger, with what the last one in it knew.
#[derive(Default)]
pub(super) struct Ledgers {
    queues: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Option<Present>>>>>,
}

impl Ledgers {
    /// Waits for the turn at each ledger, in key order, so that two transactions never wait for each other.
    async fn turns(&self, ledgers: &BTreeSet<Key>) -> Vec<(Key, OwnedMutexGuard<Option<Present>>)> {
        let mut turns = Vec::with_capacity(ledgers.len());
        for ledger in ledgers {
            let queue = {
                let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
                queues.entry(ledger.clone()).or_default().clone()
            };
            turns.push((ledger.clone(), queue.lock_owned().await));
        }
        turns
    }
}

/// Runs a transaction.
///
/// # Errors
/// As [`crate::Store::transact`].
pub(super) async fn transact(
    connection: &Connection,
    ledgers: &Ledgers,
    leases: &Leases,
    txn: Txn,
) -> Result<Revision, StoreError> {
    check_shape(&txn)?;
    let names = txn.ops.iter().filter_map(|op| match op {
        Op::Add { ledger, .. } => Some(ledger.clone()),
        _ => None,
    });
    let names: BTreeSet<Key> = names.collect();
    if txn.compares.len() + names.len() > MAX_OPERATIONS {
        return Err(StoreError::Invalid(format!("more than {MAX_OPERATIONS} compares and ledgers")));
    }
    let mut turns = ledgers.turns(&names).await;
    let mut known: Known =
        turns.iter().filter_map(|(ledger, last)| Some((ledger.clone(), Some((**last).clone()?)))).collect();
    let mut looked = names.is_empty();
    let result = loop {
        let sums = match sums(&txn, &known) {
            Some(Ok(sums)) => sums,
            // Never refuse for what was known from before.
            None | Some(Err(_)) if !looked => {
                known = look(connection, &txn, &names).await?;
                looked = true;
                evaluate(&txn, |key| known.get(key).cloned().flatten())?;
                continue;
            }
            Some(Err(error)) => break Err(error),
            None => break Err(StoreError::Unavailable("etcd did not show a ledger that was asked for".into())),
        };
        match attempt(connection, leases, &txn, &names, &known, &sums).await? {
            Attempt::Done(written) => {
                let present = |sum: &i64| Present { modified: written, value: sum.to_string().into() };
                known.extend(sums.iter().map(|(ledger, sum)| (ledger.clone(), Some(present(sum)))));
                break Ok(written);
            }
            Attempt::Refused(seen) => {
                known = seen;
                looked = true;
                evaluate(&txn, |key| known.get(key).cloned().flatten())?;
            }
            Attempt::LeaseGone => leases.forget().await,
        }
    };
    for (ledger, last) in &mut turns {
        **last = known.get(&*ledger).cloned().flatten();
    }
    result
}

/// The new values of the transaction's ledgers; `None` when one of them is not known.
fn sums(txn: &Txn, known: &Known) -> Option<Result<HashMap<Key, i64>, StoreError>> {
    let mut sums = HashMap::new();
    for op in &txn.ops {
        if let Op::Add { ledger, delta, ceiling } = op {
            let current = known.get(ledger)?.as_ref().map(|present| &present.value[..]);
            match add(ledger, current, *delta, *ceiling) {
                Ok(sum) => sums.insert(ledger.clone(), sum),
                Err(error) => return Some(Err(error)),
            };
        }
    }
    Some(Ok(sums))
}

enum Attempt {
    Done(Revision),
    /// A compare failed, ours of a ledger or one of the caller's; this is what all of them saw.
    Refused(Known),
    LeaseGone,
}

async fn attempt(
    connection: &Connection,
    leases: &Leases,
    txn: &Txn,
    ledgers: &BTreeSet<Key>,
    known: &Known,
    sums: &HashMap<Key, i64>,
) -> Result<Attempt, StoreError> {
    let mut compares = Vec::new();
    let at = |key: &Key, revision| EtcdCompare::mod_revision(connection.full(key), CompareOp::Equal, number(revision));
    for compare in &txn.compares {
        compares.push(match compare {
            Compare::Absent(key) => at(key, Revision(0)),
            Compare::Modified(key, revision) => at(key, *revision),
        });
    }
    for ledger in ledgers {
        let modified = known.get(ledger).and_then(Option::as_ref).map_or(Revision(0), |present| present.modified);
        compares.push(at(ledger, modified));
    }
    let mut writes = Vec::new();
    for op in &txn.ops {
        let key = connection.full(op.key());
        writes.push(match op {
            Op::Put { value, ttl: None, .. } => TxnOp::put(key, &value[..], None),
            Op::Put { value, ttl: Some(ttl), .. } => {
                let lease = leases.lease(connection, *ttl).await.map_err(Failure::of_a_read)?;
                TxnOp::put(key, &value[..], Some(PutOptions::new().with_lease(lease)))
            }
            Op::Delete { .. } => TxnOp::delete(key, None),
            Op::Add { ledger, .. } => TxnOp::put(key, sums[ledger].to_string(), None),
        });
    }
    let request = EtcdTxn::new().when(compares).and_then(writes).or_else(gets(connection, txn, ledgers));
    match in_time(kv(connection).txn(request)).await {
        Ok(answer) if answer.succeeded() => {
            Ok(Attempt::Done(revision(answer.header().map_or(0, |header| header.revision()))))
        }
        Ok(answer) => Ok(Attempt::Refused(seen(connection, txn, ledgers, answer.op_responses()))),
        Err(Failure::LeaseGone) => Ok(Attempt::LeaseGone),
        Err(failure) => Err(failure.of_a_write()),
    }
}

/// Reads every key that the transaction compares or adds to, at one revision.
async fn look(connection: &Connection, txn: &Txn, ledgers: &BTreeSet<Key>) -> Result<Known, StoreError> {
    let request = EtcdTxn::new().and_then(gets(connection, txn, ledgers));
    let answer = in_time(kv(connection).txn(request)).await.map_err(Failure::of_a_read)?;
    Ok(seen(connection, txn, ledgers, answer.op_responses()))
}

fn kv(connection: &Connection) -> etcd_client::KvClient {
    connection.client.kv_client().max_decoding_message_size(DECODE_LIMIT).max_encoding_message_size(DECODE_LIMIT)
}

fn looked_at<'a>(txn: &'a Txn, ledgers: &'a BTreeSet<Key>) -> impl Iterator<Item = &'a Key> {
    txn.compares.iter().map(Compare::key).chain(ledgers)
}

fn gets(connection: &Connection, txn: &Txn, ledgers: &BTreeSet<Key>) -> Vec<TxnOp> {
    looked_at(txn, ledgers).map(|key| TxnOp::get(connection.full(key), None)).collect()
}

fn seen(connection: &Connection, txn: &Txn, ledgers: &BTreeSet<Key>, answers: Vec<TxnOpResponse>) -> Known {
    let mut known: Known = looked_at(txn, ledgers).map(|key| (key.clone(), None)).collect();
    for answer in answers {
        let TxnOpResponse::Get(mut answer) = answer else { continue };
        for item in answer.take_kvs() {
            let modified = revision(item.mod_revision());
            let (key, value) = item.into_key_value();
            known.insert(connection.own(&key), Some(Present { modified, value: value.into() }));
        }
    }
    known
}
