//! PATCH of an object: JSON patch and merge patch.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/patch.go
//! Left out: strategic merge patch and server-side apply, which are answered with 415.

use api::{object::Object as _, status::Status};
use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::{call::Call, options::WriteOptions, update};
use crate::{
    answer,
    body::{self, Warnings},
};

/// The media types of patches, as 415 names them.
const MEDIA_TYPES: [&str; 2] = ["application/json-patch+json", "application/merge-patch+json"];

/// Changes the object as the patch says and answers with what was stored.
pub async fn patch(call: &Call<'_>, body: body::Request) -> Result<Response<Body>, Status> {
    let options = WriteOptions::of(call.query, "PatchOptions")?;
    let kind = body.media_type();
    if !MEDIA_TYPES.contains(&kind) {
        return Err(Status::unsupported_media_type(&MEDIA_TYPES));
    }
    call.server.fresh().await?;
    let mut warnings = Warnings::default();
    let mut decoded_warnings = Warnings::default();
    let changed = update::change(call, &options, &mut warnings, |current| {
        decoded_warnings = Warnings::default();
        let patched = apply(kind, current, &body.bytes)?;
        let checked = body::value(call, patched, options.field_validation, &mut decoded_warnings)?;
        check_identity(&checked, current)?;
        Ok(checked)
    })
    .await?;
    warnings.extend(decoded_warnings.into_texts());
    Ok(warnings.put_on(answer::object(200, call.format, call.row, &changed, call.now().as_second())))
}

/// The current object with the patch applied. Unless the patch itself names a resourceVersion the result has none, so
/// that the change is made again on top of whatever somebody else writes in between.
fn apply(kind: &str, current: &Value, patch: &[u8]) -> Result<Value, Status> {
    let before = current.resource_version().to_owned();
    let mut patched = match kind {
        "application/json-patch+json" => json(current, patch)?,
        _ => merge(current, patch)?,
    };
    let named = String::from_utf8_lossy(patch).contains("resourceVersion");
    if patched.is_object() && patched.resource_version() == before && !named {
        patched.metadata_mut().remove("resourceVersion");
    }
    Ok(patched)
}

fn check_identity(patched: &Value, current: &Value) -> Result<(), Status> {
    if !patched.is_object() {
        return Err(Status::bad_request("the patch does not leave an object"));
    }
    if patched.kind() != current.kind() || patched.api_version() != current.api_version() {
        let message = format!(
            "the patched object is a {} of {}, not a {} of {}",
            patched.kind(),
            patched.api_version(),
            current.kind(),
            current.api_version()
        );
        return Err(Status::bad_request(message));
    }
    Ok(())
}

/// The object after a JSON patch (RFC 6902).
///
/// # Errors
/// 400 for a patch that can't be read, 413 for too many operations, 422 for one that can't be applied.
pub fn json(current: &Value, patch: &[u8]) -> Result<Value, Status> {
    const OPERATIONS: usize = 10_000;
    let patch: json_patch::Patch =
        serde_json::from_slice(patch).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    if patch.len() > OPERATIONS {
        let message = format!("The allowed maximum operations in a JSON patch is {OPERATIONS}, got {}", patch.len());
        return Err(Status { message, ..Status::request_entity_too_large(OPERATIONS) });
    }
    let mut object = current.clone();
    let failed = |error: json_patch::PatchError| {
        Status::new(422, "Invalid", format!("the server rejected our request due to an error in our request: {error}"))
    };
    json_patch::patch(&mut object, &patch).map_err(failed)?;
    Ok(object)
}

/// The object after a merge patch (RFC 7386).
///
/// # Errors
/// 400 for a patch that is no JSON.
pub fn merge(current: &Value, patch: &[u8]) -> Result<Value, Status> {
    let patch: Value =
        serde_json::from_slice(patch).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let mut object = current.clone();
    json_patch::merge(&mut object, &patch);
    Ok(object)
}
