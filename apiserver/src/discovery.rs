//! What is not a resource: what there is (/api, /apis, /openapi), /version, /metrics and the health checks.
//!
//! Upstream: apiserver/pkg/endpoints/discovery, apiserver/pkg/server/routes, kube-openapi/pkg/handler3
//! Left out: /logs and /debug, /openid.
//!
//! The documents depend on the rows alone: each is made once, on its first request, and then kept as bytes.

mod aggregated;
mod document;
mod health;
mod legacy;
mod openapi;
#[cfg(test)]
mod tests;

use api::status::Status;
use axum::body::Body;
use component::query::Query;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::json;

pub use document::Documents;

use crate::{
    answer::{self, Format},
    attributes::RequestInfo,
    core::Core,
    row::{Row, Subresource, Verbs},
};

/// Answers a request for something that is not a resource.
///
/// # Errors
/// 404 for a path that is nothing, 405 for a method that is not for reading.
pub async fn answer(
    core: &Core,
    info: &RequestInfo,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let segments: Vec<&str> = info.path.trim_start_matches('/').trim_end_matches('/').split('/').collect();
    // The health checks answer whatever the method is.
    if info.verb != "get" && !matches!(segments[0], "livez" | "readyz" | "healthz") {
        return Err(Status::method_not_allowed());
    }
    match segments.as_slice() {
        ["livez" | "readyz" | "healthz", ..] => Ok(health::answer(core, &segments, query).await),
        ["metrics"] => Ok(core.metrics.answer(&core.memory)),
        ["openapi", rest @ ..] => Ok(openapi::answer(core, rest, query, headers)),
        ["api"] | ["apis"] if aggregated::wanted(headers).is_some() => Ok(aggregated::answer(core, &segments, headers)),
        [""] => Ok(paths(core, 200)),
        _ => {
            let Some(found) = legacy::document(core, &segments, headers) else {
                return Ok(missing(core, &segments));
            };
            let mut response = answer::value(200, Format::JSON, &found);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
            Ok(response)
        }
    }
}

/// 404 for a path that leads nowhere: plain below /api and /apis, elsewhere with the paths that there are.
fn missing(core: &Core, segments: &[&str]) -> Response<Body> {
    match segments.first() {
        Some(&"api" | &"apis") => answer::text(404, "404 page not found\n"),
        _ => paths(core, 404),
    }
}

/// The paths that a person may go on from.
fn paths(core: &Core, code: u16) -> Response<Body> {
    let mut paths: Vec<String> = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3"]
        .iter()
        .chain(&["/openapi/v3/", "/readyz", "/version"])
        .map(ToString::to_string)
        .collect();
    for (group, version) in core.registry.group_versions() {
        if group.is_empty() {
            paths.push(format!("/api/{version}"));
        } else {
            paths.extend([format!("/apis/{group}"), format!("/apis/{group}/{version}")]);
        }
    }
    paths.sort();
    paths.dedup();
    answer::value(code, Format::JSON, &json!({"paths": paths}))
}

/// The verbs of a row, as discovery lists them.
fn verbs(verbs: Verbs) -> &'static [&'static str] {
    match verbs {
        Verbs::All => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        Verbs::NoDeleteCollection => &["create", "delete", "get", "list", "patch", "update", "watch"],
        Verbs::CreateOnly => &["create"],
        Verbs::ReadOnly => &["get", "list"],
    }
}

/// What a subresource speaks: group, version and kind where they are not those of its row; and its verbs.
fn subresource(row: &Row, subresource: Subresource) -> (Option<[&'static str; 3]>, &'static [&'static str]) {
    const CONNECT: &[&str] = &["create", "get"];
    const CHANGE: &[&str] = &["get", "patch", "update"];
    match subresource {
        Subresource::Scale => (Some(["autoscaling", "v1", "Scale"]), CHANGE),
        Subresource::Binding => (Some(["", "v1", "Binding"]), &["create"]),
        Subresource::Eviction => (Some(["policy", "v1", "Eviction"]), &["create"]),
        Subresource::Token => (Some(["authentication.k8s.io", "v1", "TokenRequest"]), &["create"]),
        Subresource::Log => (None, &["get"]),
        Subresource::Exec => (Some(["", "v1", "PodExecOptions"]), CONNECT),
        Subresource::Attach => (Some(["", "v1", "PodAttachOptions"]), CONNECT),
        Subresource::PortForward => (Some(["", "v1", "PodPortForwardOptions"]), CONNECT),
        Subresource::Proxy => {
            let options = match &*row.kind {
                "Node" => "NodeProxyOptions",
                "Service" => "ServiceProxyOptions",
                _ => "PodProxyOptions",
            };
            (Some(["", "v1", options]), &["create", "delete", "get", "patch", "update"])
        }
        Subresource::Finalize => (None, &["update"]),
        Subresource::Status | Subresource::EphemeralContainers | Subresource::Resize | Subresource::Approval => {
            (None, CHANGE)
        }
    }
}
