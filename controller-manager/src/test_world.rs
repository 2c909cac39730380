//! A world of objects for decision tests: a plan is read as English, applied, and planned again.
//!
//! Upstream: client-go/kubernetes/fake
//! Left out: the API server's own rules. What they do to a plan is tested on a real cluster
//! (tests/tests/application.rs).

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Action, ObjectKey, Patch, Plan, Target};
use jiff::Timestamp;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The time at which the tests plan.
pub fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// How often a world may be planned until it has come to rest.
const ROUNDS: usize = 20;

/// Objects by kind and name.
#[derive(Clone, Default)]
pub struct World {
    objects: BTreeMap<(String, ObjectKey), Value>,
    made: usize,
}

impl World {
    pub fn with<K: Resource<DynamicType = ()> + Serialize>(mut self, object: &K) -> Self {
        let kind = K::kind(&()).into_owned();
        self.objects.insert((kind, ObjectKey::of(object)), serde_json::to_value(object).unwrap());
        self
    }

    pub fn all<K: Resource<DynamicType = ()> + DeserializeOwned>(&self) -> Vec<Arc<K>> {
        let of_kind = self.objects.iter().filter(|((kind, _), _)| *kind == K::kind(&()));
        of_kind.map(|(_, object)| Arc::new(serde_json::from_value(object.clone()).unwrap())).collect()
    }

    /// Does what the API server would do.
    pub fn apply(&mut self, action: &Action) {
        match action {
            Action::Create { resource, object } => self.create(&resource.kind, object.clone()),
            Action::Patch { target, subresource, patch } => self.patch(target, subresource, patch),
            Action::Replace { target, object, .. } => {
                self.object(target)["spec"] = object["spec"].clone();
            }
            Action::Delete { target, .. } => self.delete(target),
            Action::Event { .. } => {}
        }
    }

    fn create(&mut self, kind: &str, mut object: Value) {
        self.made += 1;
        let metadata = &mut object["metadata"];
        if metadata["name"].is_null() {
            metadata["name"] = format!("{}{}", metadata["generateName"].as_str().unwrap(), self.made).into();
        }
        metadata["uid"] = format!("uid-{}", self.made).into();
        metadata["generation"] = 1.into();
        metadata["creationTimestamp"] = json!(now().to_string());
        let text = |field: &str| metadata[field].as_str().unwrap_or("").to_owned();
        let key = ObjectKey::new(text("namespace"), text("name"));
        let before = self.objects.insert((kind.to_owned(), key.clone()), object);
        assert!(before.is_none(), "{kind} {key} exists already");
    }

    fn object(&mut self, target: &Target) -> &mut Value {
        let key = (target.resource.kind.clone(), target.key.clone());
        self.objects.get_mut(&key).unwrap_or_else(|| panic!("{target} does not exist"))
    }

    fn patch(&mut self, target: &Target, subresource: &str, patch: &Patch) {
        let object = self.object(target);
        let spec = object["spec"].clone();
        match patch {
            Patch::Merge(patch) => merge(object, patch),
            Patch::Strategic(patch) => merge_strategically(object, patch),
            Patch::Json(_) => panic!("no controller writes JSON patches"),
        }
        if subresource.is_empty() && object["spec"] != spec {
            object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
        }
    }

    fn delete(&mut self, target: &Target) {
        let object = self.object(target);
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if held {
            object["metadata"]["deletionTimestamp"] = json!(now().to_string());
        } else {
            self.objects.remove(&(target.resource.kind.clone(), target.key.clone()));
        }
    }
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (key, value) in fields {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(key)),
            value => merge(&mut object[key.as_str()], value),
        }
    }
}

/// The merge keys that our controllers' patches use.
fn merge_strategically(object: &mut Value, patch: &Value) {
    for (key, value) in patch.as_object().unwrap() {
        let merge_key = match key.as_str() {
            "ownerReferences" => "uid",
            "conditions" => "type",
            _ if value.is_object() => {
                if object[key].is_null() {
                    object[key] = json!({});
                }
                merge_strategically(&mut object[key], value);
                continue;
            }
            _ => {
                object[key] = value.clone();
                continue;
            }
        };
        let mut list = object[key].as_array().cloned().unwrap_or_default();
        for item in value.as_array().unwrap() {
            list.retain(|old| old[merge_key] != item[merge_key]);
            if item["$patch"] != "delete" {
                list.push(item.clone());
            }
        }
        object[key] = list.into();
    }
}

/// A plan as its log lines, one per line.
pub fn in_words(plan: &Plan) -> String {
    let mut words: Vec<String> = plan.actions.iter().map(|action| action.to_string()).collect();
    words.extend(plan.requeue_after.map(|delay| format!("look again in {delay:?}")));
    words.join("\n")
}

/// Plans and applies until nothing is left to do but to tell, and says how many rounds that took. Events don't count:
/// they change nothing that is planned from.
pub fn settle(world: &mut World, plan: impl Fn(&World) -> Plan) -> usize {
    for round in 0..ROUNDS {
        let plan = plan(world);
        let writes: Vec<_> = plan.actions.iter().filter(|action| !matches!(action, Action::Event { .. })).collect();
        if writes.is_empty() {
            return round;
        }
        writes.into_iter().for_each(|action| world.apply(action));
    }
    panic!("no rest after {ROUNDS} rounds: {}", in_words(&plan(world)));
}

/// An object of a built-in kind from its JSON.
pub fn object<K: DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}
