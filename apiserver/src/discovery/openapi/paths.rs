//! The paths of a row, with the operations that each answers.
//!
//! Upstream: apiserver/pkg/endpoints/installer.go
//! Left out: paths of watches, and of the subresources that are no objects.

use api::object::api_version;
use serde_json::{Map, Value, json};

use super::schemas::Used;
use crate::row::{Row, Scope, Subresource, Verbs};

/// What an operation does to the parameters, the body and the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    List,
    Create,
    DeleteCollection,
    Get,
    Update,
    Patch,
    Delete,
}

/// The path items of a row in one of its versions, by path.
pub(super) fn of(row: &Row, version: &str, used: &mut Used) -> Map<String, Value> {
    let root = if row.group.is_empty() { "/api" } else { "/apis" };
    let base = format!("{root}/{}", api_version(&row.group, version));
    let collection = match row.scope {
        Scope::Namespaced => format!("{base}/namespaces/{{namespace}}/{}", row.plural),
        Scope::Cluster => format!("{base}/{}", row.plural),
    };
    let kind = [&*row.group, version, &row.kind];
    let mut item = |actions: &[Action], kind: [&str; 3], named: bool| {
        let operations: Map<String, Value> =
            actions.iter().map(|action| (action.method().to_owned(), operation(*action, kind, used))).collect();
        let mut item = Value::Object(operations);
        item["parameters"] = parameters(row.scope, named);
        item
    };
    let mut paths = Map::new();
    if row.verbs == Verbs::CreateOnly {
        paths.insert(collection, item(&[Action::Create], kind, false));
        return paths;
    }
    let one = format!("{collection}/{{name}}");
    let of_all: &[Action] = match row.verbs {
        Verbs::NoDeleteCollection => &[Action::List, Action::Create],
        Verbs::ReadOnly => &[Action::List],
        _ => &[Action::List, Action::Create, Action::DeleteCollection],
    };
    paths.insert(collection.clone(), item(of_all, kind, false));
    let of_one: &[Action] = match row.verbs {
        Verbs::ReadOnly => &[Action::Get],
        _ => &[Action::Get, Action::Update, Action::Patch, Action::Delete],
    };
    paths.insert(one.clone(), item(of_one, kind, true));
    for subresource in &row.subresources {
        let (other, _) = super::super::subresource(row, *subresource);
        let actions: &[Action] = match subresource {
            Subresource::Status | Subresource::Scale | Subresource::EphemeralContainers => {
                &[Action::Get, Action::Update, Action::Patch]
            }
            Subresource::Resize | Subresource::Approval => &[Action::Get, Action::Update, Action::Patch],
            Subresource::Binding | Subresource::Eviction | Subresource::Token => &[Action::Create],
            Subresource::Finalize => &[Action::Update],
            _ => continue,
        };
        paths.insert(format!("{one}/{}", subresource.name()), item(actions, other.unwrap_or(kind), true));
    }
    if row.scope == Scope::Namespaced {
        let mut everywhere = item(&[Action::List], kind, false);
        everywhere["parameters"] = json!([]);
        paths.insert(format!("{base}/{}", row.plural), everywhere);
    }
    paths
}

fn parameters(scope: Scope, named: bool) -> Value {
    let path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}});
    let mut parameters = Vec::new();
    if named {
        parameters.push(path("name"));
    }
    if scope == Scope::Namespaced {
        parameters.push(path("namespace"));
    }
    parameters.push(query("pretty", "string"));
    parameters.into()
}

fn query(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

impl Action {
    fn method(self) -> &'static str {
        match self {
            Action::List | Action::Get => "get",
            Action::Create => "post",
            Action::Update => "put",
            Action::Patch => "patch",
            Action::Delete | Action::DeleteCollection => "delete",
        }
    }

    /// As `x-kubernetes-action` says it.
    fn word(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::DeleteCollection => "deletecollection",
            other => other.method(),
        }
    }

    fn parameters(self) -> Vec<Value> {
        let texts: &[&str] = match self {
            Action::List => &["continue", "fieldSelector", "labelSelector", "resourceVersion", "resourceVersionMatch"],
            Action::DeleteCollection => &["continue", "dryRun", "fieldSelector", "labelSelector", "propagationPolicy"],
            Action::Get => &[],
            Action::Create | Action::Update | Action::Patch => &["dryRun", "fieldManager", "fieldValidation"],
            Action::Delete => &["dryRun", "propagationPolicy"],
        };
        let mut parameters: Vec<Value> = texts.iter().map(|name| query(name, "string")).collect();
        parameters.extend(match self {
            Action::List => vec![
                query("allowWatchBookmarks", "boolean"),
                query("limit", "integer"),
                query("sendInitialEvents", "boolean"),
                query("timeoutSeconds", "integer"),
                query("watch", "boolean"),
            ],
            Action::Delete => vec![query("gracePeriodSeconds", "integer")],
            Action::Patch => vec![query("force", "boolean")],
            _ => Vec::new(),
        });
        parameters
    }
}

fn operation(action: Action, [group, version, kind]: [&str; 3], used: &mut Used) -> Value {
    let own = used.kind(group, version, kind);
    let content =
        |schema: &Value| json!({"application/json": {"schema": schema}, "application/yaml": {"schema": schema}});
    let answer = match action {
        Action::List => used.kind(group, version, &format!("{kind}List")),
        Action::Delete | Action::DeleteCollection => used.kind("", "v1", "Status"),
        _ => own.clone(),
    };
    let body = match action {
        Action::Create | Action::Update => Some(content(&own)),
        Action::Delete | Action::DeleteCollection => Some(content(&used.kind("", "v1", "DeleteOptions"))),
        Action::Patch => {
            let any = json!({"schema": {"type": "object"}});
            Some(json!({
                "application/json-patch+json": any, "application/merge-patch+json": any,
                "application/strategic-merge-patch+json": any,
            }))
        }
        Action::List | Action::Get => None,
    };
    let code = if action == Action::Create { "201" } else { "200" };
    let mut operation = json!({
        "parameters": action.parameters(),
        "responses": {code: {"description": "OK", "content": content(&answer)}},
        "x-kubernetes-action": action.word(),
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({"content": body});
    }
    operation
}
