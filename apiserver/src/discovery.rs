//! What there is: /api, /apis, the resources of each group-version, /version and the health checks.
//!
//! Upstream: apiserver/pkg/endpoints/discovery, apiserver/pkg/server/routes
//! Left out: aggregated discovery, ETags, OpenAPI, metrics.

use api::status::Status;
use axum::body::Body;
use http::{HeaderMap, Response};
use serde_json::{Value, json};

use crate::{
    answer::{self, Format},
    attributes::RequestInfo,
    core::Core,
    row::{Row, Scope, Subresource, Verbs},
};

/// Answers a request for something that is not a resource.
///
/// # Errors
/// 404 for a path that is nothing, 405 for a method that is not for reading.
pub fn answer(core: &Core, info: &RequestInfo, _headers: &HeaderMap) -> Result<Response<Body>, Status> {
    if info.verb != "get" {
        return Err(Status::method_not_allowed());
    }
    let segments: Vec<&str> = info.path.trim_matches('/').split('/').collect();
    let found = match segments.as_slice() {
        ["livez" | "readyz" | "healthz", ..] => return Ok(answer::text(200, "ok")),
        ["version"] => version(),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(core)}),
        ["api", version] if core.registry.has_version("", version) => resources(core, "", version),
        ["apis", group] => {
            let groups = groups(core);
            let found = groups.into_iter().find(|each| each["name"] == *group);
            let mut found = found.ok_or_else(Status::no_such_path)?;
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            found
        }
        ["apis", group, version] if core.registry.has_version(group, version) => resources(core, group, version),
        _ => return Err(Status::no_such_path()),
    };
    Ok(answer::value(200, Format::JSON, &found))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": "v1.35.0+skiff.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}

/// The named groups in the order of the table, each with its versions, the preferred one first.
fn groups(core: &Core) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in core.registry.rows().iter().filter(|row| !row.group.is_empty()) {
        let at = groups.iter().position(|(name, _)| *name == row.group).unwrap_or_else(|| {
            groups.push((&row.group, Vec::new()));
            groups.len() - 1
        });
        for version in &row.versions {
            if !groups[at].1.contains(&version.as_ref()) {
                groups[at].1.push(version);
            }
        }
    }
    let entry = |group: &str, version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    groups
        .iter()
        .map(|(group, versions)| {
            let entries: Vec<Value> = versions.iter().map(|version| entry(group, version)).collect();
            json!({"name": group, "versions": entries, "preferredVersion": entries[0]})
        })
        .collect()
}

fn resources(core: &Core, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for row in
        core.registry.rows().iter().filter(|row| row.group == group && row.versions.iter().any(|each| each == version))
    {
        resources.push(resource(row));
        resources.extend(row.subresources.iter().map(|each| subresource(row, *each)));
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = api::object::api_version(group, version);
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn resource(row: &Row) -> Value {
    let verbs: &[&str] = match row.verbs {
        Verbs::All => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        Verbs::NoDeleteCollection => &["create", "delete", "get", "list", "patch", "update", "watch"],
        Verbs::CreateOnly => &["create"],
    };
    let mut entry = json!({
        "name": row.plural, "singularName": row.singular, "namespaced": row.scope == Scope::Namespaced,
        "kind": row.kind, "verbs": verbs,
    });
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
    entry
}

fn subresource(row: &Row, subresource: Subresource) -> Value {
    let (kind, verbs): (&str, &[&str]) = match subresource {
        Subresource::Scale => ("Scale", &["get", "patch", "update"]),
        Subresource::Binding => ("Binding", &["create"]),
        Subresource::Eviction => ("Eviction", &["create"]),
        Subresource::Token => ("TokenRequest", &["create"]),
        Subresource::Log => (&row.kind, &["get"]),
        Subresource::Exec => ("PodExecOptions", &["create", "get"]),
        Subresource::Attach => ("PodAttachOptions", &["create", "get"]),
        Subresource::PortForward => ("PodPortForwardOptions", &["create", "get"]),
        Subresource::Proxy => ("PodProxyOptions", &["create", "delete", "get", "patch", "update"]),
        Subresource::Finalize => (&row.kind, &["update"]),
        Subresource::Status | Subresource::EphemeralContainers | Subresource::Resize | Subresource::Approval => {
            (&row.kind, &["get", "patch", "update"])
        }
    };
    let name = format!("{}/{}", row.plural, subresource.name());
    json!({"name": name, "singularName": "", "namespaced": row.scope == Scope::Namespaced, "kind": kind, "verbs": verbs})
}
