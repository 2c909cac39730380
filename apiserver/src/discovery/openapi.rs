//! OpenAPI: version 3 for each group-version, version 2 for everything at once.
//!
//! Upstream: kube-openapi/pkg/handler3/handler.go, kube-openapi/pkg/handler
//! Left out: the documents of /.well-known/openid-configuration, /openid/v1/jwks and /logs.
//!
//! The documents are large and asked for seldom. Of each only the hash is kept from the start, and the compressed form
//! once a client took it; the rest is written anew from the rows, the schema table and the build's descriptions.

mod descriptions;
mod json;
mod message;
mod parameters;
mod paths;
mod schemas;
mod version_2;
mod version_3;

use std::{cell::OnceCell, sync::Arc};

use axum::body::Body;
use component::{query::Query, version::GIT_VERSION};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::document::{Document, LargeDocument};
use crate::{answer, core::Core};
use descriptions::Descriptions;
use json::Json;
use paths::{Content, PathItem};
use schemas::Used;

/// What clients are answered with; some still ask with an `@` where the answer has a dot.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const V3_PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
const JSON: &str = "application/json";

const TITLE: &str = "Kubernetes";

/// How clients say who they are, as both versions write it.
const BEARER_TOKEN: &str =
    r#"{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}"#;

/// Answers what stands below /openapi.
pub(super) fn answer(core: &Core, segments: &[&str], query: &Query, headers: &HeaderMap) -> Response<Body> {
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    let texts = Texts::new();
    let version_2 = || version_2::parts(all_paths(core), texts.get_or_init(Descriptions::read));
    match segments {
        ["v2"] if accept.contains("proto-openapi.spec.v2") => {
            let make = || version_2().into_protobuf();
            core.documents.large("openapi/v2 protobuf", V2_PROTOBUF, make).answer(headers)
        }
        ["v2"] => {
            let make = || version_2().into_json().into_bytes();
            core.documents.large("openapi/v2", JSON, make).answer(headers)
        }
        ["v3"] => index(core, &texts).answer(headers),
        ["v3", path @ ..] => match (part(core, path), form_of_version_3(&accept)) {
            (None, _) => answer::text(404, "404 page not found\n"),
            (Some(_), None) => answer::text(406, ""),
            (Some(make), Some(form)) => {
                let path = path.join("/");
                let document = version_3(core, &path, make, &texts);
                if form == JSON {
                    return hashed(&document, &path, query, headers);
                }
                let (name, make) =
                    (format!("openapi/v3/{path} protobuf"), || version_3::to_protobuf(&document.bytes()));
                hashed(&core.documents.other_form(&document, &name, form, make), &path, query, headers)
            }
        },
        _ => answer::text(404, "404 page not found\n"),
    }
}

/// The form of a document of version 3 that a client likes best.
fn form_of_version_3(accept: &str) -> Option<&'static str> {
    answer::clauses(accept).into_iter().find_map(|clause| match clause.split(';').next().unwrap_or_default().trim() {
        "" | JSON | "application/*" | "*/*" => Some(JSON),
        V3_PROTOBUF | V3_PROTOBUF_ASKED => Some(V3_PROTOBUF),
        _ => None,
    })
}

/// A document that may be asked for by its hash: then it never changes, and an old hash leads to the present one.
fn hashed(document: &LargeDocument<'_>, path: &str, query: &Query, headers: &HeaderMap) -> Response<Body> {
    match query.get("hash") {
        None | Some("") => document.answer(headers),
        Some(hash) if hash == document.hash() => {
            let mut response = document.answer(headers);
            let forever = HeaderValue::from_static("public, immutable");
            response.headers_mut().insert(header::CACHE_CONTROL, forever);
            response
        }
        Some(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
            if let Ok(location) = HeaderValue::from_str(&url(path, document.hash())) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
    }
}

fn url(path: &str, hash: &str) -> String {
    format!("/openapi/v3/{path}?hash={hash}")
}

/// The descriptions, read when the first document needs them and dropped with the answer.
type Texts = OnceCell<Descriptions>;

/// Lists the paths of a document.
type Make<'a> = Box<dyn Fn() -> Vec<PathItem> + 'a>;

fn version_3<'a>(core: &Core, path: &str, make: Make<'a>, texts: &'a Texts) -> LargeDocument<'a> {
    let make = move || version_3::document(make(), texts.get_or_init(Descriptions::read)).into_bytes();
    core.documents.large(&format!("openapi/v3/{path}"), JSON, make)
}

/// What a document of version 3 has in it; none when there is no such document.
fn part<'a>(core: &'a Core, path: &[&str]) -> Option<Make<'a>> {
    let of = |group: &str, version: &str| -> Option<Make<'a>> {
        let (group, version) = core.registry.group_versions().into_iter().find(|each| *each == (group, version))?;
        Some(Box::new(move || group_version(core, group, version)))
    };
    match path {
        ["version"] => Some(Box::new(|| vec![paths::of_version()])),
        ["api"] => Some(Box::new(|| vec![paths::of_group(Some(""))])),
        ["apis"] => Some(Box::new(|| vec![paths::of_group(None)])),
        ["api", version] => of("", version),
        ["apis", group] => {
            let group = core.registry.group_versions().into_iter().find(|each| each.0 == *group)?.0;
            Some(Box::new(move || vec![paths::of_group(Some(group))]))
        }
        ["apis", group, version] => of(group, version),
        _ => None,
    }
}

fn group_version(core: &Core, group: &str, version: &str) -> Vec<PathItem> {
    let rows = core.registry.served_in(group, version);
    let mut items: Vec<PathItem> = rows.flat_map(|row| paths::of(row, version)).collect();
    items.push(paths::of_group_version(group, version));
    items
}

/// Where each document of version 3 is.
fn all_parts(core: &Core) -> Vec<String> {
    let mut parts: Vec<String> = ["api", "apis", "version"].map(str::to_owned).into();
    for (group, version) in core.registry.group_versions() {
        match group {
            "" => parts.push(format!("api/{version}")),
            group => parts.extend([format!("apis/{group}"), format!("apis/{group}/{version}")]),
        }
    }
    parts.sort();
    parts.dedup();
    parts
}

fn all_paths(core: &Core) -> Vec<PathItem> {
    let make = |path: String| part(core, &path.split('/').collect::<Vec<&str>>());
    all_parts(core).into_iter().filter_map(make).flat_map(|make| make()).collect()
}

/// The hashes of all documents.
fn index(core: &Core, texts: &Texts) -> Arc<Document> {
    core.documents.get("openapi/v3", JSON, || {
        let mut paths = Map::new();
        for path in all_parts(core) {
            if let Some(make) = part(core, &path.split('/').collect::<Vec<&str>>()) {
                let url = url(&path, version_3(core, &path, make, texts).hash());
                paths.insert(path, json!({"serverRelativeURL": url}));
            }
        }
        json!({"paths": paths}).to_string().into_bytes()
    })
}

/// The document's head, as both versions write it.
fn info() -> String {
    let info: Value = json!({"title": TITLE, "version": GIT_VERSION});
    info.to_string()
}

/// What a code is called.
fn reason(code: u16) -> &'static str {
    match code {
        201 => "Created",
        202 => "Accepted",
        _ => "OK",
    }
}

/// The schema of a body.
fn content(json: &mut Json, content: Content, used: &mut Used<'_>) {
    match content {
        Content::Of(named) => used.reference(json, named),
        Content::Text => json.literal(r#"{"type":"string"}"#),
        Content::AnyObject => json.literal(r#"{"type":"object"}"#),
    }
}
