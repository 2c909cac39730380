//! Which fields of a value a schema knows: the others are dropped from custom resources.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go
//! Left out: dropping them; nobody asks for more yet than whether there are any.

use serde_json::Value;

use super::embedded::Whole;

/// Whether something in the value would be dropped.
pub(super) fn would_prune(value: &Value, schema: &Value, whole: Whole) -> bool {
    let preserves = schema["x-kubernetes-preserve-unknown-fields"] == true;
    match value {
        Value::Object(entries) => entries.iter().any(|(name, value)| {
            if whole.is_resource(schema) && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                return false;
            }
            let additional = schema.get("additionalProperties");
            match schema["properties"].get(name).or(additional) {
                Some(known) => would_prune(value, known, Whole::IsAsSaid),
                None => !preserves,
            }
        }),
        // Inside a list, what is kept for the list is kept for its items.
        Value::Array(items) if preserves => items.iter().any(|item| keeps_but_prunes(item, &schema["items"])),
        Value::Array(items) => items.iter().any(|item| would_prune(item, &schema["items"], Whole::IsAsSaid)),
        _ => false,
    }
}

/// As [`would_prune`], where unknown fields are kept though the schema does not say so.
fn keeps_but_prunes(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Object(entries) => entries.iter().any(|(name, value)| {
            if Whole::IsAsSaid.is_resource(schema) && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                return false;
            }
            let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
            known.is_some_and(|known| would_prune(value, known, Whole::IsAsSaid))
        }),
        Value::Array(items) => items.iter().any(|item| keeps_but_prunes(item, &schema["items"])),
        _ => false,
    }
}
