//! Discovery in one document for /api and one for /apis: `APIGroupDiscoveryList`.
//!
//! Upstream: apiserver/pkg/endpoints/discovery/aggregated, api/apidiscovery/v2/types.go
//! Left out: freshness of other servers' groups.

use axum::body::Body;
use http::{HeaderMap, Response, header};
use serde_json::{Value, json};

use crate::{
    core::Core,
    row::{Row, Scope, Subresource},
};

/// The versions of the list, with the media type of each.
const VERSIONS: [(&str, &str); 2] = [
    ("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
];

/// The version and media type that the client prefers to the small documents, if it does.
pub(super) fn wanted(headers: &HeaderMap) -> Option<(&'static str, &'static str)> {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for clause in accept.flat_map(|value| value.split(',')) {
        let mut parts = clause.split(';').map(str::trim);
        if !matches!(parts.next(), Some("application/json" | "*/*" | "application/*")) {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let parameter = |name| parameters.iter().find(|(each, _)| *each == name).map(|(_, value)| *value);
        match (parameter("as"), parameter("g")) {
            (None, _) => return None,
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io")) => {
                let version = VERSIONS.iter().find(|(version, _)| parameter("v") == Some(*version));
                if let Some(found) = version {
                    return Some(*found);
                }
            }
            _ => {}
        }
    }
    None
}

/// The list of the core group or of all named groups.
pub(super) fn answer(core: &Core, segments: &[&str], headers: &HeaderMap) -> Response<Body> {
    let (version, media_type) = wanted(headers).unwrap_or(VERSIONS[0]);
    let named = segments == ["apis"];
    let document = core.documents.get(&format!("{segments:?} {version}"), media_type, || {
        let list = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
            "items": groups(core, named),
        });
        list.to_string().into_bytes()
    });
    document.answer(headers)
}

fn groups(core: &Core, named: bool) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for (group, version) in core.registry.group_versions().into_iter().filter(|(group, _)| group.is_empty() != named) {
        let mut rows: Vec<_> = core.registry.served_in(group, version).collect();
        rows.sort_by(|one, other| one.plural.cmp(&other.plural));
        let resources: Vec<Value> = rows.into_iter().map(|row| resource(row, version)).collect();
        let entry = json!({"version": version, "resources": resources, "freshness": "Current"});
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, versions)) => versions.push(entry),
            None => groups.push((group, vec![entry])),
        }
    }
    let metadata = |name: &str| {
        let mut metadata = json!({});
        if !name.is_empty() {
            metadata["name"] = name.into();
        }
        metadata
    };
    groups.into_iter().map(|(name, versions)| json!({"metadata": metadata(name), "versions": versions})).collect()
}

fn resource(row: &Row, version: &str) -> Value {
    let scope = if row.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" };
    let mut entry = json!({
        "resource": row.plural, "responseKind": {"group": row.group, "version": version, "kind": row.kind},
        "scope": scope, "singularResource": row.singular, "verbs": super::verbs(row.verbs),
    });
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
    if !row.subresources.is_empty() {
        let entries = row.subresources.iter().map(|each| subresource(row, version, *each));
        entry["subresources"] = entries.collect();
    }
    entry
}

fn subresource(row: &Row, version: &str, subresource: Subresource) -> Value {
    let (other, verbs) = super::subresource(row, subresource);
    let [group, version, kind] = other.unwrap_or([&row.group, version, &row.kind]);
    let kind = json!({"group": group, "version": version, "kind": kind});
    json!({"subresource": subresource.name(), "responseKind": kind, "verbs": verbs})
}
