//! Charges writes to the ResourceQuotas of their namespace, in the transaction of the write itself.
//!
//! A quota's `status.used` is what is compared and written: of two writes that both fit only alone, on however many API
//! servers, one finds the quota changed and is judged again. As one transaction writes at most one object of a resource,
//! of several quotas all but the last are charged in transactions of their own just before. The write then demands that
//! nobody has counted them anew since, and when it fails they get back what it was charged; what others were charged
//! meanwhile stays. A count writes a key of its own in its transaction: that is how it is told from a charge.
//!
//! Upstream: apiserver/pkg/admission/plugin/resourcequota/{admission,controller}.go
//! Left out: resources that are limited unless a quota allows them (an admission configuration).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use api::{
    object::Object as _,
    quota::Counted,
    resources::{self, Resources},
    status::Status,
};
use serde_json::Value;
use store::{Compare, Key, Op, Range, Revision, StoreError, Txn};
use tokio::sync::OwnedMutexGuard;

use crate::{
    admission::Operation,
    memory::{store_key, table::Table},
    object::{Object, ObjectKey},
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

/// A quota that was charged before the write.
struct Ahead {
    quota: ObjectKey,
    cost: Resources,
    /// Holds until the quota is counted anew.
    uncounted: Compare,
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
        let mut txn = txn_of(call, table, &each.before, each.before.revision, &each.after);
        let charged = async {
            let uncounted = uncounted(call, &each.before.key).await?;
            txn.compares.push(uncounted.clone());
            call.server.store.transact(txn).await.map(|_| uncounted)
        };
        match charged.await {
            Ok(uncounted) => {
                charge.txn.compares.push(uncounted.clone());
                charge.ahead.push(Ahead { quota: each.before.key.clone(), cost: each.cost, uncounted });
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

/// The key that is written whenever a quota is counted.
fn count_key(quota: &ObjectKey) -> Key {
    format!("/quota-counted/{}/{}", quota.namespace, quota.name).into()
}

/// What a transaction demands so that no count of the quota comes between now and it.
async fn uncounted(call: &Call<'_>, quota: &ObjectKey) -> Result<Compare, StoreError> {
    let key = count_key(quota);
    let found = call.server.store.range(Range::key(key.clone()), None, None).await?;
    let counted = found.items.first().map(|item| item.modified);
    Ok(counted.map_or_else(|| Compare::Absent(key.clone()), |at| Compare::Modified(key.clone(), at)))
}

/// What goes along with a write of a quota: a mark that it was counted, when its status is written.
pub fn mark(quota: &ObjectKey, subresource: Option<Subresource>, is_delete: bool) -> Option<Op> {
    let key = count_key(quota);
    match subresource {
        _ if is_delete => Some(Op::Delete { key }),
        Some(Subresource::Status) => Some(Op::Put { key, value: "".into(), ttl: None }),
        _ => None,
    }
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
        for ahead in &self.ahead {
            if let Err(error) = ahead.give_back(call, table).await {
                tracing::debug!(%error, quota = %ahead.quota.name, "a charge was not given back; the controller counts");
            }
        }
    }
}

impl Ahead {
    /// Takes the cost from what the quota has used by now, unless that was counted since.
    async fn give_back(&self, call: &Call<'_>, table: &Arc<Table>) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(quota) = table.get(&self.quota) else { return Ok(()) };
            let mut value = quota.value();
            let mut used = resources::read(&value["status"]["used"]);
            resources::subtract(&mut used, &self.cost);
            value["status"]["used"] = resources::write(&used);
            let mut txn = txn_of(call, table, &quota, quota.revision, &value);
            txn.compares.push(self.uncounted.clone());
            match call.server.store.transact(txn).await {
                Err(StoreError::Conflict { key, .. }) if key == count_key(&self.quota) => return Ok(()),
                Err(StoreError::Conflict { actual, .. }) if call.server.at_least(actual).await.is_ok() => {}
                answer => return answer.map(|_| ()),
            }
        }
        Err(StoreError::Unavailable("others change the quota too often".into()))
    }
}
