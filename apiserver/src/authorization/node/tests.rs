//! Two nodes, and what each may see of the other's.

use serde_json::{Value, json};

use store::Revision;

use super::super::{Attributes, Authorizer};
use crate::{
    attributes::UserInfo,
    memory::Observer as _,
    object::{Draft, ObjectKey},
    objects::world::World,
    rows,
};

fn pod(node: &str, name: &str, spec: Value) -> Value {
    let mut pod = json!({"kind": "Pod", "metadata": {"namespace": "ns", "name": name}, "spec": spec});
    pod["spec"]["nodeName"] = node.into();
    pod["spec"]["serviceAccountName"] = format!("account-{name}").into();
    pod
}

fn world() -> World {
    let first = json!({
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [{"envFrom": [{"secretRef": {"name": "from"}}],
            "env": [{"name": "E", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "k"}}}]}],
        "initContainers": [{"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "init", "key": "k"}}}]}],
        "volumes": [
            {"name": "v", "secret": {"secretName": "volume"}},
            {"name": "p", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
        ],
    });
    World::new([
        pod("n1", "one", first),
        pod("n2", "two", json!({"containers": [{"envFrom": [{"secretRef": {"name": "theirs"}}]}]})),
        json!({"kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {
            "claimRef": {"namespace": "ns", "name": "claim"},
            "csi": {"nodeStageSecretRef": {"namespace": "storage", "name": "stage"}}}}),
        json!({"kind": "PersistentVolume", "metadata": {"name": "free"}, "spec": {}}),
    ])
}

fn may(authorizer: &Authorizer, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let (group, resource) = resource.rsplit_once('|').unwrap_or(("", resource));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let asked =
        Attributes { is_resource: true, verb, group, resource, subresource, namespace, name, ..Attributes::default() };
    authorizer.allows(&UserInfo::new("system:node:n1", &["system:nodes"]), &asked)
}

#[test]
fn a_node_reaches_what_its_own_pods_refer_to() {
    let authorizer = world().authorizer();
    for (resource, name) in [
        ("secrets", "pull"),
        ("secrets", "from"),
        ("secrets", "init"),
        ("secrets", "volume"),
        ("configmaps", "env"),
        ("configmaps", "kube-root-ca.crt"),
        ("persistentvolumeclaims", "claim"),
        ("persistentvolumeclaims", "one-e"),
        ("pods", "one"),
    ] {
        assert!(may(&authorizer, "get", resource, "ns", name), "{resource} {name}");
        assert!(!may(&authorizer, "get", resource, "other", name), "{resource} {name} elsewhere");
        assert!(!may(&authorizer, "delete", resource, "ns", name) || resource == "pods", "{resource} {name}");
    }
    assert!(may(&authorizer, "watch", "secrets", "ns", "volume"));
    assert!(may(&authorizer, "get", "persistentvolumes", "", "pv"));
    assert!(may(&authorizer, "get", "secrets", "storage", "stage"));
    assert!(may(&authorizer, "create", "serviceaccounts/token", "ns", "account-one"));
    assert!(may(&authorizer, "get", "nodes", "", "n1"));
    assert!(may(&authorizer, "update", "coordination.k8s.io|leases", "kube-node-lease", "n1"));
}

#[test]
fn a_node_reaches_nothing_of_other_nodes() {
    let authorizer = world().authorizer();
    for (verb, resource, namespace, name) in [
        ("get", "secrets", "ns", "theirs"),
        ("list", "secrets", "ns", ""),
        ("list", "secrets", "", ""),
        ("get", "configmaps", "ns", "unrelated"),
        ("get", "pods", "ns", "two"),
        ("list", "pods", "", ""),
        ("get", "persistentvolumes", "", "free"),
        ("create", "serviceaccounts/token", "ns", "account-two"),
        ("get", "serviceaccounts", "ns", "account-one"),
        ("get", "nodes", "", "n2"),
        ("list", "nodes", "", ""),
        ("delete", "nodes", "", "n1"),
        ("update", "coordination.k8s.io|leases", "kube-node-lease", "n2"),
        ("update", "coordination.k8s.io|leases", "kube-system", "n1"),
        ("create", "pods/exec", "ns", "one"),
        ("get", "rbac.authorization.k8s.io|clusterroles", "", "x"),
    ] {
        assert!(!may(&authorizer, verb, resource, namespace, name), "{verb} {resource} {namespace}/{name}");
    }
}

#[test]
fn a_node_lists_pods_only_by_its_own_name() {
    let authorizer = world().authorizer();
    let user = UserInfo::new("system:node:n1", &["system:nodes"]);
    let list = |field_selector| Attributes {
        is_resource: true,
        verb: "list",
        resource: "pods",
        field_selector,
        ..Attributes::default()
    };
    assert!(authorizer.allows(&user, &list("spec.nodeName=n1")));
    assert!(authorizer.allows(&user, &list("status.phase=Running,spec.nodeName==n1")));
    for selector in ["", "spec.nodeName=n2", "spec.nodeName!=n1", "spec.nodeName=n10"] {
        assert!(!authorizer.allows(&user, &list(selector)), "{selector}");
    }
}

#[test]
fn what_a_deleted_pod_referred_to_is_out_of_reach() {
    let world = world();
    let authorizer = world.authorizer();
    assert!(may(&authorizer, "get", "secrets", "ns", "volume"));
    world.forget(&*authorizer.node);
    assert!(!may(&authorizer, "get", "secrets", "ns", "volume"));
    assert!(!may(&authorizer, "get", "persistentvolumes", "", "pv"));
}

#[test]
fn what_a_pod_refers_to_is_looked_up_again_when_its_spec_has_changed() {
    let rows = rows::rows();
    let row = rows.iter().find(|row| row.plural == "pods").unwrap();
    let version = |generation: i64, secret: &str| {
        let debugger = json!({"name": "d", "envFrom": [{"secretRef": {"name": secret}}]});
        let mut pod = pod("n1", "one", json!({"ephemeralContainers": [debugger]}));
        pod["metadata"]["generation"] = generation.into();
        Draft::of(row, &pod).at(ObjectKey::new("ns", "one"), Revision(1))
    };
    let authorizer = World::new([]).authorizer();
    let node = &authorizer.node;
    let reaches = |secret: &str| may(&authorizer, "get", "secrets", "ns", secret);
    let (first, second, third) = (version(1, "a"), version(2, "b"), version(3, "c"));
    node.observe(row, None, Some(&first));
    assert_eq!((reaches("a"), reaches("b")), (true, false));
    node.observe(row, Some(&first), Some(&second));
    node.observe(row, Some(&second), Some(&third));
    assert_eq!((reaches("a"), reaches("b"), reaches("c")), (false, false, true));
    node.observe(row, Some(&third), Some(&first));
    node.observe(row, Some(&first), None);
    assert_eq!((reaches("a"), reaches("c")), (false, false), "gone before anybody asked");
}

#[test]
fn a_user_of_that_name_outside_the_group_of_nodes_is_no_node() {
    assert_eq!(super::node_name(&UserInfo::new("system:node:n1", &[])), None);
    assert_eq!(super::node_name(&UserInfo::new("n1", &["system:nodes"])), None);
    assert_eq!(super::node_name(&UserInfo::new("system:node:n1", &["system:nodes"])), Some("n1"));
}

#[test]
fn a_node_lists_the_local_volumes_that_carry_its_name() {
    let authorizer = world().authorizer();
    let user = UserInfo::new("system:node:n1", &["system:nodes"]);
    let list = |label_selector| Attributes {
        is_resource: true,
        verb: "watch",
        resource: "persistentvolumes",
        label_selector,
        ..Attributes::default()
    };
    assert!(authorizer.allows(&user, &list("skiff.dev/local-path-node=n1")));
    for selector in ["", "skiff.dev/local-path-node=n2", "skiff.dev/local-path-node!=n1"] {
        assert!(!authorizer.allows(&user, &list(selector)), "{selector}");
    }
}
