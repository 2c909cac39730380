//! Events about the node itself, in the kubelet's name: what has changed between two statuses of it.
//!
//! Upstream: pkg/kubelet/kubelet_node_status.go (recordNodeStatusEvent, recordNodeSchedulableEvent),
//!   pkg/kubelet/nodestatus/setters.go, pkg/kubelet/kubelet.go (BirthCry)
//! Left out: NodeAllocatableEnforced, because nothing enforces it here; InvalidDiskCapacity.

use ::client::{EventType, Recorder};
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use serde_json::Value;

/// One Event that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct NodeEvent {
    event_type: EventType,
    reason: &'static str,
    message: String,
}

/// What is told when a kubelet takes up its work.
pub fn starting() -> NodeEvent {
    NodeEvent { event_type: EventType::Normal, reason: "Starting", message: "Starting kubelet.".to_owned() }
}

/// What the kubelet had told of the node before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Nothing yet: a kubelet that begins tells anew that nothing is short, whatever the one before it told.
    pub pressures: bool,
    pub unschedulable: bool,
}

/// What is worth telling about `status`, which takes the place of that of `before`, in upstream's order.
pub fn of_change(before: &Node, told: Told, status: &Value) -> Vec<NodeEvent> {
    let name = before.metadata.name.as_deref().unwrap_or_default();
    let is_now = |reason| {
        let message = format!("Node {name} status is now: {reason}");
        NodeEvent { event_type: EventType::Normal, reason, message }
    };
    let known = |kind: &str| {
        let mut conditions = before.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.find(|condition| condition.type_ == kind).map(|condition| condition.status.as_str())
    };
    let becomes = |kind: &str| {
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.find(|condition| condition["type"] == kind).and_then(|condition| condition["status"].as_str())
    };
    let mut events: Vec<NodeEvent> = reboot(before, name, status).into_iter().collect();
    for (kind, reason) in [
        ("MemoryPressure", "NodeHasSufficientMemory"),
        ("DiskPressure", "NodeHasNoDiskPressure"),
        ("PIDPressure", "NodeHasSufficientPID"),
    ] {
        let was_told = told.pressures && known(kind) == Some("False");
        events.extend((becomes(kind) == Some("False") && !was_told).then(|| is_now(reason)));
    }
    if known("Ready").is_some() && known("Ready") != becomes("Ready") {
        events.push(is_now(if becomes("Ready") == Some("True") { "NodeReady" } else { "NodeNotReady" }));
    }
    match (told.unschedulable, is_unschedulable(before)) {
        (false, true) => events.push(is_now("NodeNotSchedulable")),
        (true, false) => events.push(is_now("NodeSchedulable")),
        _ => {}
    }
    events
}

/// The machine has started again since the status before.
fn reboot(before: &Node, name: &str, status: &Value) -> Option<NodeEvent> {
    let boot_id = status["nodeInfo"]["bootID"].as_str().unwrap_or_default();
    let last = before.status.as_ref()?.node_info.as_ref()?.boot_id.as_str();
    let message = format!("Node {name} has been rebooted, boot id: {boot_id}");
    let rebooted = NodeEvent { event_type: EventType::Warning, reason: "Rebooted", message };
    (!last.is_empty() && last != boot_id).then_some(rebooted)
}

pub fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

/// Tells it of the node `name`, which the kubelet calls by that name for its uid too: it speaks before it knows the
/// object. `kubectl describe node` looks for both.
pub fn record(recorder: &Recorder, name: &str, event: &NodeEvent) {
    let node = ObjectReference {
        kind: Some("Node".to_owned()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..ObjectReference::default()
    };
    recorder.record(node, event.event_type, event.reason, &event.message);
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    const NEW: Told = Told { pressures: false, unschedulable: false };
    const KNOWN: Told = Told { pressures: true, unschedulable: false };

    fn status(ready: &str, pressure: &str) -> Value {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let conditions = [
            condition("MemoryPressure", pressure),
            condition("DiskPressure", pressure),
            condition("PIDPressure", pressure),
            condition("Ready", ready),
        ];
        let info = json!({"architecture": "", "bootID": "b1", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
            "systemUUID": ""});
        json!({"conditions": conditions, "nodeInfo": info})
    }

    fn node(status: Value, unschedulable: bool) -> Value {
        json!({"metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable}, "status": status})
    }

    fn check(before: Value, told: Told, status: &Value, expected: Expect) {
        let events = of_change(&serde_json::from_value(before).unwrap(), told, status);
        let lines: Vec<String> =
            events.iter().map(|each| format!("{} {}: {}", each.event_type, each.reason, each.message)).collect();
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn a_kubelet_that_begins_tells_that_nothing_is_short() {
        let nothing_is_short = || {
            expect![[r#"
                Normal NodeHasSufficientMemory: Node n status is now: NodeHasSufficientMemory
                Normal NodeHasNoDiskPressure: Node n status is now: NodeHasNoDiskPressure
                Normal NodeHasSufficientPID: Node n status is now: NodeHasSufficientPID"#]]
        };
        check(node(json!({}), false), NEW, &status("False", "False"), nothing_is_short());
        check(node(status("True", "False"), false), NEW, &status("True", "False"), nothing_is_short());
        check(node(status("True", "False"), false), KNOWN, &status("True", "False"), expect![""]);
    }

    #[test]
    fn what_a_node_becomes_is_told_once() {
        let ready = expect!["Normal NodeReady: Node n status is now: NodeReady"];
        check(node(status("False", "False"), false), KNOWN, &status("True", "False"), ready);
        let not_ready = expect!["Normal NodeNotReady: Node n status is now: NodeNotReady"];
        check(node(status("True", "False"), false), KNOWN, &status("False", "False"), not_ready);
        let heard_again = expect![[r#"
            Normal NodeHasSufficientMemory: Node n status is now: NodeHasSufficientMemory
            Normal NodeHasNoDiskPressure: Node n status is now: NodeHasNoDiskPressure
            Normal NodeHasSufficientPID: Node n status is now: NodeHasSufficientPID
            Normal NodeReady: Node n status is now: NodeReady"#]];
        check(node(status("Unknown", "Unknown"), false), KNOWN, &status("True", "False"), heard_again);
    }

    #[test]
    fn a_cordon_and_its_end_are_told() {
        let same = status("True", "False");
        let cordoned = expect!["Normal NodeNotSchedulable: Node n status is now: NodeNotSchedulable"];
        check(node(same.clone(), true), KNOWN, &same, cordoned);
        let told = Told { unschedulable: true, ..KNOWN };
        check(node(same.clone(), true), told, &same, expect![""]);
        check(
            node(same.clone(), false),
            told,
            &same,
            expect!["Normal NodeSchedulable: Node n status is now: NodeSchedulable"],
        );
    }

    #[test]
    fn a_machine_that_has_started_again_is_told() {
        let mut now = status("True", "False");
        now["nodeInfo"]["bootID"] = "b2".into();
        let rebooted = expect!["Warning Rebooted: Node n has been rebooted, boot id: b2"];
        check(node(status("True", "False"), false), KNOWN, &now, rebooted);
    }
}
