//! The tables of namespaces, ConfigMaps, Secrets, ServiceAccounts, quotas and component statuses.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{Table, ages, count, items, name, name_of, text, text_or};

pub const NAMESPACES: Table = Table {
    headings: &[name(), text("Status"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(text_or(object, "/status/phase", "")), ages::age(object, now)],
};

pub const CONFIG_MAPS: Table = Table {
    headings: &[name(), text("Data"), text("Age")],
    cells: |object, now| {
        vec![name_of(object), json!(count(object, "/data") + count(object, "/binaryData")), ages::age(object, now)]
    },
};

pub const SECRETS: Table = Table {
    headings: &[name(), text("Type"), text("Data"), text("Age")],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(text_or(object, "/type", "")),
            json!(count(object, "/data")),
            ages::age(object, now),
        ]
    },
};

pub const SERVICE_ACCOUNTS: Table = Table {
    headings: &[name(), text("Secrets"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(count(object, "/secrets")), ages::age(object, now)],
};

pub const RESOURCE_QUOTAS: Table = Table {
    headings: &[name(), text("Request"), text("Limit"), text("Age")],
    cells: |object, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (resource, hard) in object.pointer("/status/hard").and_then(Value::as_object).into_iter().flatten() {
            let used = object["status"]["used"].get(resource).and_then(Value::as_str).unwrap_or("0");
            let part = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
            if resource.contains("limits") { limits.push(part) } else { requests.push(part) }
        }
        vec![name_of(object), json!(requests.join(", ")), json!(limits.join(", ")), ages::age(object, now)]
    },
};

pub const COMPONENT_STATUSES: Table = Table {
    headings: &[name(), text("Status"), text("Message"), text("Error")],
    cells: |object, _| {
        let healthy = items(object, "/conditions").iter().find(|condition| condition["type"] == "Healthy");
        let status = match healthy.map(|condition| text_or(condition, "/status", "")) {
            None => "Unknown",
            Some("True") => "Healthy",
            Some(_) => "Unhealthy",
        };
        let text = |pointer: &str| healthy.map_or("", |condition| text_or(condition, pointer, ""));
        vec![name_of(object), json!(status), json!(text("/message")), json!(text("/error"))]
    },
};
