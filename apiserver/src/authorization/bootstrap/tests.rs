//! What the policy gives to whom, held against a file that is read in review.

use std::fmt::Write;

use serde_json::json;

use super::*;
use crate::{
    attributes::UserInfo,
    authorization::{Attributes, rbac::Rbac},
};

/// Every component and every controller.
fn components() -> Vec<UserInfo> {
    let mut users = vec![
        UserInfo::new("system:apiserver", &[]),
        UserInfo::new("system:kube-controller-manager", &[]),
        UserInfo::new("system:kube-scheduler", &[]),
        UserInfo::new("system:kube-proxy", &[]),
        UserInfo::new("skiff:dns", &[]),
        UserInfo::new("kube-apiserver-kubelet-client", &[]),
        UserInfo::new("system:node:n1", &["system:nodes"]),
    ];
    let accounts = controllers::ROLES.iter().filter_map(|role| role.name.strip_prefix("system:controller:"));
    users.extend(accounts.map(|account| UserInfo::service_account("kube-system", account)));
    users
}

#[test]
fn the_effective_rules_of_every_component_are_those_in_the_golden_file() {
    let rbac = Rbac::of_objects(&bootstrap_objects());
    // What every authenticated user may do is shown once.
    let (everybody, _) = rbac.rules_for(&UserInfo::new("anybody", &[]), "");
    let mut shown = String::from("everybody\n");
    for rule in &everybody {
        writeln!(shown, "    {}", rule.describe()).unwrap();
    }
    for user in components() {
        writeln!(shown, "{}", user.name).unwrap();
        for namespace in ["", "kube-system", "kube-public"] {
            let (mut rules, missing) = rbac.rules_for(&user, namespace);
            assert_eq!(missing, Vec::<String>::new(), "{}", user.name);
            let (cluster, _) = rbac.rules_for(&user, "");
            rules.retain(|rule| !everybody.contains(rule) && (namespace.is_empty() || !cluster.contains(rule)));
            for rule in rules {
                let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
                writeln!(shown, "    {}{place}", rule.describe()).unwrap();
            }
        }
    }
    writeln!(shown, "every node, by the node authorizer and as far as it reaches").unwrap();
    for rule in node_rules() {
        writeln!(shown, "    {}", rule.describe()).unwrap();
    }
    expect_test::expect_file!["golden.txt"].assert_eq(&shown);
}

#[test]
fn no_component_is_a_cluster_admin() {
    let rbac = Rbac::of_objects(&bootstrap_objects());
    let all = || vec!["*".to_owned()];
    let everything = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    for user in components() {
        assert!(!user.in_group("system:masters"));
        let (rules, _) = rbac.rules_for(&user, "kube-system");
        assert!(!uncovered(&rules, std::slice::from_ref(&everything)).is_empty(), "{}", user.name);
    }
    let admin = UserInfo::new("skiff-admin", &["skiff:cluster-admins"]);
    let (rules, _) = rbac.rules_for(&admin, "");
    assert!(uncovered(&rules, std::slice::from_ref(&everything)).is_empty());
}

#[test]
fn users_of_a_namespace_get_more_from_view_to_edit_to_admin() {
    let rbac = Rbac::of_objects(&bootstrap_objects());
    let role = |name: &str| rbac.role_rules("ClusterRole", name, "").unwrap();
    let (view, edit, admin) = (role("view"), role("edit"), role("admin"));
    assert_eq!(uncovered(&edit, &view), Vec::new());
    assert_eq!(uncovered(&admin, &edit), Vec::new());
    assert_ne!(uncovered(&view, &edit), Vec::new());
    let secret = Attributes { is_resource: true, verb: "get", resource: "secrets", ..Attributes::default() };
    assert!(!view.iter().any(|rule| rule.allows(&secret)));
    assert!(edit.iter().any(|rule| rule.allows(&secret)));
}

#[test]
fn a_stored_aggregated_role_shows_the_rules_it_has() {
    let objects = bootstrap_objects();
    let view = objects.iter().find(|object| object["metadata"]["name"] == "view").unwrap();
    assert!(view["rules"].as_array().unwrap().len() > 5);
}

#[test]
fn missing_rights_are_added_and_what_the_owner_changed_stays() {
    let objects = bootstrap_objects();
    let find = |name: &str, kind: &str| {
        objects.iter().find(|object| object["metadata"]["name"] == name && object["kind"] == kind).unwrap().clone()
    };
    let role = find("system:kube-dns", "ClusterRole");
    assert_eq!(reconcile(&role, None), Some(role.clone()));
    assert_eq!(reconcile(&role, Some(&role)), None);

    let mut edited = role.clone();
    edited["rules"] = json!([{"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]}]);
    edited["metadata"]["labels"]["mine"] = "1".into();
    let repaired = reconcile(&role, Some(&edited)).unwrap();
    assert_eq!(repaired["rules"][0]["apiGroups"][0], "x");
    assert_eq!(uncovered(&Rule::of_role(&repaired), &Rule::of_role(&role)), Vec::new());
    assert_eq!(repaired["metadata"]["labels"]["mine"], "1");
    assert_eq!(reconcile(&role, Some(&repaired)), None);

    edited["metadata"]["annotations"][AUTOUPDATE] = "false".into();
    assert_eq!(reconcile(&role, Some(&edited)), None);

    let binding = find("skiff:cluster-admins", "ClusterRoleBinding");
    let mut emptied = binding.clone();
    emptied["subjects"] = json!([]);
    assert_eq!(reconcile(&binding, Some(&emptied)), Some(binding));
}
