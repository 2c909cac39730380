//! A pod takes the overhead of its RuntimeClass, and goes only to nodes that have the runtime.
//!
//! Upstream: plugin/pkg/admission/runtimeclass/admission.go, pkg/util/tolerations/tolerations.go
//! Left out: nothing.

use api::{resources, status::Status};
use serde_json::Value;

use super::{Admission, Operation, Request};

pub(super) struct RuntimeClass;

impl Admission for RuntimeClass {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let Some(class) = class_of(request)? else { return Ok(()) };
        let spec = &pod(request)["spec"];
        let overhead = &class["overhead"]["podFixed"];
        if class["overhead"].is_object() {
            if !is_empty(&spec["overhead"]) && !same(&spec["overhead"], overhead) {
                return Err(mismatch(request));
            }
            if !is_empty(overhead) {
                let overhead = overhead.clone();
                pod_mut(request)["spec"]["overhead"] = overhead;
            }
        }
        schedule(request, &class["scheduling"])
    }

    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let class = class_of(request)?;
        let creates_pod = request.operation == Operation::Create && request.subresource_of("", "pods") == Some("");
        if !creates_pod || is_empty(&pod(request)["spec"]["overhead"]) {
            return Ok(());
        }
        match class.map(|class| class["overhead"]["podFixed"].clone()).filter(|overhead| !overhead.is_null()) {
            Some(overhead) if same(&pod(request)["spec"]["overhead"], &overhead) => Ok(()),
            Some(_) => Err(mismatch(request)),
            None => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(request.forbidden(why))
            }
        }
    }
}

fn pod<'a>(request: &'a Request<'_>) -> &'a Value {
    request.object.as_ref().unwrap_or(&Value::Null)
}

fn pod_mut<'a>(request: &'a mut Request<'_>) -> &'a mut Value {
    request.object.get_or_insert_default()
}

/// The class that a new pod names.
fn class_of(request: &Request<'_>) -> Result<Option<Value>, Status> {
    if request.operation != Operation::Create || request.subresource_of("", "pods") != Some("") {
        return Ok(None);
    }
    let Some(name) = pod(request)["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    match request.objects.get("node.k8s.io", "runtimeclasses", "", name) {
        Some(class) => Ok(Some(class.value())),
        None => Err(request.forbidden(format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}

fn mismatch(request: &Request<'_>) -> Status {
    request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
}

fn schedule(request: &mut Request<'_>, scheduling: &Value) -> Result<(), Status> {
    for (key, wanted) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let wanted = wanted.as_str().unwrap_or_default();
        match pod(request)["spec"]["nodeSelector"].get(key).and_then(Value::as_str) {
            Some(given) if given != wanted => {
                return Err(request.forbidden(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {given}"
                )));
            }
            Some(_) => {}
            None => pod_mut(request)["spec"]["nodeSelector"][key] = wanted.into(),
        }
    }
    let added: Vec<Value> = scheduling["tolerations"].as_array().cloned().unwrap_or_default();
    if !added.is_empty() {
        let tolerations = pod(request)["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        pod_mut(request)["spec"]["tolerations"] = merged(tolerations.into_iter().chain(added)).into();
    }
    Ok(())
}

/// The tolerations without those that another one covers; of two that cover each other the first stays.
fn merged(tolerations: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for toleration in tolerations {
        if kept.iter().any(|other| covers(other, &toleration)) {
            continue;
        }
        kept.retain(|other| !covers(&toleration, other));
        kept.push(toleration);
    }
    kept
}

/// Whether everything that `narrow` tolerates is tolerated by `wide` too.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let text = |toleration: &Value, field: &str| toleration[field].as_str().unwrap_or_default().to_owned();
    if wide == narrow {
        return true;
    }
    let (key, effect) = (text(wide, "key"), text(wide, "effect"));
    let key_covers = key == text(narrow, "key") || (key.is_empty() && text(wide, "operator") == "Exists");
    let effect_covers = effect.is_empty() || effect == text(narrow, "effect");
    let seconds = |toleration: &Value| toleration["tolerationSeconds"].as_i64();
    let time_covers = effect != "NoExecute"
        || seconds(wide).is_none_or(|most| seconds(narrow).is_some_and(|seconds| seconds <= most));
    let value_covers = match text(wide, "operator").as_str() {
        "Exists" => true,
        _ => text(narrow, "operator") != "Exists" && text(wide, "value") == text(narrow, "value"),
    };
    key_covers && effect_covers && time_covers && value_covers
}

fn is_empty(list: &Value) -> bool {
    list.as_object().is_none_or(serde_json::Map::is_empty)
}

fn same(one: &Value, other: &Value) -> bool {
    resources::read(one) == resources::read(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{admin, send};
    use super::*;
    use crate::objects::world::World;

    fn create(fields: Value) -> Result<Value, String> {
        let world = World::new([
            json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
            json!({"kind": "ServiceAccount", "metadata": {"namespace": "ns", "name": "default"}}),
            json!({"kind": "RuntimeClass", "metadata": {"name": "vm"}, "handler": "h",
                "overhead": {"podFixed": {"cpu": "100m", "memory": "10Mi"}},
                "scheduling": {"nodeSelector": {"rc": "1"}, "tolerations": [{"key": "rc", "operator": "Exists"}]}}),
        ]);
        let mut pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c"}]}});
        pod["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = send(&world, &admin(), Operation::Create, "/pods/ns//", Some(pod), None);
        made.map(|mut pod| pod["spec"].take())
    }

    #[test]
    fn a_pod_gets_the_overhead_and_the_nodes_of_its_class() {
        let spec = create(json!({"runtimeClassName": "vm", "nodeSelector": {"x": "2"},
            "tolerations": [{"key": "rc", "operator": "Equal", "value": "a"}]}))
        .unwrap();
        assert_eq!(spec["overhead"], json!({"cpu": "100m", "memory": "10Mi"}));
        assert_eq!(spec["nodeSelector"], json!({"rc": "1", "x": "2"}));
        let of_class = json!({"key": "rc", "operator": "Exists"});
        let tolerations = spec["tolerations"].as_array().unwrap();
        assert!(tolerations.contains(&of_class) && !tolerations.iter().any(|each| each["value"] == "a"), "{spec}");
        assert_eq!(create(json!({})).unwrap().get("overhead"), None);
    }

    #[test]
    fn what_does_not_fit_the_class_is_refused() {
        let check = |fields: Value, why: &str| {
            assert_eq!(create(fields).unwrap_err(), format!("pods \"x\" is forbidden: {why}"));
        };
        check(
            json!({"runtimeClassName": "vm", "nodeSelector": {"rc": "2"}}),
            "conflict: runtimeClass.scheduling.nodeSelector[rc] = 1; pod.spec.nodeSelector[rc] = 2",
        );
        check(
            json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        );
        check(
            json!({"overhead": {"cpu": "1"}}),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        );
        check(json!({"runtimeClassName": "none"}), "pod rejected: RuntimeClass \"none\" not found");
    }
}
