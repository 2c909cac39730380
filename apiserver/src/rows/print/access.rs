//! The tables of bindings and certificate signing requests.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{NONE, Table, ages, items, name, name_of, text, text_or, wide};

/// RoleBindings and ClusterRoleBindings.
pub const BINDINGS: Table = Table {
    headings: &[
        name(),
        text("Role"),
        text("Age"),
        wide(text("Users")),
        wide(text("Groups")),
        wide(text("ServiceAccounts")),
    ],
    cells: |object, now| {
        let role = format!("{}/{}", text_or(object, "/roleRef/kind", ""), text_or(object, "/roleRef/name", ""));
        vec![
            name_of(object),
            json!(role),
            ages::age(object, now),
            json!(subjects(object, "User")),
            json!(subjects(object, "Group")),
            json!(subjects(object, "ServiceAccount")),
        ]
    },
};

fn subjects(binding: &Value, kind: &str) -> String {
    let of_kind = items(binding, "/subjects").iter().filter(|subject| subject["kind"] == kind);
    let names: Vec<String> = of_kind
        .map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", text_or(subject, "/namespace", ""), text_or(subject, "/name", "")),
            _ => text_or(subject, "/name", "").to_owned(),
        })
        .collect();
    names.join(", ")
}

pub const CERTIFICATE_SIGNING_REQUESTS: Table = Table {
    headings: &[
        name(),
        text("Age"),
        text("SignerName"),
        text("Requestor"),
        text("RequestedDuration"),
        text("Condition"),
    ],
    cells: |object, now| {
        let duration = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
        vec![
            name_of(object),
            ages::age(object, now),
            json!(text_or(object, "/spec/signerName", NONE)),
            json!(text_or(object, "/spec/username", "")),
            json!(duration.map_or(NONE.to_owned(), ages::human_duration)),
            json!(request_condition(object)),
        ]
    },
};

fn request_condition(request: &Value) -> String {
    let has = |kind: &str| items(request, "/status/conditions").iter().any(|condition| condition["type"] == kind);
    let mut words = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        words.push_str(",Failed");
    }
    if !text_or(request, "/status/certificate", "").is_empty() {
        words.push_str(",Issued");
    }
    words
}
