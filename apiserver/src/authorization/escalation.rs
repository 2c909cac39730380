//! Nobody gives away rights that they don't hold: the check of every write of a role or binding.
//!
//! Upstream: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go,
//!   pkg/registry/rbac/validation/rule.go (ConfirmNoEscalation), pkg/registry/rbac/escalation_check.go
//! Left out: nothing.

use api::status::Status;
use serde_json::Value;

use super::{
    Attributes, Authorizer,
    rbac::GROUP,
    rule::{Rule, quoted, uncovered},
};
use crate::attributes::{RequestInfo, UserInfo};

/// Checks a write of a role or a binding; other objects pass. `old` is the object before the write, if there was one.
///
/// # Errors
/// 403 that names the rights that would be given away; 404 for a binding to a role that does not exist.
pub fn check(
    authorizer: &Authorizer,
    user: &UserInfo,
    info: &RequestInfo,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if info.group != GROUP
        || user.in_group("system:masters")
        || old.is_some_and(|old| same_but_for_deletion(object, old))
    {
        return Ok(());
    }
    match info.resource.as_str() {
        "roles" | "clusterroles" => check_role(authorizer, user, info, object, old),
        "rolebindings" | "clusterrolebindings" => check_binding(authorizer, user, info, object),
        _ => Ok(()),
    }
}

fn check_role(
    authorizer: &Authorizer,
    user: &UserInfo,
    info: &RequestInfo,
    role: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let escalate = Attributes { verb: "escalate", subresource: "", ..Attributes::from(info) };
    if authorizer.allows(user, &escalate) {
        return Ok(());
    }
    confirm(authorizer, user, info, role, &Rule::of_role(role))?;
    // An aggregated role gets whatever others put into it, now and later.
    let aggregates = |role: &Value| {
        role["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|selectors| !selectors.is_empty())
    };
    if aggregates(role) || old.is_some_and(aggregates) {
        let all = || vec!["*".to_owned()];
        let everything = [
            Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
        ];
        let (held, _) = authorizer.rbac.rules_for(user, &info.namespace);
        if !uncovered(&held, &everything).is_empty() {
            return Err(refuse(info, role, "must have cluster-admin privileges to use the aggregationRule"));
        }
    }
    Ok(())
}

fn check_binding(authorizer: &Authorizer, user: &UserInfo, info: &RequestInfo, binding: &Value) -> Result<(), Status> {
    let text = |field: &str| binding["roleRef"][field].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let plural = if kind == "Role" { "roles" } else { "clusterroles" };
    let bind = Attributes {
        is_resource: true,
        verb: "bind",
        group: text("apiGroup"),
        resource: plural,
        name,
        namespace: &info.namespace,
        ..Attributes::default()
    };
    if authorizer.allows(user, &bind) {
        return Ok(());
    }
    let rules = authorizer.rbac.role_rules(kind, name, &info.namespace);
    let rules = rules.ok_or_else(|| Status::not_found(GROUP, plural, name))?;
    confirm(authorizer, user, info, binding, &rules)
}

/// Confirms that the user holds all of `rules` where the object is.
fn confirm(
    authorizer: &Authorizer,
    user: &UserInfo,
    info: &RequestInfo,
    object: &Value,
    rules: &[Rule],
) -> Result<(), Status> {
    let (held, missing_roles) = authorizer.rbac.rules_for(user, &info.namespace);
    let mut lacking: Vec<String> = uncovered(&held, rules).iter().map(Rule::describe).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    lacking.sort();
    lacking.dedup();
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        lacking.join("\n")
    );
    if !missing_roles.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", missing_roles.join(", ")));
    }
    Err(refuse(info, object, &why))
}

fn refuse(info: &RequestInfo, object: &Value, why: &str) -> Status {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Status::forbidden(GROUP, &info.resource, name, why)
}

/// Whether a write changes nothing but what the garbage collector must be able to change.
fn same_but_for_deletion(object: &Value, old: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in ["ownerReferences", "finalizers", "managedFields"] {
                metadata.remove(field);
            }
        }
        object
    };
    stripped(object) == stripped(old)
}
