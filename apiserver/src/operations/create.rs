//! POST of a new object.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/create.go, apiserver/pkg/registry/generic/registry/store.go (Create)
//! Left out: nothing.

use std::sync::Arc;

use api::{field::Field, object::Object as _, status::Status};
use axum::body::Body;
use http::Response;
use serde_json::Value;
use store::Revision;

use super::{
    call::Call,
    metadata,
    options::WriteOptions,
    write::{Change, WriteError, write},
};
use crate::{
    admission::Operation,
    allocation::{self, Allocation},
    answer,
    body::{self, Warnings},
    object::{Draft, Object},
    quota,
};

/// How often another generated name is tried when one is taken.
const NAME_ATTEMPTS: usize = 8;
/// How often another address or port is tried when one is taken.
const ALLOCATION_ATTEMPTS: usize = 32;

/// Creates the object in the body and answers with what was stored.
pub async fn create(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = WriteOptions::of(call.query, "CreateOptions")?;
    let mut warnings = Warnings::default();
    let sent = body::object(call, &body, options.field_validation, &mut warnings)?;
    let again = || body::object(call, &body, options.field_validation, &mut Warnings::default());
    let created = create_object(call, sent, again, &options, &mut warnings).await?;
    Ok(warnings.put_on(answer::object(201, call.format, call.row, &created, call.now().as_second())))
}

/// Creates an object that has been decoded already: from a POST, or from a PUT to a missing name. `again` decodes it
/// once more, for another attempt.
pub async fn create_object(
    call: &Call<'_>,
    sent: Value,
    again: impl Fn() -> Result<Value, Status>,
    options: &WriteOptions,
    warnings: &mut Warnings,
) -> Result<Arc<Object>, Status> {
    let row = call.stored_row();
    let mut names_left =
        if sent.name().is_empty() && !sent.meta_str("generateName").is_empty() { NAME_ATTEMPTS } else { 1 };
    let mut allocations_left = ALLOCATION_ATTEMPTS;
    let mut object = sent;
    loop {
        warnings.extend(metadata::drop_repeated_owners(&mut object).into_iter().collect());
        object = prepare(call, object, options)?;
        let Allocation { txn, .. } = allocation::for_write(call.server, row, &mut object, None, fastrand::u64(..))?;
        let root = Field::root(&object);
        let mut errors = metadata::validate(row, &root);
        errors.extend(call.row.strategy.validate(&root));
        if !errors.is_empty() {
            return Err(Status::invalid(&row.group, &row.kind, object.name(), &errors));
        }
        object = call.check_admitted(Operation::Create, object, None, options.dry_run)?;
        let mut charge = quota::charge(call, Operation::Create, &object, None, options.dry_run).await?;
        warnings.extend(row.strategy.warnings(&object));
        warnings.extend(row.idle_warning().into_iter().collect());
        let key = call.key(object.name());
        if options.dry_run {
            if call.table.get(&key).is_some() {
                return Err(Status::already_exists(&row.group, &row.plural, object.name()));
            }
            return Ok(call.in_this_form(&Arc::new(Draft::of(row, &object).at(key, Revision(0)))));
        }
        let written = write(call, &key, Change::Create(Draft::of(row, &object)), charge.onto(txn)).await;
        charge.settle(call, &written).await;
        match written {
            Ok(stored) => return Ok(call.in_this_form(&stored)),
            Err(WriteError::Raced { .. }) if names_left > 1 => names_left -= 1,
            Err(WriteError::Raced { .. }) => {
                return Err(already_exists(call, object.name()));
            }
            Err(WriteError::Taken | WriteError::Full { .. }) if allocations_left > 0 => allocations_left -= 1,
            Err(WriteError::Taken | WriteError::Full { .. }) => return Err(allocation::exhausted(row, object.name())),
            Err(WriteError::Failed(status)) => return Err(status),
        }
        object = again()?;
    }
}

/// Defaults, what only the server sets, the strategy's own preparation, and mutating admission.
fn prepare(call: &Call<'_>, mut object: Value, options: &WriteOptions) -> Result<Value, Status> {
    let row = call.stored_row();
    if let Some(other) = &call.row.stored_as {
        (other.to_stored)(&mut object);
    }
    row.strategy.defaults(&mut object);
    let uid = uuid::Uuid::new_v4().to_string();
    metadata::prepare_for_create(row, &mut object, &call.info().namespace, uid, call.now(), fastrand::u64(..))?;
    row.strategy.sign(&mut object, call.user());
    let mut object = call.admit(Operation::Create, Some(object), None, options.dry_run)?.unwrap_or_default();
    row.strategy.prepare_for_create(&mut object);
    row.strategy.complete(&mut object);
    Ok(object)
}

fn already_exists(call: &Call<'_>, name: &str) -> Status {
    let row = call.row;
    let status = Status::already_exists(&row.group, &row.plural, name);
    match call.table.get(&call.key(name)) {
        Some(object) if object.meta.deleting => {
            let message = format!("object is being deleted: {}", status.message);
            Status { message, ..status }
        }
        _ => status,
    }
}

impl Call<'_> {
    /// A stored object as this row shows it.
    pub fn in_this_form(&self, stored: &Arc<Object>) -> Arc<Object> {
        if self.row.stored_as.is_none() {
            return stored.clone();
        }
        let mut value = stored.value();
        self.shown(&mut value);
        Arc::new(Draft::of(self.row, &value).at(stored.key.clone(), stored.revision))
    }
}
