//! The one way into the store: a write of one object, with its provenance, at one revision.
//!
//! Upstream: apiserver/pkg/storage/etcd3/store.go (Create, GuaranteedUpdate, Delete)
//! Left out: encryption at rest.

use std::{sync::Arc, time::Duration};

use api::status::Status;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use store::{Compare, Op, Revision, StoreError, Txn};

use super::call::Call;
use crate::{
    capacity, leadership,
    memory::{OBJECTS, store_key},
    object::{Draft, Object, ObjectKey},
    quota,
    row::Row,
};

/// The prefix of provenance keys: `/provenance/` and the rest of the object's key.
pub const PROVENANCE: &str = "/provenance/";

/// How long it is remembered who deleted an object.
const PROVENANCE_OF_DELETES: Duration = Duration::from_secs(3600);

/// An object larger than this is refused, as etcd refuses it.
const OBJECT_LIMIT_BYTES: usize = 1_572_864;

/// What happens to an object.
pub enum Change {
    Create(Draft),
    Update(Draft, Revision),
    Delete(Revision),
}

/// Why a write did not happen.
pub enum WriteError {
    /// The object is not at the revision that the change builds on; `actual` 0: it is not there.
    Raced {
        actual: Revision,
    },
    /// One of the additional keys was taken: the allocation must be tried again with another candidate.
    Taken,
    /// The node has not that much of the resource left.
    Full {
        node: String,
        resource: String,
    },
    Failed(Status),
}

/// Writes the change together with `more` (allocations: compares and ops on other keys), and returns the object that
/// now stands in the store; for a delete nothing but the revision of the delete.
///
/// When this returns, every later read on this server shows the change.
pub async fn write(call: &Call<'_>, key: &ObjectKey, change: Change, more: Txn) -> Result<Arc<Object>, WriteError> {
    let row = call.stored_row();
    let store_key = store_key(row, key);
    let Txn { mut compares, mut ops } = more;
    let (compare, draft) = match change {
        Change::Create(draft) => (Compare::Absent(store_key.clone()), Some(draft)),
        Change::Update(draft, expected) => (Compare::Modified(store_key.clone(), expected), Some(draft)),
        Change::Delete(expected) => (Compare::Modified(store_key.clone(), expected), None),
    };
    if draft.as_ref().is_some_and(|draft| draft.stored.len() > OBJECT_LIMIT_BYTES) {
        return Err(WriteError::Failed(Status::request_entity_too_large(OBJECT_LIMIT_BYTES)));
    }
    let stored = draft.as_ref().map(|draft| draft.stored.clone());
    let is_delete = stored.is_none();
    let is_event = row.group.is_empty() && row.plural == "events";
    let ttl = is_event.then_some(call.server.event_ttl);
    compares.insert(0, compare);
    compares.extend(leadership::demand(call.server, call.headers).map_err(WriteError::Failed)?);
    if row.plural == "leases" {
        ops.extend(leadership::end(row, call.table.get(key).as_deref(), stored.as_deref()));
    }
    if row.group.is_empty() && row.plural == "resourcequotas" {
        ops.extend(quota::mark(key, call.subresource, is_delete));
    }
    let op = match &stored {
        Some(value) => Op::Put { key: store_key.clone(), value: value.clone(), ttl },
        None => Op::Delete { key: store_key.clone() },
    };
    ops.insert(0, op);
    if !is_event && row.plural != "leases" {
        ops.push(provenance_of(call, &store_key, is_delete.then_some(PROVENANCE_OF_DELETES)));
    }
    let memory = &call.server.memory;
    let _expected = draft.map(|draft| memory.expect(store_key.clone(), draft));
    let revision = match transact(call, Txn { compares, ops }).await {
        Ok(revision) => revision,
        Err(StoreError::Conflict { key, actual }) if key == store_key => return Err(WriteError::Raced { actual }),
        Err(StoreError::Conflict { actual, .. }) => {
            // The next attempt must see what stands in the way of this one.
            call.server.at_least(actual).await.map_err(WriteError::Failed)?;
            return Err(WriteError::Taken);
        }
        Err(StoreError::Ceiling { ledger, .. }) => {
            return Err(match capacity::ledger_of(&ledger) {
                Some((node, resource)) => WriteError::Full { node, resource },
                None => WriteError::Taken,
            });
        }
        Err(error) => return Err(WriteError::Failed(store_failure(&error))),
    };
    // A failure to follow is not a failure to write: the change is on disk.
    if memory.wait_for(revision).await.is_err() {
        tracing::warn!(%revision, "memory lags behind the store");
    }
    let Some(stored) = stored else {
        return Ok(Arc::new(Draft::default().at(key.clone(), revision)));
    };
    match call.table.get(key).filter(|object| object.revision == revision) {
        Some(written) => Ok(written),
        None => {
            // Somebody has written it again since.
            let object = Object::load(row, key.clone(), stored, revision);
            object.map(Arc::new).map_err(|error| WriteError::Failed(Status::internal(error)))
        }
    }
}

/// The operations that write another object in a write's own transaction: a quota or a budget that it is charged to.
pub fn beside(call: &Call<'_>, row: &Row, key: &ObjectKey, value: &Value) -> [Op; 2] {
    let key = store_key(row, key);
    let record = provenance_of(call, &key, None);
    [Op::Put { key, value: Draft::of(row, value).stored, ttl: None }, record]
}

fn provenance_of(call: &Call<'_>, store_key: &[u8], ttl: Option<Duration>) -> Op {
    let key = [PROVENANCE.as_bytes(), &store_key[OBJECTS.len()..]].concat().into();
    Op::Put { key, value: provenance(call), ttl }
}

/// Runs the transaction. What is given back to a node that has never been asked for it (a pod older than the ledger) is
/// not a reason to keep the pod.
async fn transact(call: &Call<'_>, txn: Txn) -> Result<Revision, StoreError> {
    let gives_back = txn.ops.iter().any(|op| matches!(op, Op::Add { delta, .. } if *delta < 0));
    let again = gives_back.then(|| capacity::without_ledgers(txn.clone()));
    match (call.server.store.transact(txn).await, again) {
        (Err(StoreError::Ceiling { ledger, delta, current }), Some(again)) if delta < 0 => {
            tracing::warn!(?ledger, delta, current, "more is given back than was taken");
            call.server.store.transact(again).await
        }
        (answer, _) => answer,
    }
}

/// Who wrote, when, with what, and what made them: kept for as long as the version lives.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provenance<'a> {
    time: String,
    verb: &'a str,
    user: &'a str,
    user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
}

fn provenance(call: &Call<'_>) -> Bytes {
    let info = call.info();
    let record = Provenance {
        time: api::time::to_micros(call.now()),
        verb: info.verb,
        user: &call.user().name,
        user_agent: call.user_agent(),
        cause: call.cause(),
        subresource: &info.subresource,
    };
    serde_json::to_vec(&record).expect("texts and numbers can be written").into()
}

/// What a client is told when the store did not do its part.
pub fn store_failure(error: &StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        StoreError::Future { requested, current } => Status::resource_version_too_large(requested.0, current.0),
        StoreError::NoSpace(_) => Status::new(507, "InternalError", error.to_string()),
        StoreError::Unknown(_) => Status::new(504, "Timeout", format!("Timeout: {error}")),
        _ => Status::internal(error),
    }
}
