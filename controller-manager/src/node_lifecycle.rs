//! Notices nodes that have fallen silent, and taints nodes after their conditions.
//!
//! A node is heard when its kubelet renews its Lease or writes its status. After 50 s of silence nobody knows how it
//! is: its conditions become Unknown. Taints then keep pods away (NoSchedule) or drive them off (NoExecute). When all
//! nodes are silent at once the fault is more likely on our side, and no pod is driven off.
//!
//! Upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go
//! Left out: zones of their own: the nodes are one zone; the slower rate for a large zone of which most nodes are ill:
//! then, as upstream does in a small one, nobody is driven off. The Event RemovingNode.

mod controller;
mod silence;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::{nodes, pods};

pub use controller::NodeLifecycle;
pub use silence::Silence;
pub use turns::Turns;

/// Silence after which a node's state is unknown (--node-monitor-grace-period), and for one never heard of.
pub const GRACE_PERIOD: Duration = Duration::from_secs(50);
const STARTUP_GRACE_PERIOD: Duration = Duration::from_secs(60);
/// The least time between two nodes that pods are driven off from (--node-eviction-rate 0.1).
pub const EVICTION_INTERVAL: Duration = Duration::from_secs(10);
/// The share of nodes not ready from which on nobody is driven off (--unhealthy-zone-threshold).
const UNHEALTHY_SHARE: f64 = 0.55;

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// The conditions that a kubelet posts, and that nobody knows when it is silent.
const POSTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Which taint keeps pods away from a node in which condition.
const CONDITION_TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// What is decided from.
pub struct Input {
    pub node: Arc<Node>,
    /// Whether this controller sees the node for the first time.
    pub is_new: bool,
    /// For how long nothing was heard of it, by our own steady clock.
    pub silent_for: Duration,
    /// How the nodes are as a whole.
    pub health: ClusterHealth,
    /// How long the node must wait for its turn to have pods driven off; none, and it is its turn.
    pub turn_in: Option<Duration>,
    /// The pods bound to it.
    pub pods: Vec<Arc<Pod>>,
}

/// How many nodes there are, and how many of them are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterHealth {
    pub nodes: usize,
    pub not_ready: usize,
}

impl ClusterHealth {
    /// May pods be driven off at all? Not when all nodes are ill, nor when most of more than two are.
    fn allows_eviction(self) -> bool {
        let most = self.not_ready > 2 && self.not_ready as f64 >= UNHEALTHY_SHARE * self.nodes as f64;
        self.not_ready < self.nodes && !most
    }
}

/// Brings conditions and taints up to what is known of the node.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let mut actions = Vec::new();
    let grace = if nodes::condition(&input.node, "Ready").is_some() { GRACE_PERIOD } else { STARTUP_GRACE_PERIOD };
    let mut node = input.node.as_ref().clone();
    if input.is_new {
        let name = nodes::name(&node);
        let message = format!("Node {name} event: Registered Node {name} in Controller");
        actions.push(actions::normal(&node, "RegisteredNode", message));
    }
    let requeue_after = grace.checked_sub(input.silent_for).filter(|rest| !rest.is_zero());
    if requeue_after.is_none() {
        actions.extend(forget_conditions(&mut node, now));
    }
    if nodes::readiness(&node) != "True" && nodes::condition(&node, "Ready").is_some() {
        actions.extend(input.pods.iter().filter_map(|pod| mark_not_ready(pod, now)));
    }
    let (taints, waits) = wanted_taints(&node, input, now);
    // A list of taints replaces the whole list, so it holds only for the version that was read. Where this round
    // writes the conditions, that version is old by then: the taints are written in the next one.
    if taints != nodes::taints(&node) && node == *input.node {
        let patch = json!({"spec": {"taints": (!taints.is_empty()).then_some(taints)}});
        actions.push(actions::merge_patch_at_version(&node, patch));
    }
    Plan { actions, requeue_after: [requeue_after, waits].into_iter().flatten().min() }
}

/// Sets what the kubelet has not told us for too long to Unknown.
fn forget_conditions(node: &mut Node, now: Timestamp) -> Vec<Action> {
    let before = nodes::condition(node, "Ready").map(|condition| condition.status.clone());
    let mut conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let unchanged = conditions.clone();
    for kind in POSTED {
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                condition.status = "Unknown".into();
                condition.reason = Some("NodeStatusUnknown".into());
                condition.message = Some("Kubelet stopped posting node status.".into());
                condition.last_transition_time = Some(Time(now));
            }
            None => conditions.push(never_posted(node, kind, now)),
        }
    }
    if conditions == unchanged {
        return Vec::new();
    }
    let status = json!({"status": {"conditions": conditions}});
    let mut actions = vec![Action::patch_status(node, client::Patch::Strategic(status))];
    if before.as_deref() == Some("True") {
        let message = format!("Node {} status is now: NodeNotReady", nodes::name(node));
        actions.push(actions::normal(node, "NodeNotReady", message));
    }
    node.status.get_or_insert_default().conditions = Some(conditions);
    actions
}

fn never_posted(node: &Node, kind: &str, now: Timestamp) -> NodeCondition {
    NodeCondition {
        type_: kind.into(),
        status: "Unknown".into(),
        reason: Some("NodeStatusNeverUpdated".into()),
        message: Some("Kubelet never posted node status.".into()),
        last_heartbeat_time: node.metadata.creation_timestamp.clone(),
        last_transition_time: Some(Time(now)),
    }
}

/// The taints that the node should have: those that are not ours stay as they are. Also says how long a taint that
/// drives pods off has to wait for its turn.
fn wanted_taints(node: &Node, input: &Input, now: Timestamp) -> (Vec<Taint>, Option<Duration>) {
    let mut taints: Vec<Taint> = nodes::taints(node).iter().filter(|taint| !is_ours(taint)).cloned().collect();
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    let of_conditions = CONDITION_TAINTS
        .iter()
        .filter(|(kind, status, _)| nodes::condition(node, kind).is_some_and(|condition| condition.status == *status));
    let keys = of_conditions.map(|(_, _, key)| *key).chain(unschedulable.then_some(UNSCHEDULABLE));
    taints.extend(keys.map(|key| keep_or_make(node, key, "NoSchedule", now)));
    let driving_off = match nodes::condition(node, "Ready").map(|condition| condition.status.as_str()) {
        Some("False") => Some(NOT_READY),
        Some("Unknown") => Some(UNREACHABLE),
        _ => None,
    };
    let Some(key) = driving_off.filter(|_| input.health.allows_eviction()) else { return (sorted(taints), None) };
    // A node that drives pods off already only changes its reason: it needs no new turn.
    let already = [NOT_READY, UNREACHABLE].iter().any(|key| nodes::has_taint(node, key, "NoExecute"));
    match input.turn_in.filter(|_| !already) {
        Some(wait) => (sorted(taints), Some(wait)),
        None => {
            taints.push(keep_or_make(node, key, "NoExecute", now));
            (sorted(taints), None)
        }
    }
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = CONDITION_TAINTS.iter().any(|(_, _, key)| *key == taint.key) || taint.key == UNSCHEDULABLE;
    match taint.effect.as_str() {
        "NoSchedule" => by_condition,
        "NoExecute" => [NOT_READY, UNREACHABLE].contains(&taint.key.as_str()),
        _ => false,
    }
}

fn keep_or_make(node: &Node, key: &str, effect: &str, now: Timestamp) -> Taint {
    let current = nodes::taints(node).iter().find(|taint| taint.key == key && taint.effect == effect);
    current.cloned().unwrap_or_else(|| Taint {
        key: key.into(),
        effect: effect.into(),
        value: None,
        time_added: Some(Time(now)),
    })
}

/// One order, so that equal sets of taints are equal lists.
fn sorted(mut taints: Vec<Taint>) -> Vec<Taint> {
    taints.sort_by(|a, b| (&a.key, &a.effect).cmp(&(&b.key, &b.effect)));
    taints
}

/// A pod on a node that is not ready serves nobody: its endpoint must go.
fn mark_not_ready(pod: &Pod, now: Timestamp) -> Option<Action> {
    if !pods::is_ready(pod) {
        return None;
    }
    let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": Time(now)});
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
    Some(Action::patch_status(pod, client::Patch::Strategic(patch)))
}

#[cfg(test)]
mod tests;
