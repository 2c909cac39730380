//! The actions that our plans are made of, in the few forms that controllers use.
//!
//! Upstream: the many `*Control` interfaces of pkg/controller/controller_utils.go
//! Left out: whole-object updates. A typed struct does not know every field, so we patch what we mean.

use kube::Resource;
use serde::Serialize;
use serde_json::{Map, Value, json};

use client::{EventType, Patch};

pub use client::{Action, Plan};

/// Changes the fields that `patch` has (RFC 7386).
pub fn merge_patch<K: Resource<DynamicType = ()>>(object: &K, patch: Value) -> Action {
    Action::patch(object, Patch::Merge(patch))
}

/// As [`merge_patch`], but refused when the object is no longer the one that the decision was made from.
pub fn merge_patch_at_version<K: Resource<DynamicType = ()>>(object: &K, mut patch: Value) -> Action {
    if let Some(version) = &object.meta().resource_version {
        patch["metadata"]["resourceVersion"] = version.as_str().into();
    }
    merge_patch(object, patch)
}

/// Changes fields of a built-in kind, its lists by their merge keys.
pub fn strategic_patch<K: Resource<DynamicType = ()>>(object: &K, patch: Value) -> Action {
    Action::patch(object, Patch::Strategic(patch))
}

/// Changes the status from `before` to `after`; nothing when they are the same.
pub fn patch_status<K, S>(object: &K, before: Option<&S>, after: &S) -> Option<Action>
where
    K: Resource<DynamicType = ()>,
    S: Serialize,
{
    let before = before.map_or(json!({}), to_value);
    let patch = merge_difference(&before, &to_value(after))?;
    Some(Action::patch_status(object, Patch::Merge(json!({"status": patch}))))
}

/// Tells the user that something went as it should.
pub fn normal<K: Resource<DynamicType = ()>>(object: &K, reason: &str, message: String) -> Action {
    Action::event(object, EventType::Normal, reason, message)
}

/// Tells the user that something needs attention.
pub fn warning<K: Resource<DynamicType = ()>>(object: &K, reason: &str, message: String) -> Action {
    Action::event(object, EventType::Warning, reason, message)
}

fn to_value<S: Serialize>(value: &S) -> Value {
    serde_json::to_value(value).expect("an object's fields are plain JSON")
}

/// The merge patch that makes `after` of `before`; `None` when they are equal.
pub fn merge_difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let removed = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let mut patch: Map<String, Value> = removed.collect();
    for (key, value) in after {
        let difference = match before.get(key) {
            Some(before) => merge_difference(before, value),
            None => Some(value.clone()),
        };
        patch.extend(difference.map(|difference| (key.clone(), difference)));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}
