//! OpenAPI: version 3 for each group-version, and as much of version 2 as old clients can't do without.
//!
//! Upstream: kube-openapi/pkg/handler3/handler.go, kube-openapi/pkg/handler
//! Left out: descriptions; version 3 as protobuf; paths and definitions of version 2.

mod paths;
mod schemas;

use std::sync::Arc;

use api::{object::api_version, status::Status};
use axum::body::Body;
use component::query::Query;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::document::Document;
use crate::{answer, core::Core};

/// What clients may ask for and are answered with; the answer has a dot where the question has an `@`.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Answers what stands below /openapi.
///
/// # Errors
/// 404 for a path that is nothing, 406 for a form that we do not write.
pub(super) fn answer(
    core: &Core,
    segments: &[&str],
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    match segments {
        ["v2"] => Ok(version_2(core, accept.contains("proto-openapi.spec.v2")).answer(headers)),
        ["v3", ..] if accept.contains("proto-openapi.spec.v3") && !accept.contains("json") => {
            Err(Status::not_acceptable(&["application/json"]))
        }
        ["v3"] => Ok(index(core).answer(headers)),
        ["v3", "api", version] if core.registry.has_version("", version) => {
            Ok(hashed(&group_version(core, "", version), segments, query, headers))
        }
        ["v3", "apis", group, version] if core.registry.has_version(group, version) => {
            Ok(hashed(&group_version(core, group, version), segments, query, headers))
        }
        _ => Ok(answer::text(404, "404 page not found\n")),
    }
}

/// A document that may be asked for by its hash: then it never changes, and an old hash leads to the present one.
fn hashed(document: &Document, segments: &[&str], query: &Query, headers: &HeaderMap) -> Response<Body> {
    let mut response = document.answer(headers);
    match query.get("hash") {
        None | Some("") => {}
        Some(hash) if hash == document.hash => {
            let forever = HeaderValue::from_static("public, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
        }
        Some(_) => {
            let location = format!("/openapi/{}?hash={}", segments.join("/"), document.hash);
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            *response.body_mut() = Body::empty();
            if let Ok(location) = HeaderValue::from_str(&location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
        }
    }
    response
}

/// Where each group-version's document is.
fn index(core: &Core) -> Arc<Document> {
    core.documents.get("openapi/v3", "application/json", || {
        let mut paths = Map::new();
        for (group, version) in core.registry.group_versions() {
            let path = match group {
                "" => format!("api/{version}"),
                group => format!("apis/{group}/{version}"),
            };
            let hash = &group_version(core, group, version).hash;
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
        json!({"paths": paths}).to_string().into_bytes()
    })
}

fn group_version(core: &Core, group: &str, version: &str) -> Arc<Document> {
    core.documents.get(&format!("openapi/v3/{}", api_version(group, version)), "application/json", || {
        let mut used = schemas::Used::default();
        let mut all_paths = Map::new();
        for row in core.registry.served_in(group, version) {
            all_paths.extend(paths::of(row, version, &mut used));
        }
        let document = json!({
            "openapi": "3.0.0", "info": info(), "paths": all_paths,
            "components": {"schemas": used.into_schemas(), "securitySchemes": {"BearerToken": {
                "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey",
            }}},
        });
        document.to_string().into_bytes()
    })
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": component::version::GIT_VERSION})
}

/// The beginning of a version 2 document: enough for clients that only ask whether there is one.
fn version_2(core: &Core, protobuf: bool) -> Arc<Document> {
    let version = component::version::GIT_VERSION;
    if !protobuf {
        return core.documents.get("openapi/v2", "application/json", || {
            json!({"swagger": "2.0", "info": info(), "paths": {}, "definitions": {}}).to_string().into_bytes()
        });
    }
    core.documents.get("openapi/v2 protobuf", V2_PROTOBUF, || {
        // Document {swagger = 1, info = 2: Info {title = 1, version = 2}}; every text is shorter than 128 bytes.
        let text = |number: u8, text: &[u8]| [&[number << 3 | 2, text.len() as u8], text].concat();
        let info = [text(1, b"Kubernetes"), text(2, version.as_bytes())].concat();
        [text(1, b"2.0"), text(2, &info)].concat()
    })
}
