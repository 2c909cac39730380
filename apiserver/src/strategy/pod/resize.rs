//! What a resize of a pod may change: cpu and memory of its containers and sidecars, while it runs.
//!
//! Upstream: pkg/registry/core/pod/strategy.go (dropNonResizeUpdates), pkg/apis/core/validation/validation.go
//!   (ValidatePodResize)
//! Left out: resizes of what a pod asks for as a whole and of init containers, whose gates are off at 1.35.

use api::{field::Field, object::Object as _};
use serde_json::Value;

use super::{
    keep_entry, qos,
    validation::{metadata_and_spec, of_whole_pod},
};
use crate::strategy::validation::{Errors, pod_annotations::MIRROR, same};

/// The containers as they are, with the resources and resize policies that were sent. Where others were sent, or in
/// another order, they stay as sent, so that validation finds that.
pub(super) fn resized(current: &Value, sent: &Value) -> Value {
    if !same_names(current, sent) {
        return sent.clone();
    }
    let mut containers = current.clone();
    for (container, sent) in containers.as_array_mut().into_iter().flatten().zip(list(sent)) {
        for name in ["resources", "resizePolicy"] {
            if let Some(fields) = container.as_object_mut() {
                keep_entry(fields, sent, name);
            }
        }
    }
    containers
}

fn list(containers: &Value) -> &[Value] {
    containers.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn same_names(one: &Value, other: &Value) -> bool {
    list(one).iter().map(|each| &each["name"]).eq(list(other).iter().map(|each| &each["name"]))
}

/// The mistakes in a resize; the quality of service stays as well.
pub(super) fn validate(pod: &Field<'_>, current: &Value) -> Errors {
    if current.annotation(MIRROR).is_some() {
        return vec![of_whole_pod(pod, "static pods cannot be resized")];
    }
    if current["spec"]["os"]["name"] == "windows" {
        return vec![of_whole_pod(pod, "windows pods cannot be resized")];
    }
    let mut errors = Errors::new();
    metadata_and_spec(pod, &mut errors);
    let spec = pod.child("spec");
    let class = &current["status"]["qosClass"];
    if class.as_str().is_some_and(|class| class != qos::class(spec.value)) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(spec.invalid_value(class.clone(), detail));
    }
    if !node_resizes(current) {
        errors.push(spec.forbidden("Pod running on node without support for resize"));
    }
    let asks_as_a_whole =
        |pod: &Value| ["requests", "limits"].iter().any(|list| !same(&pod["spec"]["resources"][list], &Value::Null));
    if asks_as_a_whole(pod.value) || asks_as_a_whole(current) {
        let detail = "resize of pods with pod-level resources is forbidden when \
                      InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled";
        errors.push(of_whole_pod(pod, detail));
        return errors;
    }
    let known = errors.len();
    for name in ["containers", "initContainers"] {
        order(&spec.child(name), name, &current["spec"][name], &mut errors);
    }
    if errors.len() > known {
        return errors;
    }
    contents(&spec, &current["spec"], &mut errors);
    errors
}

/// Whether the node can do it, as far as its report of a running container shows.
fn node_resizes(pod: &Value) -> bool {
    let running = list(&pod["status"]["containerStatuses"]).iter().find(|each| !each["state"]["running"].is_null());
    running.is_none_or(|status| !status["resources"].is_null())
}

fn order(containers: &Field<'_>, name: &str, current: &Value, errors: &mut Errors) {
    if containers.len() != list(current).len() {
        errors.push(containers.forbidden(format!("{name} may not be added or removed on resize")));
        return;
    }
    for (container, before) in containers.items().zip(list(current)) {
        let field = container.child("name");
        if field.value != &before["name"] {
            errors.push(field.forbidden(format!("{name} may not be renamed or reordered on resize")));
        }
    }
}

fn contents(spec: &Field<'_>, current: &Value, errors: &mut Errors) {
    let (inits, containers) = (spec.child("initContainers"), spec.child("containers"));
    let is_sidecar = |container: &Value| container["restartPolicy"] == "Always";
    for (container, before) in inits.items().zip(list(&current["initContainers"])) {
        if is_sidecar(before) {
            nothing_removed(&container, before, errors);
        }
    }
    for (container, before) in containers.items().zip(list(&current["containers"])) {
        nothing_removed(&container, before, errors);
    }
    for (container, before) in containers.items().zip(list(&current["containers"])) {
        if !only_compute_differs(container.value, before) {
            errors.push(spec.forbidden("only cpu and memory resources are mutable"));
        }
    }
    for (container, before) in inits.items().zip(list(&current["initContainers"])) {
        if is_sidecar(before) {
            if !only_compute_differs(container.value, before) {
                errors.push(spec.forbidden("only cpu and memory resources for sidecar containers are mutable"));
            }
        } else if !same(container.value, before) {
            errors.push(spec.forbidden("resources for non-sidecar init containers are immutable"));
        }
    }
}

fn nothing_removed(container: &Field<'_>, before: &Value, errors: &mut Errors) {
    let now = container.child("resources");
    for (name, detail) in
        [("requests", "resource requests cannot be removed"), ("limits", "resource limits cannot be removed")]
    {
        let mut had = before["resources"][name].as_object().into_iter().flatten();
        if had.any(|(resource, _)| now.value[name].get(resource).is_none()) {
            errors.push(now.child(name).forbidden(detail));
        }
    }
}

fn only_compute_differs(now: &Value, before: &Value) -> bool {
    let rest = |container: &Value| {
        let mut container = container.clone();
        for list in ["requests", "limits"] {
            let list = container.get_mut("resources").and_then(|resources| resources.get_mut(list));
            if let Some(entries) = list.and_then(Value::as_object_mut) {
                entries.retain(|name, _| !matches!(name.as_str(), "cpu" | "memory"));
            }
        }
        container
    };
    same(&rest(now), &rest(before))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{row::Subresource, strategy::Strategy as _, strategy::pod::Pods};

    /// What a resize of the first pod, stored with this status, to the spec of the second is refused with.
    fn refused(before: Value, status: Value, after: Value) -> Vec<String> {
        let made = |spec: &Value| {
            let mut pod = json!({"metadata": {"name": "x", "namespace": "ns"}, "spec": spec});
            Pods.defaults(&mut pod);
            pod
        };
        let (mut current, mut object) = (made(&before), made(&after));
        Pods.prepare_for_create(&mut current);
        json_patch::merge(&mut current["status"], &status);
        Pods.prepare_for_subresource(Subresource::Resize, &mut object, &current);
        let errors = Pods.validate_subresource(Subresource::Resize, &Field::root(&object), &current);
        errors.into_iter().map(|error| error.to_string()).collect()
    }

    fn container(name: &str, resources: Value) -> Value {
        json!({"name": name, "image": "a", "resources": resources})
    }

    fn pod(resources: Value) -> Value {
        json!({"containers": [container("c", resources)]})
    }

    fn cpu(request: &str) -> Value {
        json!({"requests": {"cpu": request}})
    }

    #[test]
    fn cpu_and_memory_may_grow_shrink_and_be_added() {
        let limits = |memory: &str| json!({"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"memory": memory}});
        assert!(refused(pod(cpu("1")), json!({}), pod(cpu("2"))).is_empty());
        assert!(refused(pod(limits("2Gi")), json!({}), pod(limits("1Gi"))).is_empty());
        assert!(refused(pod(cpu("1")), json!({}), pod(limits("1Gi"))).is_empty());
    }

    #[test]
    fn nothing_else_changes_and_nothing_goes() {
        let only = "spec: Forbidden: only cpu and memory resources are mutable";
        let storage = json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}});
        assert_eq!(refused(pod(cpu("1")), json!({}), pod(storage.clone())), [only]);
        let mut policy = pod(cpu("1"));
        policy["containers"][0]["resizePolicy"] = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
        assert_eq!(refused(pod(cpu("1")), json!({}), policy), [only]);
        assert_eq!(
            refused(pod(storage), json!({}), pod(json!({"requests": {"memory": "1Gi"}}))),
            ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed", only]
        );
        assert_eq!(
            refused(pod(cpu("1")), json!({}), pod(json!({}))),
            [
                "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ]
        );
    }

    #[test]
    fn containers_stay_in_number_and_order() {
        let two = |first: &str, second: &str| json!({"containers": [container(first, cpu("1")), container(second, cpu("1"))]});
        assert_eq!(
            refused(pod(cpu("1")), json!({}), two("c", "d")),
            ["spec.containers: Forbidden: containers may not be added or removed on resize"]
        );
        let moved = "Forbidden: containers may not be renamed or reordered on resize";
        assert_eq!(
            refused(two("c", "d"), json!({}), two("d", "c")),
            [format!("spec.containers[0].name: {moved}"), format!("spec.containers[1].name: {moved}")]
        );
        let mut init = pod(cpu("1"));
        init["initContainers"] = json!([container("i", cpu("1"))]);
        assert_eq!(
            refused(init, json!({}), pod(cpu("1"))),
            ["spec.initContainers: Forbidden: initContainers may not be added or removed on resize"]
        );
    }

    #[test]
    fn of_the_init_containers_only_sidecars_are_resized() {
        let with = |policy: Value, resources: Value| {
            let mut init = container("i", resources);
            init["restartPolicy"] = policy;
            json!({"containers": [container("c", cpu("1"))], "initContainers": [init]})
        };
        assert!(refused(with("Always".into(), cpu("1")), json!({}), with("Always".into(), cpu("2"))).is_empty());
        assert_eq!(
            refused(with(Value::Null, cpu("1")), json!({}), with(Value::Null, cpu("2"))),
            ["spec: Forbidden: resources for non-sidecar init containers are immutable"]
        );
        let storage = json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}});
        assert_eq!(
            refused(with("Always".into(), cpu("1")), json!({}), with("Always".into(), storage)),
            ["spec: Forbidden: only cpu and memory resources for sidecar containers are mutable"]
        );
    }

    #[test]
    fn some_pods_are_not_resized() {
        let running = |resources: Value| json!({"containerStatuses": [{"name": "c", "state": {"running": {}}, "resources": resources}]});
        assert!(refused(pod(cpu("1")), running(json!({})), pod(cpu("2"))).is_empty());
        assert_eq!(
            refused(pod(cpu("1")), running(Value::Null), pod(cpu("2"))),
            ["spec: Forbidden: Pod running on node without support for resize"]
        );
        let windows = |request: &str| {
            let mut pod = pod(cpu(request));
            pod["os"] = json!({"name": "windows"});
            pod
        };
        assert_eq!(refused(windows("1"), json!({}), windows("2")), ["[]: Forbidden: windows pods cannot be resized"]);
        let whole = |request: &str| {
            let mut pod = pod(cpu(request));
            pod["resources"] = cpu("3");
            pod
        };
        assert_eq!(
            refused(whole("1"), json!({}), whole("2")),
            ["[]: Forbidden: resize of pods with pod-level resources is forbidden when \
              InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled"]
        );
    }
}
