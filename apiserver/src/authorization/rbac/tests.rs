//! What roles and bindings say, case by case.

use serde_json::{Value, json};

use super::super::{Attributes, forbidden};
use crate::{
    attributes::{Decision, UserInfo},
    objects::world::World,
};

fn on<'a>(verb: &'a str, group: &'a str, resource: &'a str, namespace: &'a str, name: &'a str) -> Attributes<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes { is_resource: true, verb, group, resource, subresource, namespace, name, ..Attributes::default() }
}

fn path<'a>(verb: &'a str, path: &'a str) -> Attributes<'a> {
    Attributes { verb, path, ..Attributes::default() }
}

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "rules": rules})
}

fn binding(kind: &str, namespace: &str, name: &str, role: (&str, &str), subject: Value) -> Value {
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1}})
}

fn world() -> World {
    let reader = json!([
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
        {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"], "resourceNames": ["d"]},
        {"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]},
    ]);
    let paths = json!([{"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]}]);
    World::new([
        role("Role", "n", "r", reader),
        role("ClusterRole", "", "paths", paths),
        binding("RoleBinding", "n", "rb", ("Role", "r"), json!({"kind": "Group", "name": "viewers"})),
        binding("RoleBinding", "n", "sa", ("Role", "r"), json!({"kind": "ServiceAccount", "name": "bot"})),
        binding("RoleBinding", "n", "paths", ("ClusterRole", "paths"), json!({"kind": "User", "name": "u"})),
        binding("ClusterRoleBinding", "", "p", ("ClusterRole", "paths"), json!({"kind": "User", "name": "p"})),
        binding("ClusterRoleBinding", "", "m", ("ClusterRole", "gone"), json!({"kind": "User", "name": "m"})),
    ])
}

#[test]
fn a_request_is_allowed_by_exactly_the_rules_that_reach_its_user() {
    let authorizer = world().authorizer();
    let viewer = UserInfo::new("v", &["viewers"]);
    let allowed = [
        (viewer.clone(), on("get", "", "pods", "n", "x")),
        (viewer.clone(), on("list", "", "pods", "n", "")),
        (viewer.clone(), on("get", "", "pods/log", "n", "x")),
        (viewer.clone(), on("delete", "apps", "deployments", "n", "d")),
        (viewer.clone(), on("update", "any.example", "things/scale", "n", "x")),
        (UserInfo::service_account("n", "bot"), on("get", "", "pods", "n", "x")),
        (UserInfo::new("p", &[]), path("get", "/metrics")),
        (UserInfo::new("p", &[]), path("get", "/logs/a/b")),
        (UserInfo::new("x", &["system:masters"]), on("delete", "", "nodes", "", "n1")),
    ];
    for (user, asked) in &allowed {
        assert!(authorizer.allows(user, asked), "{} {asked:?}", user.name);
    }
    let refused = [
        (viewer.clone(), on("get", "", "pods", "other", "x")),
        (viewer.clone(), on("list", "", "pods", "", "")),
        (viewer.clone(), on("watch", "", "pods", "n", "")),
        (viewer.clone(), on("deletecollection", "", "pods", "n", "")),
        (viewer.clone(), on("get", "", "pods/exec", "n", "x")),
        (viewer.clone(), on("get", "apps", "pods", "n", "x")),
        (viewer.clone(), on("delete", "apps", "deployments", "n", "e")),
        // A name in a rule can't allow what has no name yet.
        (viewer.clone(), on("create", "apps", "deployments", "n", "")),
        (viewer.clone(), on("list", "apps", "deployments", "n", "")),
        (viewer.clone(), on("update", "", "things", "n", "x")),
        (viewer, path("get", "/metrics")),
        (UserInfo::service_account("other", "bot"), on("get", "", "pods", "n", "x")),
        (UserInfo::new("u", &[]), path("get", "/metrics")),
        (UserInfo::new("p", &[]), path("post", "/metrics")),
        (UserInfo::new("p", &[]), path("get", "/metrics/x")),
        (UserInfo::new("p", &[]), path("get", "/log")),
    ];
    for (user, asked) in &refused {
        assert!(!authorizer.allows(user, asked), "{} {asked:?}", user.name);
    }
}

#[test]
fn an_answer_says_which_binding_gave_it_and_which_role_is_missing() {
    let authorizer = world().authorizer();
    let asked = on("get", "", "pods", "n", "x");
    let reason = r#"RBAC: allowed by RoleBinding "rb/n" of Role "r" to Group "viewers""#.to_owned();
    assert_eq!(authorizer.decide(&UserInfo::new("v", &["viewers"]), &asked), Decision::Allow { reason });
    let reason = r#"RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#.to_owned();
    assert_eq!(authorizer.decide(&UserInfo::new("m", &[]), &asked), Decision::NoOpinion { reason });
}

#[test]
fn a_user_loses_a_right_with_its_binding_at_once() {
    let world = world();
    let authorizer = world.authorizer();
    let (user, asked) = (UserInfo::new("v", &["viewers"]), on("get", "", "pods", "n", "x"));
    assert!(authorizer.allows(&user, &asked));
    world.forget(&*authorizer.rbac);
    assert!(!authorizer.allows(&user, &asked));
}

#[test]
fn refusals_are_worded_as_people_search_for_them() {
    let user = UserInfo::new("nobody", &[]);
    let message = |asked: Attributes<'_>| forbidden(&user, &asked, "").message;
    assert_eq!(
        message(on("list", "", "pods", "default", "")),
        r#"pods is forbidden: User "nobody" cannot list resource "pods" in API group "" in the namespace "default""#
    );
    assert_eq!(
        message(on("get", "apps", "deployments/scale", "n", "x")),
        r#"deployments.apps "x" is forbidden: User "nobody" cannot get resource "deployments/scale" in API group "apps" in the namespace "n""#
    );
    assert_eq!(
        message(on("list", "", "nodes", "", "")),
        r#"nodes is forbidden: User "nobody" cannot list resource "nodes" in API group "" at the cluster scope"#
    );
    assert_eq!(message(path("get", "/metrics")), r#"forbidden: User "nobody" cannot get path "/metrics""#);
}

#[test]
fn an_aggregated_role_has_the_rules_of_the_roles_it_selects() {
    let labelled = |name: &str, resource: &str, label: &str| {
        let mut role =
            role("ClusterRole", "", name, json!([{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]));
        role["metadata"]["labels"] = json!({label: "true"});
        role
    };
    let mut top = labelled("top", "ignored", "none");
    top["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to-top": "true"}}]});
    let mut middle = labelled("middle", "ignored", "to-top");
    middle["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"to-middle": "true"}}]});
    let user = json!({"kind": "User", "name": "u"});
    let world = World::new([
        top,
        middle,
        labelled("leaf", "pods", "to-middle"),
        labelled("other", "nodes", "to-top"),
        binding("ClusterRoleBinding", "", "b", ("ClusterRole", "top"), user),
    ]);
    let authorizer = world.authorizer();
    let user = UserInfo::new("u", &[]);
    assert!(authorizer.allows(&user, &on("get", "", "pods", "n", "x")));
    assert!(authorizer.allows(&user, &on("get", "", "nodes", "", "x")));
    assert!(!authorizer.allows(&user, &on("get", "", "ignored", "", "x")));
}
