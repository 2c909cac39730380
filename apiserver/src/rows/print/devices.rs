//! The tables of resource.k8s.io.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{Table, ages, items, name, name_of, text, text_or};

/// Device classes and claim templates.
pub const NAME_AND_AGE: Table =
    Table { headings: &[name(), text("Age")], cells: |object, now| vec![name_of(object), ages::age(object, now)] };

pub const RESOURCE_CLAIMS: Table = Table {
    headings: &[name(), text("State"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(claim_state(object)), ages::age(object, now)],
};

/// How far a claim is: `pending`, `allocated,reserved`, `deleted` ...
fn claim_state(claim: &Value) -> String {
    let deleted = !text_or(claim, "/metadata/deletionTimestamp", "").is_empty();
    let allocated = claim.pointer("/status/allocation").is_some_and(Value::is_object);
    let reserved = allocated && !items(claim, "/status/reservedFor").is_empty();
    let pending = !allocated && !deleted;
    let states = [("deleted", deleted), ("pending", pending), ("allocated", allocated), ("reserved", reserved)];
    states.iter().filter(|(_, holds)| *holds).map(|(state, _)| *state).collect::<Vec<_>>().join(",")
}

pub const RESOURCE_SLICES: Table = Table {
    headings: &[name(), text("Node"), text("Driver"), text("Pool"), text("Age")],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(text_or(object, "/spec/nodeName", "")),
            json!(text_or(object, "/spec/driver", "")),
            json!(text_or(object, "/spec/pool/name", "")),
            ages::age(object, now),
        ]
    },
};
