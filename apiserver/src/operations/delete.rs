//! DELETE of one object or of a collection.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/delete.go, apiserver/pkg/registry/generic/registry/store.go (Delete,
//!   DeleteCollection, deletionFinalizersForGarbageCollection), apiserver/pkg/registry/rest/delete.go,
//!   pkg/registry/core/pod/strategy.go (CheckGracefulDelete), pkg/registry/core/namespace/storage
//! Left out: `ignoreStoreReadErrorWithClusterBreakingPotential`.

use std::sync::Arc;

use api::{object::Object as _, status::Status};
use axum::body::Body;
use http::Response;
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::Txn;

use super::{
    call::Call,
    list,
    options::{DeleteOptions, Propagation},
    update,
    write::{Change, WriteError, write},
};
use crate::{
    allocation, answer, body,
    object::{Draft, Object},
    row::{DeleteAnswer, Row},
    selection::Selection,
};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a delete left behind.
pub enum Outcome {
    /// The object is gone; this was its last state.
    Gone(Arc<Object>),
    /// It waits for finalizers or its grace period.
    Waiting(Arc<Object>),
}

/// Deletes the object that the request names.
pub async fn delete(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = DeleteOptions::of(call.query, body.delete_options()?.as_ref())?;
    call.server.fresh().await?;
    if let Some(why) = call.row.strategy.forbids_delete(&call.info().name) {
        let (row, name) = (call.row, &call.info().name);
        return Err(Status::forbidden(&row.group, &row.plural, name, why));
    }
    let now = call.now().as_second();
    match delete_object(call, &call.info().name, &options).await? {
        Outcome::Waiting(object) => {
            let code = if options.refuses_orphans { 202 } else { 200 };
            Ok(answer::object(code, call.format, call.row, &object, now))
        }
        Outcome::Gone(object) if call.row.delete_answer == DeleteAnswer::Object => {
            Ok(answer::object(200, call.format, call.row, &object, now))
        }
        Outcome::Gone(object) => {
            let mut details = json!({"name": call.info().name, "kind": call.row.plural, "uid": object.meta.uid()});
            if !call.row.group.is_empty() {
                details["group"] = call.row.group.as_ref().into();
            }
            let status =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
            Ok(answer::value(200, call.format, &status))
        }
    }
}

/// Deletes every selected object and answers with the list of what they were.
pub async fn delete_collection(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = DeleteOptions::of(call.query, body.delete_options()?.as_ref())?;
    call.server.fresh().await?;
    let selection = Selection::of(call.info(), call.row)?;
    let page = list::page(call, &selection).await?;
    for object in &page.items {
        match delete_object(call, &object.key.name, &options).await {
            Ok(_) => {}
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    list::answer(call, page)
}

/// What a delete writes beside its own.
#[derive(Default)]
pub struct Prepared {
    /// The object as it shall look at its end; none is as it is.
    pub object: Option<Value>,
    pub txn: Txn,
}

async fn delete_object(call: &Call<'_>, name: &str, options: &DeleteOptions) -> Result<Outcome, Status> {
    let admit = |stored: &Value| call.admit_delete(stored, options.dry_run).map(|()| Prepared::default());
    delete_prepared(call, name, options, admit).await
}

/// Deletes the object after `prepare` has let it go.
pub async fn delete_prepared(
    call: &Call<'_>,
    name: &str,
    options: &DeleteOptions,
    prepare: impl Fn(&Value) -> Result<Prepared, Status>,
) -> Result<Outcome, Status> {
    let row = call.stored_row();
    let key = call.key(name);
    loop {
        let not_found = || Status::not_found(&call.row.group, &call.row.plural, name);
        let current = call.table.get(&key).ok_or_else(not_found)?;
        let stored = current.value();
        check_preconditions(row, &stored, &current, name, options)?;
        let Prepared { object, txn } = prepare(&stored)?;
        let waiting = plan(row, object.as_ref().unwrap_or(&stored), options, call.now());
        if options.dry_run {
            return Ok(match waiting {
                Some(object) => {
                    let object = Draft::of(row, &object).at(key, current.revision);
                    Outcome::Waiting(call.in_this_form(&Arc::new(object)))
                }
                None => Outcome::Gone(last_state(call, &stored, &current)),
            });
        }
        if waiting.as_ref() == Some(&stored) {
            return Ok(Outcome::Waiting(call.in_this_form(&current)));
        }
        let (change, mut more) = match &waiting {
            Some(object) => (Change::Update(Draft::of(row, object), current.revision), Txn::default()),
            None => (Change::Delete(current.revision), allocation::release(call.server, row, &stored)),
        };
        more.compares.extend(txn.compares);
        more.ops.extend(txn.ops);
        match write(call, &key, change, more).await {
            Ok(written) if waiting.is_some() => return Ok(Outcome::Waiting(call.in_this_form(&written))),
            Ok(_) => return Ok(Outcome::Gone(last_state(call, &stored, &current))),
            Err(WriteError::Raced { actual }) => update::wait_past(call, actual, &current).await?,
            Err(WriteError::Taken | WriteError::Full { .. }) => {}
            Err(WriteError::Failed(status)) => return Err(status),
        }
    }
}

/// What an object that is gone looked like at its end. One that could have stayed for a grace period says that it had
/// none.
fn last_state(call: &Call<'_>, stored: &Value, current: &Arc<Object>) -> Arc<Object> {
    let row = call.stored_row();
    if !row.graceful_deletion {
        return call.in_this_form(current);
    }
    let mut object = stored.clone();
    let metadata = object.metadata_mut();
    metadata.insert("deletionTimestamp".into(), api::time::to_seconds(call.now()).into());
    metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
    if !stored.is_terminating() {
        metadata.insert("generation".into(), (stored.generation() + 1).into());
    }
    call.in_this_form(&Arc::new(Draft::of(row, &object).at(current.key.clone(), current.revision)))
}

fn check_preconditions(
    row: &Row,
    stored: &Value,
    current: &Object,
    name: &str,
    options: &DeleteOptions,
) -> Result<(), Status> {
    if let Some(uid) = &options.uid
        && uid != stored.uid()
        && row.kind == "Namespace"
    {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", stored.uid());
        return Err(Status::conflict("", "namespaces", name, &why));
    }
    if let Some(uid) = &options.uid
        && uid != stored.uid()
    {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            stored.uid()
        );
        return Err(Status::conflict(&row.group, &row.kind, name, &why));
    }
    if let Some(version) = &options.resource_version
        && *version != current.revision.to_string()
    {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            current.revision
        );
        return Err(Status::conflict(&row.group, &row.kind, name, &why));
    }
    Ok(())
}

/// What an object becomes by being deleted: itself, waiting for finalizers or its grace period, or nothing (`None`).
fn plan(row: &Row, stored: &Value, options: &DeleteOptions, now: jiff::Timestamp) -> Option<Value> {
    let mut object = stored.clone();
    let mut finalizers: Vec<String> = stored.finalizers().into_iter().map(str::to_owned).collect();
    let decided = finalizers.iter().any(|each| each == ORPHAN || each == FOREGROUND);
    let by_default = (row.orphans_by_default && !decided).then_some(Propagation::Orphan);
    if let Some(propagation) = options.propagation.or(by_default) {
        finalizers.retain(|each| each != ORPHAN && each != FOREGROUND);
        match propagation {
            Propagation::Orphan => finalizers.push(ORPHAN.into()),
            Propagation::Foreground => finalizers.push(FOREGROUND.into()),
            Propagation::Background => {}
        }
    }
    let grace_seconds = grace_period(row, stored, options);
    let keeps = !finalizers.is_empty() || update::spec_finalizers(stored) > 0;
    if grace_seconds == 0 && !keeps {
        return None;
    }
    if finalizers.is_empty() {
        object.metadata_mut().remove("finalizers");
    } else {
        object.metadata_mut().insert("finalizers".into(), finalizers.into());
    }
    let metadata = object.metadata_mut();
    let remaining = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64);
    let first = !stored.is_terminating();
    // A second delete can only shorten the wait.
    if first || remaining.is_some_and(|remaining| grace_seconds < remaining) {
        let deadline = now + SignedDuration::from_secs(grace_seconds);
        metadata.insert("deletionTimestamp".into(), api::time::to_seconds(deadline).into());
        if row.kind != "Namespace" || row.graceful_deletion {
            metadata.insert("deletionGracePeriodSeconds".into(), grace_seconds.into());
        }
        if first && metadata.contains_key("generation") {
            let next = stored.generation() + 1;
            metadata.insert("generation".into(), next.into());
        }
    }
    if row.kind == "Namespace" {
        object["status"]["phase"] = "Terminating".into();
    }
    Some(object)
}

/// How long the object stays: only pods are deleted gracefully, and of them only those that run somewhere.
fn grace_period(row: &Row, stored: &Value, options: &DeleteOptions) -> i64 {
    if !row.graceful_deletion {
        return 0;
    }
    let phase = stored["status"]["phase"].as_str().unwrap_or_default();
    let unassigned = stored["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    if unassigned || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    let of_the_pod = || stored["spec"]["terminationGracePeriodSeconds"].as_i64();
    let asked = options.grace_period_seconds.or_else(of_the_pod).unwrap_or(30);
    if asked < 0 { 1 } else { asked }
}
