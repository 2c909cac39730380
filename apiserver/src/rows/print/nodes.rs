//! The tables of nodes and what surrounds them: leases, runtime and priority classes, Events.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{NONE, Table, UNKNOWN, ages, boolean, integer, items, name, name_of, number, text, text_or, wide};

pub const NODES: Table = Table {
    headings: &[
        name(),
        text("Status"),
        text("Roles"),
        text("Age"),
        text("Version"),
        wide(text("Internal-IP")),
        wide(text("External-IP")),
        wide(text("OS-Image")),
        wide(text("Kernel-Version")),
        wide(text("Container-Runtime")),
    ],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(status(object)),
            json!(roles(object)),
            ages::age(object, now),
            json!(text_or(object, "/status/nodeInfo/kubeletVersion", "")),
            json!(address(object, "InternalIP")),
            json!(address(object, "ExternalIP")),
            json!(text_or(object, "/status/nodeInfo/osImage", UNKNOWN)),
            json!(text_or(object, "/status/nodeInfo/kernelVersion", UNKNOWN)),
            json!(text_or(object, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN)),
        ]
    },
};

fn status(node: &Value) -> String {
    let ready = items(node, "/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        None => "Unknown",
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

/// The roles that a node's labels give it, sorted.
fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in node.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten() {
        match (key.strip_prefix("node-role.kubernetes.io/"), value.as_str().unwrap_or_default()) {
            (Some(role), _) if !role.is_empty() => roles.push(role),
            (None, role) if key == "kubernetes.io/role" && !role.is_empty() => roles.push(role),
            _ => (),
        }
    }
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let address = items(node, "/status/addresses").iter().find(|address| address["type"] == kind);
    address.map_or(NONE, |address| text_or(address, "/address", ""))
}

pub const LEASES: Table = Table {
    headings: &[name(), text("Holder"), text("Age")],
    cells: |object, now| {
        vec![name_of(object), json!(text_or(object, "/spec/holderIdentity", "")), ages::age(object, now)]
    },
};

pub const RUNTIME_CLASSES: Table = Table {
    headings: &[name(), text("Handler"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(text_or(object, "/handler", "")), ages::age(object, now)],
};

pub const PRIORITY_CLASSES: Table = Table {
    headings: &[name(), integer("Value"), boolean("Global-Default"), text("Age"), text("PreemptionPolicy")],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(number(object, "/value")),
            json!(object["globalDefault"] == true),
            ages::age(object, now),
            json!(text_or(object, "/preemptionPolicy", "")),
        ]
    },
};

pub const EVENTS: Table = Table {
    headings: &[
        text("Last Seen"),
        text("Type"),
        text("Reason"),
        text("Object"),
        wide(text("Subobject")),
        wide(text("Source")),
        text("Message"),
        wide(text("First Seen")),
        wide(text("Count")),
        wide(name()),
    ],
    cells: event,
};

fn event(event: &Value, now: i64) -> Vec<Value> {
    let time = |pointer: &str| event.pointer(pointer).filter(|time| time.is_string());
    let seen = |time: Option<&Value>| time.map_or(json!(UNKNOWN), |time| ages::since(time, now));
    let first = time("/firstTimestamp").or(time("/eventTime"));
    let last = time("/series/lastObservedTime").or(time("/lastTimestamp")).or(first);
    let count = match event.pointer("/series/count").and_then(Value::as_i64) {
        Some(count) => count,
        None => number(event, "/count").max(1),
    };
    let kind = text_or(event, "/involvedObject/kind", "").to_ascii_lowercase();
    let object = match text_or(event, "/involvedObject/name", "") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = text_or(event, "/source/component", text_or(event, "/reportingComponent", ""));
    let host = text_or(event, "/source/host", text_or(event, "/reportingInstance", ""));
    let source = if host.is_empty() { source.to_owned() } else { format!("{source}, {host}") };
    vec![
        seen(last),
        json!(text_or(event, "/type", "")),
        json!(text_or(event, "/reason", "")),
        json!(object),
        json!(text_or(event, "/involvedObject/fieldPath", "")),
        json!(source),
        json!(text_or(event, "/message", "").trim()),
        seen(first),
        json!(count),
        name_of(event),
    ]
}

/// The table of events.k8s.io/v1 Events, which name some fields differently.
pub const NEW_EVENTS: Table = Table {
    headings: EVENTS.headings,
    cells: |object, now| {
        let mut stored = object.clone();
        crate::rows::nodes::to_stored(&mut stored);
        event(&stored, now)
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cordoned_node_says_so_beside_its_state() {
        let node = json!({
            "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}},
            "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
        assert_eq!(status(&node), "NotReady,SchedulingDisabled");
        assert_eq!(roles(&node), "control-plane,x");
    }
}
