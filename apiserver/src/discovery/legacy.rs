//! Discovery in many small documents: /api, /apis, /apis/GROUP, /apis/GROUP/VERSION, and /version.
//!
//! Upstream: apiserver/pkg/endpoints/discovery (legacy.go, root.go, group.go, version.go)
//! Left out: nothing.

use http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::{
    core::Core,
    row::{Row, Scope, Subresource},
};

/// The document of a path; none when there is no such group or version.
pub(super) fn document(core: &Core, segments: &[&str], headers: &HeaderMap) -> Option<Value> {
    Some(match segments {
        ["version"] => serde_json::to_value(component::version::info()).ok()?,
        ["api"] => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": server_addresses(headers)})
        }
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(core)}),
        ["api", version] if core.registry.has_version("", version) => resources(core, "", version),
        ["apis", group] => {
            let mut found = groups(core).into_iter().find(|each| each["name"] == *group)?;
            found["kind"] = "APIGroup".into();
            found["apiVersion"] = "v1".into();
            found
        }
        ["apis", group, version] if core.registry.has_version(group, version) => resources(core, group, version),
        _ => return None,
    })
}

/// The address that the client reached us at, for all clients.
fn server_addresses(headers: &HeaderMap) -> Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.map_or(json!([]), |host| json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]))
}

/// The named groups, each with its versions, the preferred one first.
fn groups(core: &Core) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for (group, version) in core.registry.group_versions().into_iter().filter(|(group, _)| !group.is_empty()) {
        let entry = json!({"groupVersion": format!("{group}/{version}"), "version": version});
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, versions)) => versions.push(entry),
            None => groups.push((group, vec![entry])),
        }
    }
    let shown = |(name, versions): (&str, Vec<Value>)| {
        let preferred = versions.first().cloned();
        json!({"name": name, "versions": versions, "preferredVersion": preferred})
    };
    groups.into_iter().map(shown).collect()
}

fn resources(core: &Core, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for row in core.registry.served_in(group, version) {
        resources.push(resource(row));
        resources.extend(row.subresources.iter().map(|each| subresource(row, *each)));
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let group_version = api::object::api_version(group, version);
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn resource(row: &Row) -> Value {
    let mut entry = json!({
        "name": row.plural, "singularName": row.singular, "namespaced": row.scope == Scope::Namespaced,
        "kind": row.kind, "verbs": super::verbs(row.verbs),
    });
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
    if let Some(hash) = row.storage_version_hash() {
        entry["storageVersionHash"] = hash.into();
    }
    entry
}

fn subresource(row: &Row, subresource: Subresource) -> Value {
    let (other, verbs) = super::subresource(row, subresource);
    let [group, version, kind] = other.unwrap_or(["", "", &row.kind]);
    let name = format!("{}/{}", row.plural, subresource.name());
    let namespaced = row.scope == Scope::Namespaced;
    let mut entry = json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs});
    if !group.is_empty() {
        entry["group"] = group.into();
        entry["version"] = version.into();
    }
    entry
}
