use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn node(name: &str, cpu: &str, spec: Value) -> Node {
    let allocatable = json!({"cpu": cpu, "memory": "4Gi", "pods": "10"});
    let metadata = json!({"name": name, "labels": {"kubernetes.io/hostname": name}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": {"allocatable": allocatable}})).unwrap()
}

fn pod(name: &str, cpu: &str, mut spec: Value) -> PodInfo {
    spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": cpu}}, "ports": spec["ports"]}]);
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "web", "controller": true}]);
    let metadata = json!({"namespace": "default", "name": name, "uid": name, "ownerReferences": owner});
    let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    PodInfo::new(Arc::new(pod))
}

fn world(nodes: impl IntoIterator<Item = Node>, pods: impl IntoIterator<Item = (&'static str, PodInfo)>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    nodes.into_iter().for_each(|node| snapshot.put_node(Arc::new(node)));
    pods.into_iter().for_each(|(node, pod)| snapshot.put_pod(node, pod));
    snapshot
}

fn check(snapshot: &Snapshot, pod: PodInfo, expected: Expect) {
    expected.assert_eq(&match schedule(&pod, snapshot) {
        Decision::Bind { node } => format!("bind to {node}"),
        Decision::Unschedulable { message, .. } => message,
    });
}

#[test]
fn without_nodes_there_is_nothing_to_choose() {
    check(&world([], []), pod("a", "1", json!({})), expect!["no nodes available to schedule pods"]);
}

#[test]
fn the_emptier_node_wins_and_equals_go_by_name() {
    let nodes = || [node("n1", "4", json!({})), node("n2", "4", json!({})), node("n3", "4", json!({}))];
    check(&world(nodes(), []), pod("a", "1", json!({})), expect!["bind to n1"]);
    let busy = world(nodes(), [("n1", pod("x", "1", json!({}))), ("n2", pod("y", "2", json!({})))]);
    check(&busy, pod("a", "1", json!({})), expect!["bind to n3"]);
}

#[test]
fn a_full_node_says_what_it_lacks_and_that_no_victim_was_found() {
    let snapshot = world([node("n1", "2", json!({}))], [("n1", pod("x", "1500m", json!({})))]);
    check(
        &snapshot,
        pod("a", "1", json!({})),
        expect![
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        ],
    );
    check(
        &snapshot,
        pod("a", "3", json!({})),
        expect![
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ],
    );
}

#[test]
fn each_node_gives_its_first_reason_and_reasons_are_counted() {
    let tainted = json!({"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]});
    let snapshot = world(
        [
            node("n1", "4", tainted),
            node("n2", "4", json!({"unschedulable": true})),
            node("n3", "4", json!({"unschedulable": true})),
            node("n4", "4", json!({})),
        ],
        [],
    );
    check(
        &snapshot,
        pod("a", "1", json!({"nodeSelector": {"disk": "ssd"}})),
        expect![
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s), 2 node(s) were unschedulable. no new claims to deallocate, preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
        ],
    );
}

#[test]
fn tolerations_open_tainted_and_cordoned_nodes() {
    let tainted = json!({"unschedulable": true, "taints": [
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
        {"key": "dedicated", "value": "gpu", "effect": "NoExecute"},
    ]});
    let tolerations = json!({"tolerations": [
        {"key": "dedicated", "value": "gpu"},
        {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
    ]});
    check(&world([node("n1", "4", tainted)], []), pod("a", "1", tolerations), expect!["bind to n1"]);
}

#[test]
fn a_daemon_pod_goes_to_the_node_that_its_match_fields_name() {
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]});
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
    let snapshot = world([node("n1", "4", json!({})), node("n2", "4", json!({}))], []);
    check(&snapshot, pod("a", "1", json!({"affinity": affinity})), expect!["bind to n2"]);
}

#[test]
fn a_host_port_is_held_once_per_node() {
    let port = json!({"ports": [{"containerPort": 80, "hostPort": 8080}]});
    let snapshot = world([node("n1", "4", json!({}))], [("n1", pod("x", "1", port.clone()))]);
    check(
        &snapshot,
        pod("a", "1", port),
        expect![
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        ],
    );
}

fn claiming(snapshot: &mut Snapshot, claim: Value) -> PodInfo {
    let mut claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    claim.metadata.name = Some("disk".into());
    snapshot.claims.insert(client::ObjectKey::new("default", "disk"), Arc::new(claim));
    pod("a", "1", json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "disk"}}]}))
}

#[test]
fn an_unbound_claim_holds_the_pod_back_unless_it_waits_for_its_consumer() {
    let mut snapshot = world([node("n1", "4", json!({}))], []);
    let claim = json!({"spec": {"storageClassName": "local-path"}});
    let pod = claiming(&mut snapshot, claim);
    check(
        &snapshot,
        pod.clone(),
        expect![
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ],
    );
    let class = StorageClass { volume_binding_mode: Some("WaitForFirstConsumer".into()), ..StorageClass::default() };
    snapshot.classes.insert("local-path".into(), Arc::new(class));
    check(&snapshot, pod, expect!["bind to n1"]);
}

#[test]
fn a_bound_claim_ties_the_pod_to_the_place_of_its_volume() {
    let mut snapshot = world([node("n1", "4", json!({})), node("n2", "4", json!({}))], []);
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n2"]}]});
    let volume: PersistentVolume =
        serde_json::from_value(json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})).unwrap();
    snapshot.volumes.insert("pv".into(), Arc::new(volume));
    let annotations = json!({"pv.kubernetes.io/bind-completed": "yes"});
    let pod = claiming(&mut snapshot, json!({"metadata": {"annotations": annotations}, "spec": {"volumeName": "pv"}}));
    check(&snapshot, pod, expect!["bind to n2"]);
}

proptest! {
    /// Whatever comes and goes, what is placed on a node stays within what it can give.
    #[test]
    fn placed_pods_never_exceed_a_node(
        sizes in prop::collection::vec((1i64..4000, any::<bool>()), 1..60),
        capacities in prop::collection::vec(1i64..8, 1..5),
    ) {
        let nodes = capacities.iter().enumerate().map(|(i, cpu)| node(&format!("n{i}"), &cpu.to_string(), json!({})));
        let mut snapshot = world(nodes, []);
        for (i, (milli, leaves)) in sizes.iter().enumerate() {
            let pod = pod(&format!("p{i}"), &format!("{milli}m"), json!({}));
            if let Decision::Bind { node } = schedule(&pod, &snapshot) {
                snapshot.put_pod(&node, pod);
                if *leaves {
                    snapshot.remove_pod(&format!("p{i}"));
                }
            }
            for (_, state, _) in snapshot.nodes() {
                prop_assert!(state.requested.milli_cpu <= state.allocatable.milli_cpu);
                prop_assert!(state.pods.len() as i64 <= state.max_pods);
            }
        }
    }
}
