//! What a kubelet may write, case by case.

use serde_json::json;

use super::*;
use crate::{admission::tests::send, attributes::UserInfo, objects::world::World};

fn pod(node: &str, name: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"namespace": "ns", "name": name, "uid": format!("uid-{name}")}, "spec": {
        "nodeName": node, "serviceAccountName": "bot",
        "volumes": [{"name": "t", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}}, {"serviceAccountToken": {"audience": "vault", "path": "v"}}]}}]}})
}

fn node(name: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"a": "b"}}, "spec": {}})
}

fn world() -> World {
    let namespace = |name: &str| json!({"kind": "Namespace", "metadata": {"name": name}});
    World::new([
        namespace("ns"),
        namespace("kube-node-lease"),
        namespace("kube-system"),
        json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "default"}}),
        pod("n1", "mine"),
        pod("n2", "theirs"),
        node("n1"),
        node("n2"),
    ])
}

fn by_node(operation: Operation, path: &str, object: Option<Value>, old: Option<&Value>) -> Result<(), String> {
    let user = UserInfo::new("system:node:n1", &["system:nodes"]);
    send(&world(), &user, operation, path, object, old).map(|_| ())
}

fn refused(result: Result<(), String>, why: &str) {
    let message = result.expect_err(why);
    assert!(message.contains(why), "{message:?} should say {why:?}");
}

fn mirror() -> Value {
    json!({"metadata": {"name": "static", "annotations": {"kubernetes.io/config.mirror": "hash"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}})
}

fn create_mirror(change: impl FnOnce(&mut Value)) -> Result<(), String> {
    let mut pod = mirror();
    change(&mut pod);
    by_node(Operation::Create, "/pods/ns//", Some(pod), None)
}

#[test]
fn a_node_creates_mirror_pods_of_its_own_and_nothing_else() {
    assert_eq!(create_mirror(|_| {}), Ok(()));
    let is = refused;
    is(create_mirror(|pod| pod["metadata"]["annotations"] = json!({})), "can only create mirror pods");
    is(create_mirror(|pod| pod["spec"]["nodeName"] = "n2".into()), "with spec.nodeName set to itself");
    is(create_mirror(|pod| pod["metadata"]["ownerReferences"] = json!([])), "an owner reference set to itself");
    is(create_mirror(|pod| pod["metadata"]["ownerReferences"][0]["name"] = "n2".into()), "reference set to itself");
    is(create_mirror(|pod| pod["metadata"]["ownerReferences"][0]["uid"] = "x".into()), "UID mismatch");
    is(create_mirror(|pod| pod["metadata"]["ownerReferences"][0]["controller"] = false.into()), "a controller owner");
    is(
        create_mirror(|pod| pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into()),
        "must not set blockOwnerDeletion",
    );
    is(create_mirror(|pod| pod["spec"]["serviceAccountName"] = "bot".into()), "service account");
    let with_volume = |volume: Value| create_mirror(move |pod| pod["spec"]["volumes"] = json!([volume]));
    is(with_volume(json!({"name": "v", "secret": {"secretName": "s"}})), "secrets");
    is(with_volume(json!({"name": "v", "configMap": {"name": "s"}})), "reference configmaps");
    is(with_volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": "s"}})), "persistentvolumeclaims");
    is(
        with_volume(json!({"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"name": "b"}}]}})),
        "reference clustertrustbundles",
    );
    is(create_mirror(|pod| pod["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "s"}}])), "secrets");
    is(create_mirror(|pod| pod["spec"]["resourceClaims"] = json!([{"name": "c"}])), "resourceclaims");
    is(
        by_node(Operation::Update, "/pods/ns/mine/", Some(mirror()), Some(&mirror())),
        "can only create and delete mirror pods",
    );
}

#[test]
fn a_node_deletes_and_evicts_pods_bound_to_it() {
    assert_eq!(by_node(Operation::Delete, "/pods/ns/mine/", None, None), Ok(()));
    refused(by_node(Operation::Delete, "/pods/ns/theirs/", None, None), "can only delete pods");
    refused(by_node(Operation::Delete, "/pods/ns/none/", None, None), "pods \"none\" not found");
    let evict = |name: &str| {
        let path = format!("/pods/ns/{name}/eviction");
        by_node(Operation::Create, &path, Some(json!({"metadata": {"name": name}})), None)
    };
    assert_eq!(evict("mine"), Ok(()));
    refused(evict("theirs"), "can only evict pods with spec.nodeName set to itself");
    refused(by_node(Operation::Create, "/pods/ns/mine/binding", Some(json!({})), None), "unexpected pod subresource");
}

#[test]
fn a_node_writes_the_status_of_its_pods_and_no_labels() {
    let update = |old: Value, change: fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        let path = format!("/pods/ns/{}/status", old["metadata"]["name"].as_str().unwrap());
        by_node(Operation::Update, &path, Some(new), Some(&old))
    };
    assert_eq!(update(pod("n1", "mine"), |pod| pod["status"]["phase"] = "Running".into()), Ok(()));
    refused(update(pod("n2", "theirs"), |_| {}), "can only update pod status");
    refused(update(pod("n1", "mine"), |pod| pod["metadata"]["labels"]["a"] = "b".into()), "cannot update labels");
    refused(
        update(pod("n1", "mine"), |pod| pod["status"]["resourceClaimStatuses"] = json!([{"name": "x"}])),
        "cannot update resource claim",
    );
}

#[test]
fn a_node_writes_its_own_node_but_no_taints_owners_or_labels_of_others() {
    let create = |change: fn(&mut Value)| {
        let mut new = node("n1");
        change(&mut new);
        by_node(Operation::Create, "/nodes///", Some(new), None)
    };
    assert_eq!(create(|_| {}), Ok(()));
    assert_eq!(create(|node| node["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}])), Ok(()));
    refused(create(|node| node["metadata"]["name"] = "n2".into()), "not allowed to modify node \"n2\"");
    refused(create(|node| node["spec"]["configSource"] = json!({})), "configSource");
    refused(
        create(|node| node["metadata"]["ownerReferences"] = json!([{"uid": "x"}])),
        "not allowed to set ownerReferences",
    );
    for (label, allowed) in [
        ("kubernetes.io/hostname", true),
        ("kubernetes.io/os", true),
        ("topology.kubernetes.io/zone", true),
        ("node.kubernetes.io/anything", true),
        ("sub.kubelet.kubernetes.io/anything", true),
        ("example.com/mine", true),
        ("plain", true),
        ("node-role.kubernetes.io/control-plane", false),
        ("node-restriction.kubernetes.io/tier", false),
        ("sub.node-restriction.kubernetes.io/tier", false),
        ("kubernetes.io/other", false),
        ("k8s.io/other", false),
        ("notkubernetes.io/other", true),
    ] {
        let labelled = |node: &Value| {
            let mut node = node.clone();
            node["metadata"]["labels"][label] = "x".into();
            node
        };
        let old = node("n1");
        let created = by_node(Operation::Create, "/nodes///", Some(labelled(&old)), None);
        assert_eq!(created.is_ok(), allowed, "create {label}");
        for subresource in ["", "status"] {
            let path = format!("/nodes//n1/{subresource}");
            let added = by_node(Operation::Update, &path, Some(labelled(&old)), Some(&old));
            assert_eq!(added.is_ok(), allowed, "add {label} {subresource}");
            let removed = by_node(Operation::Update, &path, Some(old.clone()), Some(&labelled(&old)));
            assert_eq!(removed.is_ok(), allowed, "remove {label} {subresource}");
        }
    }
    let update = |change: fn(&mut Value)| {
        let old = node("n1");
        let mut new = old.clone();
        change(&mut new);
        by_node(Operation::Update, "/nodes//n1/", Some(new), Some(&old))
    };
    assert_eq!(update(|node| node["status"]["phase"] = "x".into()), Ok(()));
    refused(update(|node| node["spec"]["taints"] = json!([{"key": "k"}])), "not allowed to modify taints");
    refused(
        update(|node| node["metadata"]["ownerReferences"] = json!([{"uid": "gone"}])),
        "not allowed to modify ownerReferences",
    );
    refused(by_node(Operation::Update, "/nodes//n2/", Some(node("n2")), Some(&node("n2"))), "modify node \"n2\"");
    refused(by_node(Operation::Delete, "/nodes//n2/", None, None), "modify node \"n2\"");
}

#[test]
fn a_node_gets_tokens_only_for_pods_bound_to_it() {
    let ask = |reference: Value, audiences: Value| {
        let request = json!({"spec": {"boundObjectRef": reference, "audiences": audiences}});
        by_node(Operation::Create, "/serviceaccounts/ns/bot/token", Some(request), None)
    };
    let bound = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
    assert_eq!(ask(bound("mine", "uid-mine"), json!([])), Ok(()));
    assert_eq!(ask(bound("mine", "uid-mine"), json!(["vault"])), Ok(()));
    refused(ask(bound("mine", "uid-mine"), json!(["other"])), "audience \"other\" not found in pod spec volume");
    refused(ask(bound("mine", "uid-mine"), json!(["vault", "x"])), "0 or 1 audiences");
    refused(ask(Value::Null, json!([])), "not bound to a pod");
    refused(ask(bound("mine", ""), json!([])), "without a uid");
    refused(ask(bound("mine", "old"), json!([])), "does not match the UID in record");
    refused(ask(bound("theirs", "uid-theirs"), json!([])), "scheduled on a different node");
    refused(ask(json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "uid-n1"}), json!([])), "not bound");
}

#[test]
fn a_node_keeps_only_its_own_lease_and_csi_node() {
    let object = |name: &str| Some(json!({"metadata": {"name": name}}));
    let lease = |namespace: &str, name: &str| {
        by_node(Operation::Create, &format!("coordination.k8s.io/leases/{namespace}//"), object(name), None)
    };
    assert_eq!(lease("kube-node-lease", "n1"), Ok(()));
    refused(lease("kube-node-lease", "n2"), "same name as the requesting node");
    refused(lease("kube-system", "n1"), "can only access leases in the \"kube-node-lease\" system namespace");
    refused(by_node(Operation::Create, "storage.k8s.io/csinodes///", object("n2"), None), "same name");
}

#[test]
fn a_node_reports_of_claims_only_their_size_and_conditions() {
    let old = json!({"metadata": {"name": "c"}, "spec": {}, "status": {"phase": "Bound"}});
    let update = |field: &str, value: Value| {
        let mut new = old.clone();
        new["status"][field] = value;
        by_node(Operation::Update, "/persistentvolumeclaims/ns/c/status", Some(new), Some(&old))
    };
    assert_eq!(update("capacity", json!({"storage": "2Gi"})), Ok(()));
    refused(update("phase", "Lost".into()), "not allowed to update fields other than status.capacity");
    refused(
        by_node(Operation::Update, "/persistentvolumeclaims/ns/c/", Some(old.clone()), Some(&old)),
        "may only update PVC status",
    );
}

#[test]
fn a_node_says_that_a_deleted_volume_of_its_own_is_gone_and_nothing_else() {
    let volume = |node: &str, deleted: bool| {
        let mut volume = json!({"kind": "PersistentVolume", "metadata": {
            "name": "pv", "labels": {"skiff.dev/local-path-node": node},
            "finalizers": ["skiff.dev/local-path", "kubernetes.io/pv-protection"]}});
        if deleted {
            volume["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z".into();
        }
        volume
    };
    let patch = |old: Value, change: fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        by_node(Operation::Update, "/persistentvolumes//pv/", Some(new), Some(&old))
    };
    let release: fn(&mut Value) = |volume| volume["metadata"]["finalizers"] = json!(["kubernetes.io/pv-protection"]);
    assert_eq!(patch(volume("n1", true), release), Ok(()));
    let why = "can only release deleted local volumes";
    refused(patch(volume("n2", true), release), why);
    refused(patch(volume("n1", false), release), why);
    refused(patch(volume("n1", true), |volume| volume["metadata"]["finalizers"] = json!([])), why);
    refused(patch(volume("n1", true), |volume| volume["metadata"]["labels"]["x"] = "y".into()), why);
    refused(patch(volume("n1", true), |volume| volume["spec"]["local"]["path"] = "/etc".into()), why);
}
