//! Charges writes to the ResourceQuotas of their namespace, in the transaction of the write itself.
//!
//! A quota's `status.used` is what is compared and written: of two writes that both fit only alone, on however many API
//! servers, one finds the quota changed and is judged again. As one transaction writes at most one object of a resource,
//! of several quotas all but the last are charged in transactions of their own just before; the write then demands that
//! they are still as they were charged, and when it fails they get back what they had.
//!
//! Upstream: apiserver/pkg/admission/plugin/resourcequota/{admission,controller}.go
//! Left out: resources that are limited unless a quota allows them (an admission configuration).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use api::{object::Object as _, quota::Counted, status::Status};
use serde_json::Value;
use store::{Compare, Revision, StoreError, Txn};
use tokio::sync::OwnedMutexGuard;

use crate::{
    admission::Operation,
    memory::{store_key, table::Table},
    object::Object,
    operations::{
        call::Call,
        write::{WriteError, beside, store_failure},
    },
    row::{Scope, Subresource},
};

mod check;

use check::{Charged, Write};

/// How often a write is judged anew because other API servers charged the same quotas.
const ATTEMPTS: usize = 16;

/// Who charges the quotas of a namespace now. Writers of one API server take turns instead of colliding.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, namespace: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match turns.get(namespace).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    turns.retain(|_, turn| turn.strong_count() > 0);
                    let turn = Arc::default();
                    turns.insert(namespace.to_owned(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}

/// What a write is charged. Dropped, it lets the next writer of the namespace in.
#[derive(Default)]
pub struct Charge {
    txn: Txn,
    ahead: Vec<Ahead>,
    _turn: Option<OwnedMutexGuard<()>>,
}

/// A quota that was charged before the write, and what it was.
struct Ahead {
    before: Arc<Object>,
    charged_at: Revision,
}

/// Charges the quotas that the write falls under. Nothing is written for a dry run, and nothing is looked at in a
/// namespace without quotas.
///
/// # Errors
/// 403 when a quota does not allow it.
pub async fn charge(
    call: &Call<'_>,
    operation: Operation,
    object: &Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<Charge, Status> {
    let Some(table) = quotas_of(call) else { return Ok(Charge::default()) };
    let namespace = &call.info().namespace;
    let read = || -> Vec<Arc<Object>> { table.snapshot().in_namespace(namespace).cloned().collect() };
    if read().is_empty() {
        return Ok(Charge::default());
    }
    let row = call.stored_row();
    let counted = Counted { group: &row.group, resource: &row.plural };
    let is_resize = call.subresource == Some(Subresource::Resize);
    let write = Write { counted, operation, is_resize, object, old, now: call.now() };
    let turn = if dry_run { None } else { Some(call.server.quota_turns.take(namespace).await) };
    for _ in 0..ATTEMPTS {
        let charged = check::check(&write, &read()).map_err(|why| forbidden(call, object, &why))?;
        if dry_run || charged.is_empty() {
            return Ok(Charge::default());
        }
        if let Some(mut charge) = pay(call, table, charged, row.plural == "resourcequotas").await? {
            charge._turn = turn;
            return Ok(charge);
        }
    }
    Err(Status::conflict(&row.group, &row.plural, object.name(), "its quotas changed too often"))
}

/// The table of quotas, when this call's writes are charged to them.
fn quotas_of<'a>(call: &Call<'a>) -> Option<&'a Arc<Table>> {
    let row = &call.table.row;
    let is_charged = call.server.admission.charges_quotas
        && row.scope == Scope::Namespaced
        && matches!(call.subresource, None | Some(Subresource::Resize))
        && row.plural != "events";
    call.server.memory.table("", "resourcequotas").filter(|_| is_charged)
}

fn forbidden(call: &Call<'_>, object: &Value, why: &str) -> Status {
    let name = [object.name(), object.meta_str("generateName")].into_iter().find(|name| !name.is_empty());
    Status::forbidden(&call.row.group, &call.row.plural, name.unwrap_or("Unknown!"), why)
}

/// Charges all quotas but the last, and prepares the last for the write's own transaction; with `all_ahead` charges the
/// last too. None when somebody else was quicker: what was charged is given back, and memory shows the others' charge.
async fn pay(
    call: &Call<'_>,
    table: &Arc<Table>,
    mut charged: Vec<Charged>,
    all_ahead: bool,
) -> Result<Option<Charge>, Status> {
    let mut charge = Charge::default();
    let last = if all_ahead { None } else { charged.pop() };
    for each in charged {
        let txn = txn_of(call, table, &each.before, each.before.revision, &each.after);
        match call.server.store.transact(txn).await {
            Ok(charged_at) => {
                let key = store_key(&table.row, &each.before.key);
                charge.txn.compares.push(Compare::Modified(key, charged_at));
                charge.ahead.push(Ahead { before: each.before, charged_at });
            }
            Err(StoreError::Conflict { actual, .. }) => {
                charge.give_back(call).await;
                call.server.at_least(actual).await?;
                return Ok(None);
            }
            Err(error) => {
                charge.give_back(call).await;
                return Err(store_failure(&error));
            }
        }
    }
    if let Some(last) = last {
        let txn = txn_of(call, table, &last.before, last.before.revision, &last.after);
        charge.txn.compares.extend(txn.compares);
        charge.txn.ops.extend(txn.ops);
    }
    Ok(Some(charge))
}

fn txn_of(call: &Call<'_>, table: &Arc<Table>, quota: &Object, expected: Revision, value: &Value) -> Txn {
    let compares = vec![Compare::Modified(store_key(&table.row, &quota.key), expected)];
    Txn { compares, ops: beside(call, &table.row, &quota.key, value).to_vec() }
}

impl Charge {
    /// The write's own transaction with the charge in it.
    pub fn onto(&mut self, mut txn: Txn) -> Txn {
        txn.compares.append(&mut self.txn.compares);
        txn.ops.append(&mut self.txn.ops);
        txn
    }

    /// Ends the charge: what was paid for a write that did not happen is given back. Of a write whose outcome nobody
    /// knows it is kept; the controller counts again.
    pub async fn settle<T>(self, call: &Call<'_>, written: &Result<T, WriteError>) {
        let is_unknown = matches!(written, Err(WriteError::Failed(status)) if status.code == 504);
        if written.is_err() && !is_unknown {
            self.give_back(call).await;
        }
    }

    async fn give_back(&self, call: &Call<'_>) {
        let Some(table) = quotas_of(call) else { return };
        for Ahead { before, charged_at } in &self.ahead {
            let txn = txn_of(call, table, before, *charged_at, &before.value());
            // Whoever changed the quota since counted it anew.
            if let Err(error) = call.server.store.transact(txn).await {
                tracing::debug!(%error, quota = %before.key.name, "a charge was not given back; the controller counts");
            }
        }
    }
}
