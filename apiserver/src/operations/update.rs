//! PUT of an object, and the loop that every change of an existing object goes through.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/update.go, apiserver/pkg/registry/generic/registry/store.go (Update)
//! Left out: nothing.

use std::sync::Arc;

use api::{field::Field, object::Object as _, status::Status};
use axum::body::Body;
use http::Response;
use serde_json::Value;
use store::Revision;

use super::{
    call::Call,
    create::create_object,
    metadata,
    options::WriteOptions,
    write::{Change, WriteError, write},
};
use crate::{
    admission::Operation,
    allocation, answer,
    body::{self, Warnings},
    object::{Draft, Object},
    quota,
    row::Subresource,
};

/// How often a change without a resourceVersion is tried again after somebody else's write.
const CONFLICT_ATTEMPTS: usize = 16;

/// Replaces the object with the one in the body (or its part that the subresource covers).
pub async fn update(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = WriteOptions::of(call.query, "UpdateOptions")?;
    let mut warnings = Warnings::default();
    let mut sent = body::object(call, &body, options.field_validation, &mut warnings)?;
    call.server.fresh().await?;
    if call.current().is_none() && call.subresource.is_none() {
        check_name(call, &sent)?;
        let info = call.info();
        if !sent.uid().is_empty() {
            return Err(metadata::other_uid(call.row, &info.namespace, &info.name, sent.uid(), ""));
        }
        if !call.row.create_on_update {
            return Err(call.not_found());
        }
        sent.metadata_mut().remove("resourceVersion");
        let again = || body::object(call, &body, options.field_validation, &mut Warnings::default());
        let created = create_object(call, sent, again, &options, &mut warnings).await?;
        return Ok(warnings.put_on(answer::object(201, call.format, call.row, &created, call.now().as_second())));
    }
    let mut sent = Some(sent);
    let again = || body::object(call, &body, options.field_validation, &mut Warnings::default());
    let updated = change(call, &options, &mut warnings, |_| sent.take().map_or_else(again, Ok)).await?;
    Ok(warnings.put_on(answer::object(200, call.format, call.row, &updated, call.now().as_second())))
}

fn check_name(call: &Call<'_>, sent: &Value) -> Result<(), Status> {
    let (given, name) = (sent.name(), &call.info().name);
    if !given.is_empty() && given != name {
        let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(message));
    }
    Ok(())
}

/// Changes the object that the request names to what `desired` makes of it, and returns what is stored then.
///
/// `desired` is given the current object in this row's form. What it returns with a resourceVersion is written on top
/// of exactly that version; without one it is made and tried again when somebody else wrote in between.
pub async fn change(
    call: &Call<'_>,
    options: &WriteOptions,
    warnings: &mut Warnings,
    mut desired: impl FnMut(&Value) -> Result<Value, Status>,
) -> Result<Arc<Object>, Status> {
    let row = call.stored_row();
    let name = call.info().name.clone();
    for _ in 0..CONFLICT_ATTEMPTS {
        let current = call.current().ok_or_else(|| call.not_found())?;
        let stored = current.value();
        let mut object = match &call.row.stored_as {
            None => desired(&stored)?,
            Some(other) => {
                let mut shown = stored.clone();
                (other.from_stored)(&mut shown);
                let mut object = desired(&shown)?;
                (other.to_stored)(&mut object);
                object
            }
        };
        warnings.extend(metadata::drop_repeated_owners(&mut object).into_iter().collect());
        let expected = object.resource_version().to_owned();
        let unconditional = expected.is_empty() || expected == "0";
        if !unconditional && expected != current.revision.to_string() {
            if expected.parse::<u64>().is_err() {
                let message = format!("strconv.ParseUint: parsing {expected:?}: invalid syntax");
                return Err(Status::new(500, "", message));
            }
            return Err(Status::modified(&row.group, &row.plural, &name));
        }
        let mut object = prepare(call, object, &stored, &name, options)?;
        if unconditional && !row.unconditional_update && call.info().verb == "update" {
            let field = Field::root(&object);
            let error =
                field.child("metadata").child("resourceVersion").invalid_value(0, "must be specified for an update");
            return Err(Status::invalid(&row.group, &row.plural, &name, &[error]));
        }
        let allocation = allocation::for_write(call.server, row, &mut object, Some(&stored), fastrand::u64(..))?;
        check(call, &object, &stored, &name)?;
        let object = match is_admitted_as_sent(call.subresource) {
            true => object,
            false => call.check_admitted(Operation::Update, object, Some(&stored), options.dry_run)?,
        };
        warnings.extend(row.strategy.warnings_of_change(&object, &stored));
        let draft = Draft::of(row, &object);
        if draft.stored == current.stored() && allocation.txn.ops.is_empty() {
            return Ok(call.in_this_form(&current));
        }
        let mut charge = quota::charge(call, Operation::Update, &object, Some(&stored), options.dry_run).await?;
        if options.dry_run {
            return Ok(call.in_this_form(&Arc::new(draft.at(current.key.clone(), current.revision))));
        }
        let finished = is_finished(&object);
        let change = match finished {
            true => Change::Delete(current.revision),
            false => Change::Update(draft.clone(), current.revision),
        };
        let more = if finished { allocation::release(call.server, row, &stored) } else { allocation.txn };
        let written = write(call, &current.key, change, charge.onto(more)).await;
        charge.settle(call, &written).await;
        match written {
            Ok(written) if finished => {
                return Ok(call.in_this_form(&Arc::new(draft.at(current.key.clone(), written.revision))));
            }
            Ok(written) => return Ok(call.in_this_form(&written)),
            Err(WriteError::Raced { .. }) if !unconditional => {
                return Err(Status::modified(&row.group, &row.plural, &name));
            }
            Err(WriteError::Raced { actual }) => wait_past(call, actual, &current).await?,
            Err(WriteError::Taken) => {}
            Err(WriteError::Full { node, resource }) => {
                let why = format!("node {node:?} has not enough {resource} left");
                return Err(Status::conflict(&row.group, "pods/binding", &name, &why));
            }
            Err(WriteError::Failed(status)) => return Err(status),
        }
    }
    Err(Status::modified(&row.group, &row.plural, &name))
}

/// After losing a race: waits until memory shows what the winner wrote.
pub async fn wait_past(call: &Call<'_>, actual: Revision, current: &Arc<Object>) -> Result<(), Status> {
    let next = if actual > current.revision { actual } else { Revision(current.revision.0 + 1) };
    call.server.at_least(next).await
}

/// Defaults, what only the server sets, the strategy's own preparation, and mutating admission.
fn prepare(
    call: &Call<'_>,
    mut object: Value,
    stored: &Value,
    name: &str,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let row = call.stored_row();
    row.strategy.defaults(&mut object);
    metadata::prepare_for_update(row, &mut object, stored, name, &call.info().namespace)?;
    let prepare = |object: &mut Value| match call.subresource {
        None => row.strategy.prepare_for_update(object, stored),
        Some(subresource) => row.strategy.prepare_for_subresource(subresource, object, stored),
    };
    prepare(&mut object);
    row.strategy.stamp(&mut object, stored, call.now());
    metadata::bump_generation(row, call.subresource, &mut object, stored);
    if !is_admitted_as_sent(call.subresource) {
        object = call.admit(Operation::Update, Some(object), Some(stored), options.dry_run)?.unwrap_or_default();
    }
    row.strategy.complete(&mut object);
    Ok(object)
}

/// Whether admission has seen what the client sent, and does not look at the object that it changes.
fn is_admitted_as_sent(subresource: Option<Subresource>) -> bool {
    subresource == Some(Subresource::Binding)
}

fn check(call: &Call<'_>, object: &Value, stored: &Value, name: &str) -> Result<(), Status> {
    let row = call.stored_row();
    let root = Field::root(object);
    let mut errors = metadata::validate_update(row, &root, stored);
    errors.extend(match call.subresource {
        None => call.row.strategy.validate_update(&root, stored),
        Some(subresource) => call.row.strategy.validate_subresource(subresource, &root, stored),
    });
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&row.group, &row.kind, name, &errors)) }
}

/// Whether nothing keeps an object that is being deleted any longer: the change that removes its last finalizer
/// deletes it. A namespace also has finalizers in its spec.
fn is_finished(object: &Value) -> bool {
    let grace = object.metadata().get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default();
    object.is_terminating() && object.finalizers().is_empty() && grace == 0 && spec_finalizers(object) == 0
}

/// The number of finalizers in a namespace's spec.
pub fn spec_finalizers(object: &Value) -> usize {
    if object.kind() == "Namespace" { object["spec"]["finalizers"].as_array().map_or(0, Vec::len) } else { 0 }
}

/// Whether this call writes the whole object: the main resource, or a subresource that shares its shape.
pub fn takes_whole_object(subresource: Option<Subresource>) -> bool {
    use Subresource::{Approval, EphemeralContainers, Finalize, Resize, Status};
    matches!(subresource, None | Some(Status | Finalize | Approval | EphemeralContainers | Resize))
}
