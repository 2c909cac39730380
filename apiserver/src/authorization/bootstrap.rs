//! The roles and bindings that every cluster has, and how a server puts them in place when it starts.
//!
//! Upstream: plugin/pkg/auth/authorizer/rbac/bootstrappolicy, pkg/registry/rbac/rest/storage_rbac.go,
//!   pkg/registry/rbac/reconciliation
//! Left out: roles for controllers of cloud providers; roles of alpha features.
//!
//! The tables are [`roles`], [`controllers`] and [`bindings`]. What in them is skiff's own is marked there.

use serde_json::{Value, json};

use super::{
    rbac::{self, GROUP},
    rule::{Rule, uncovered},
};

mod bindings;
mod controllers;
mod roles;

/// A rule in the tables: lists are divided by spaces, the core group is written `core`.
#[derive(Clone, Copy)]
struct Grant {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
    paths: &'static str,
}

/// Verbs on resources.
const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Grant {
    Grant { verbs, groups, resources, names: "", paths: "" }
}

/// Verbs on single objects.
const fn named(verbs: &'static str, groups: &'static str, resources: &'static str, names: &'static str) -> Grant {
    Grant { verbs, groups, resources, names, paths: "" }
}

/// GET of paths that are no resources.
const fn paths(paths: &'static str) -> Grant {
    Grant { verbs: "get", groups: "", resources: "", names: "", paths }
}

const READ: &str = "get list watch";
const WRITE: &str = "create update patch delete deletecollection";
/// What everybody who reports events needs.
const EVENTS: Grant = on("create update patch", "core events.k8s.io", "events");

/// A role in the tables.
struct Role {
    /// "" for cluster roles.
    namespace: &'static str,
    name: &'static str,
    /// Labels beside the one that all of these have.
    labels: &'static [&'static str],
    /// The label whose roles this one gathers; it has no rules of its own then.
    aggregates: &'static str,
    grants: &'static [Grant],
}

const fn role(name: &'static str, grants: &'static [Grant]) -> Role {
    Role { namespace: "", name, labels: &[], aggregates: "", grants }
}

/// Who a role is given to.
enum To {
    User(&'static str),
    Group(&'static str),
    /// A service account of kube-system.
    Account(&'static str),
}

/// A binding in the tables. It has the name of its role unless it says otherwise.
struct Binding {
    namespace: &'static str,
    name: &'static str,
    role: &'static str,
    subjects: &'static [To],
}

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Every role and binding, in the order in which they are created: roles first.
pub fn bootstrap_objects() -> Vec<Value> {
    let mut objects: Vec<Value> = roles::ROLES.iter().chain(controllers::ROLES).map(role_object).collect();
    for (name, aggregated) in rbac::aggregated_rules(&objects) {
        if let Some(role) =
            objects.iter_mut().find(|role| role["kind"] == "ClusterRole" && role["metadata"]["name"] == name)
        {
            role["rules"] = json!(aggregated);
        }
    }
    objects.extend(bindings::BINDINGS.iter().map(binding_object));
    // Each controller writes as a service account of its own.
    for role in controllers::ROLES {
        let account = role.name.strip_prefix("system:controller:").unwrap_or(role.name);
        let binding = binding_of(role.namespace, role.name, role.name, vec![account_subject(account)]);
        objects.push(binding);
    }
    objects
}

/// What every kubelet may do, whatever its node runs: the rules of `system:node`.
pub(super) fn node_rules() -> Vec<Rule> {
    rules_of("system:node")
}

/// What the API server itself may do, even before the first role is stored.
pub(super) fn apiserver_rules() -> Vec<Rule> {
    rules_of("skiff:apiserver")
}

fn rules_of(name: &str) -> Vec<Rule> {
    let role = roles::ROLES.iter().find(|role| role.name == name).expect("the table has the role");
    role.grants.iter().map(rule).collect()
}

fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn rule(grant: &Grant) -> Rule {
    let group = |group: &str| if group == "core" { String::new() } else { group.to_owned() };
    Rule {
        verbs: words(grant.verbs),
        api_groups: grant.groups.split_whitespace().map(group).collect(),
        resources: words(grant.resources),
        resource_names: words(grant.names),
        non_resource_urls: words(grant.paths),
    }
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn role_object(role: &Role) -> Value {
    let kind = if role.namespace.is_empty() { "ClusterRole" } else { "Role" };
    let rules: Vec<Rule> = role.grants.iter().map(rule).collect();
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": kind,
        "metadata": metadata(role.namespace, role.name),
        "rules": rules,
    });
    for label in role.labels {
        object["metadata"]["labels"][*label] = "true".into();
    }
    if !role.aggregates.is_empty() {
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {role.aggregates: "true"}}]});
    }
    object
}

fn account_subject(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"})
}

fn binding_object(binding: &Binding) -> Value {
    let subject = |to: &To| match to {
        To::User(name) => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
        To::Group(name) => json!({"kind": "Group", "apiGroup": GROUP, "name": name}),
        To::Account(name) => account_subject(name),
    };
    binding_of(binding.namespace, binding.name, binding.role, binding.subjects.iter().map(subject).collect())
}

fn binding_of(namespace: &str, name: &str, role: &str, subjects: Vec<Value>) -> Value {
    let (kind, role_kind) =
        if namespace.is_empty() { ("ClusterRoleBinding", "ClusterRole") } else { ("RoleBinding", "Role") };
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": kind,
        "metadata": metadata(namespace, name),
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role},
        "subjects": subjects,
    })
}

/// What must be written so that `existing` (none when there is no such object) has at least what `expected` says; none
/// when nothing must be.
///
/// Additions of the cluster's owner stay; an object whose autoupdate annotation is "false" is left alone. A binding
/// whose role differs cannot be updated: it is left alone as well.
pub fn reconcile(expected: &Value, existing: Option<&Value>) -> Option<Value> {
    let Some(existing) = existing else { return Some(expected.clone()) };
    if existing["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return None;
    }
    let mut updated = existing.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in expected["metadata"][field].as_object().into_iter().flatten() {
            updated["metadata"][field][key] = value.clone();
        }
    }
    if expected.get("roleRef").is_some() {
        if expected["roleRef"] != existing["roleRef"] {
            return None;
        }
        add_missing(&mut updated["subjects"], &expected["subjects"]);
    } else if expected.get("aggregationRule").is_some() {
        let wanted = &expected["aggregationRule"]["clusterRoleSelectors"];
        add_missing(&mut updated["aggregationRule"]["clusterRoleSelectors"], wanted);
    } else {
        let missing = uncovered(&Rule::of_role(existing), &Rule::of_role(expected));
        add_missing(&mut updated["rules"], &json!(missing));
    }
    (updated != *existing).then_some(updated)
}

/// Appends the elements of `wanted` that `list` does not have.
fn add_missing(list: &mut Value, wanted: &Value) {
    for element in wanted.as_array().into_iter().flatten() {
        match list.as_array_mut() {
            Some(elements) if elements.contains(element) => {}
            Some(elements) => elements.push(element.clone()),
            None => *list = json!([element]),
        }
    }
}

#[cfg(test)]
mod tests;
