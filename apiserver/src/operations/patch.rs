//! PATCH of an object: strategic merge patch, merge patch and JSON patch.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/patch.go
//! Left out: server-side apply, which is answered with 415; duplicate fields of a patch, where the last one wins.

use api::object::Object as _;
use api::{
    decode::{self, Strictness, Target},
    field::Field,
    patch::{self, JsonPatch, PatchError},
    schema::TypeId,
    status::Status,
};
use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::{
    call::Call,
    options::{self, WriteOptions},
    update,
};
use crate::{
    answer,
    body::{self, Warnings},
};

/// The media types of patches, as 415 names them.
pub const MEDIA_TYPES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// Changes the object as the patch says and answers with what was stored.
pub async fn patch(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    check_media_type(body.media_type())?;
    let options = patch_options(call)?;
    call.server.fresh().await?;
    call.current().ok_or_else(|| call.not_found())?;
    let strictness = body::strictness(options.field_validation);
    let (patch, complaints) = Patch::read(&body)?;
    let target = body::target(call)?;
    let (mut warnings, mut decoded_warnings) = (Warnings::default(), Vec::new());
    let changed = update::change(call, &options, &mut warnings, |current| {
        let patched = patch.apply(current, target.type_id)?;
        let (object, found) = patch.check(patched, &target, strictness, &complaints)?;
        decoded_warnings = found;
        check_uid(call, &object, current)?;
        Ok(without_same_version(object, current))
    })
    .await?;
    warnings.extend(decoded_warnings);
    Ok(warnings.put_on(answer::object(200, call.format, call.row, &changed, call.now().as_second())))
}

/// Refuses what is no patch.
///
/// # Errors
/// 415 with the media types that are.
pub fn check_media_type(media_type: &str) -> Result<(), Status> {
    match MEDIA_TYPES.contains(&media_type) {
        true => Ok(()),
        false => Err(Status::unsupported_media_type(&MEDIA_TYPES)),
    }
}

/// The options of a patch that is not an apply.
///
/// # Errors
/// As [`WriteOptions::of`].
pub fn patch_options(call: &Call<'_>) -> Result<WriteOptions, Status> {
    if call.query.get("force").is_some_and(|force| !force.is_empty()) {
        let message = "Forbidden: may not be specified for non-apply patch".to_owned();
        return Err(options::invalid("PatchOptions", "force", "FieldValueForbidden", message));
    }
    WriteOptions::of(call.query, "PatchOptions")
}

/// A patch that was read and not yet applied.
pub enum Patch {
    Json(JsonPatch),
    Merge(Value),
    Strategic(Map<String, Value>),
}

impl Patch {
    /// Reads the body, and the complaints of a strict reading.
    ///
    /// # Errors
    /// 400 for what can't be read, 413 for too many operations.
    pub fn read(body: &body::Request) -> Result<(Patch, Vec<String>), Status> {
        let parsed = decode::plain(&body.bytes);
        match body.media_type() {
            "application/json-patch+json" => {
                let (patch, complaints) = JsonPatch::read(parsed.map_err(undecodable)?)?;
                Ok((Patch::Json(patch), complaints))
            }
            "application/merge-patch+json" => match parsed.map_err(undecodable)? {
                Value::Null => Err(PatchError::Malformed("Invalid JSON Patch".into()).into()),
                map @ Value::Object(_) => Ok((Patch::Merge(map), Vec::new())),
                other => Err(undecodable(no_map(&other))),
            },
            _ => match parsed.map_err(Status::bad_request)? {
                Value::Null => Ok((Patch::Strategic(Map::new()), Vec::new())),
                Value::Object(map) => Ok((Patch::Strategic(map), Vec::new())),
                other => Err(Status::bad_request(no_map(&other))),
            },
        }
    }

    /// The object after the patch; not yet checked against its type.
    ///
    /// # Errors
    /// What the patch's own format asks for: 400, 422, 500.
    pub fn apply(&self, current: &Value, type_id: TypeId) -> Result<Value, Status> {
        match self {
            Patch::Json(patch) => Ok(patch.apply(current)?),
            Patch::Merge(patch) => {
                let mut object = current.clone();
                json_patch::merge(&mut object, patch);
                Ok(object)
            }
            Patch::Strategic(patch) => {
                let empty = Map::new();
                let object = current.as_object().unwrap_or(&empty);
                Ok(Value::Object(patch::strategic(object, patch.clone(), type_id)?))
            }
        }
    }

    /// The patched object in normal form, and warnings.
    ///
    /// # Errors
    /// 422 when it does not fit its type, or, when that is asked for, when it has fields that its type has not.
    pub fn check(
        &self,
        mut patched: Value,
        target: &Target<'_>,
        strictness: Strictness,
        complaints: &[String],
    ) -> Result<(Value, Vec<String>), Status> {
        let refused = |patched: &Value, error: String| {
            let shown = match self {
                Patch::Strategic(patch) => patch::restore::shown(&Value::Object(patch.clone())),
                _ => patched.to_string(),
            };
            let root = json!({"patch": shown});
            Status::invalid("", "", "", &[Field::root(&root).child("patch").invalid(error)])
        };
        if let Patch::Strategic(_) = self
            && let Some(complaint) = patch::restore::complaint(&patched, target.type_id)
        {
            return Err(refused(&patched, complaint));
        }
        let lenient = if strictness == Strictness::Strict { Strictness::Warn } else { strictness };
        let decoded = decode::patched(&mut patched, target, lenient).map_err(|error| refused(&patched, error))?;
        let found = [complaints, &decoded.warnings].concat();
        match strictness {
            Strictness::Strict if !found.is_empty() => {
                let shown = if patched.is_null() { &decoded.value } else { &patched };
                Err(refused(shown, format!("strict decoding error: {}", found.join(", "))))
            }
            Strictness::Ignore => Ok((decoded.value, Vec::new())),
            _ => Ok((decoded.value, found)),
        }
    }
}

fn undecodable(error: String) -> Status {
    Status::bad_request(format!("error decoding patch: {error}"))
}

fn no_map(value: &Value) -> String {
    let what = match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}")
}

/// The uid of a PUT is a precondition; a patch that names another one wants to change it.
fn check_uid(call: &Call<'_>, object: &Value, current: &Value) -> Result<(), Status> {
    if object.uid().is_empty() || object.uid() == current.uid() {
        return Ok(());
    }
    let root = Field::root(object);
    let error = root.child("metadata").child("uid").invalid("field is immutable");
    Err(Status::invalid(&call.row.group, &call.row.kind, &call.info().name, &[error]))
}

/// Without the resourceVersion if it is the current one: then the change is made again on top of whatever somebody
/// else writes in between. A patch that names a version of its own fails there, for it then differs.
fn without_same_version(mut object: Value, current: &Value) -> Value {
    if object.resource_version() == current.resource_version() {
        object.metadata_mut().remove("resourceVersion");
    }
    object
}
