//! GET of one object.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/get.go
//! Left out: nothing.

use std::sync::Arc;

use api::status::Status;
use axum::body::Body;
use http::Response;

use super::{call::Call, options::resource_version};
use crate::{
    answer::{self, Extent},
    object::Object,
};

/// Answers with the object as it is now, or at least as new as the resourceVersion asked for.
pub async fn get(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let object = call.in_this_form(&find(call).await?);
    call.format.shape.check_extent(call.row, Extent::One)?;
    Ok(answer::object(200, call.format, call.row, &object, call.now().as_second()))
}

/// The object that the request names, as it is stored.
pub async fn find(call: &Call<'_>) -> Result<Arc<Object>, Status> {
    match resource_version(call.query.get("resourceVersion"))? {
        None => call.server.fresh().await?,
        Some(revision) => call.server.at_least(revision).await?,
    }
    call.current().ok_or_else(|| call.not_found())
}
