//! What a pod may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePodCreate, ValidatePodUpdate,
//!   ValidatePodEphemeralContainersUpdate)
//! Left out: the diff in the message about immutable fields, which is one of Go's structs.

use api::{
    field::{Field, FieldError},
    object::Object as _,
};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, affinity,
    containers::image_without_padding,
    pod_annotations::{self, MIRROR},
    pod_spec::{Holder, pod_spec},
    same,
};

/// The mistakes of a new pod.
pub(super) fn create(pod: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    metadata_and_spec(pod, &mut errors);
    let spec = pod.child("spec");
    let ephemeral = spec.child("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.push(ephemeral.forbidden("cannot be set on create"));
    }
    if !spec.child("nodeName").is_empty() && !spec.child("schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(spec.child("nodeName").forbidden(detail));
    }
    pod_annotations::agree_with_fields(&pod.value["metadata"]["annotations"], &spec, &mut errors);
    errors
}

pub(super) fn metadata_and_spec(pod: &Field<'_>, errors: &mut Errors) {
    let spec = pod.child("spec");
    let metadata = pod.child("metadata");
    pod_annotations::annotations(&metadata.child("annotations"), spec.value, errors);
    pod_spec(&spec, Holder::Pod(pod.value.name()), errors);
    if spec.child("serviceAccountName").is_empty() {
        for volume in spec.child("volumes").items() {
            let projected = volume.child("projected");
            for source in projected.child("sources").items() {
                let token = source.child("serviceAccountToken");
                if !token.is_absent() {
                    errors.push(token.forbidden("must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.child(list).items() {
            image_without_padding(&container, errors);
        }
    }
}

/// The mistakes in a change through the pod itself.
pub(super) fn update(pod: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata_and_spec(pod, &mut errors);
    annotation_update(pod, current, &mut errors);
    let spec = pod.child("spec");
    for list in ["containers", "initContainers"] {
        if !containers_update(&spec.child(list), &current["spec"][list], &mut errors) {
            return errors;
        }
    }
    if !deadline_update(&spec.child("activeDeadlineSeconds"), &current["spec"]["activeDeadlineSeconds"], &mut errors) {
        return errors;
    }
    tolerations_update(&spec.child("tolerations"), &current["spec"]["tolerations"], &mut errors);
    gates_update(&spec.child("schedulingGates"), &current["spec"]["schedulingGates"], &mut errors);
    let mut rest = spec.value.clone();
    mask_mutable(&mut rest, &current["spec"]);
    if is_gated(current) {
        gated_update(&spec, &mut rest, &current["spec"], &mut errors);
    }
    if !same(&rest, &current["spec"]) {
        errors.push(spec.forbidden(
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
        ));
    }
    errors
}

pub(super) fn annotation_update(pod: &Field<'_>, current: &Value, errors: &mut Errors) {
    let metadata = pod.child("metadata");
    let annotations = metadata.child("annotations");
    let mirror = annotations.key(MIRROR);
    let before = current.annotation(MIRROR);
    if mirror.value.as_str() != before {
        let detail = match (mirror.is_absent(), before) {
            (true, _) => "may not remove mirror pod annotation",
            (false, None) => "may not add mirror pod annotation",
            _ => "may not update mirror pod annotation",
        };
        errors.push(mirror.forbidden(detail));
    }
}

/// Whether the rest of the pod is worth a look.
fn containers_update(containers: &Field<'_>, current: &Value, errors: &mut Errors) -> bool {
    if containers.len() != current.as_array().map_or(0, Vec::len) {
        errors.push(containers.forbidden("pod updates may not add or remove containers"));
        return false;
    }
    for container in containers.items() {
        if container.child("image").is_empty() {
            errors.push(container.child("image").required(""));
        }
        image_without_padding(&container, errors);
    }
    true
}

fn deadline_update(deadline: &Field<'_>, current: &Value, errors: &mut Errors) -> bool {
    match (deadline.i64(), current.as_i64()) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            errors.push(deadline.invalid(format!("must be between 0 and {}, inclusive", i32::MAX)));
            false
        }
        (Some(seconds), Some(before)) if before < seconds => {
            errors.push(deadline.invalid("must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            errors.push(deadline.invalid_value("null", "must not update from a positive integer to nil value"));
            true
        }
        _ => true,
    }
}

fn tolerations_update(tolerations: &Field<'_>, current: &Value, errors: &mut Errors) {
    let mut timeless = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Some(fields) = toleration.as_object_mut() {
            fields.remove("tolerationSeconds");
        }
        toleration
    };
    let wanted: Vec<Value> = tolerations.value.as_array().into_iter().flatten().map(&mut timeless).collect();
    if current.as_array().into_iter().flatten().any(|each| !wanted.contains(&timeless(each))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(tolerations.forbidden(detail));
        return;
    }
    affinity::tolerations(tolerations, errors);
}

fn gates_update(gates: &Field<'_>, current: &Value, errors: &mut Errors) {
    for gate in gates.items() {
        let name = gate.child("name");
        if !current.as_array().into_iter().flatten().any(|each| &each["name"] == name.value) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", name.str());
            errors.push(name.forbidden(detail));
        }
    }
}

/// Makes what may be changed the same as it was, so that what is left must be equal.
fn mask_mutable(spec: &mut Value, current: &Value) {
    for list in ["containers", "initContainers"] {
        for (index, container) in spec[list].as_array_mut().into_iter().flatten().enumerate() {
            container["image"] = current[list][index]["image"].clone();
        }
    }
    for name in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        keep(spec, current, name);
    }
    let before = current["terminationGracePeriodSeconds"].as_i64().unwrap_or_default();
    if before < 0 && spec["terminationGracePeriodSeconds"] == 1 {
        keep(spec, current, "terminationGracePeriodSeconds");
    }
}

fn keep(fields: &mut Value, current: &Value, name: &str) {
    crate::strategy::keep(fields, current, name);
}

fn is_gated(pod: &Value) -> bool {
    pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty())
}

/// A pod that waits for gates may still be narrowed in where it goes.
fn gated_update(spec: &Field<'_>, rest: &mut Value, current: &Value, errors: &mut Errors) {
    let selector = spec.child("nodeSelector");
    let kept = |(key, value): (&String, &Value)| selector.value.get(key) == Some(value);
    if !current["nodeSelector"].as_object().into_iter().flatten().all(kept) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(selector.invalid(detail));
    }
    keep(rest, current, "nodeSelector");
    node_affinity_update(spec, current, errors);
    let mut affinity = rest["affinity"].take();
    if affinity.is_object() {
        keep(&mut affinity, &current["affinity"], "nodeAffinity");
    } else if current["affinity"]["nodeAffinity"].is_object() {
        affinity = serde_json::json!({"nodeAffinity": current["affinity"]["nodeAffinity"]});
    }
    rest["affinity"] = affinity;
}

fn node_affinity_update(spec: &Field<'_>, current: &Value, errors: &mut Errors) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let affinity = spec.child("affinity");
    let node = affinity.child("nodeAffinity");
    let required = node.child(REQUIRED);
    let terms = required.child("nodeSelectorTerms");
    let before = current["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"].as_array();
    let Some(before) = before.filter(|terms| !terms.is_empty()) else { return };
    if before.len() != terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(terms.invalid(detail));
        return;
    }
    for (index, term) in terms.items().enumerate() {
        let only_added = ["matchExpressions", "matchFields"].into_iter().all(|list| {
            let old = before[index][list].as_array().map(Vec::as_slice).unwrap_or_default();
            let new = term.value[list].as_array().map(Vec::as_slice).unwrap_or_default();
            new.starts_with(old)
        });
        let was_empty = before[index].as_object().is_none_or(serde_json::Map::is_empty);
        if !only_added || (was_empty && !same(term.value, &before[index])) {
            errors.push(term.invalid("only additions are allowed (no mutations or deletions)"));
        }
    }
}

/// The mistakes in a change of the ephemeral containers.
pub(super) fn ephemeral_containers(pod: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    if current.annotation(MIRROR).is_some() {
        return vec![of_whole_pod(pod, "static pods do not support ephemeral containers")];
    }
    metadata_and_spec(pod, &mut errors);
    annotation_update(pod, current, &mut errors);
    let spec = pod.child("spec");
    let list = spec.child("ephemeralContainers");
    for before in current["spec"]["ephemeralContainers"].as_array().into_iter().flatten() {
        let name = before["name"].as_str().unwrap_or_default();
        match list.items().find(|each| each.child("name").str() == name) {
            None => errors.push(list.forbidden(format!("existing ephemeral containers {name:?} may not be removed\n"))),
            Some(now) if !same(now.value, before) => {
                errors.push(list.forbidden(format!("existing ephemeral containers {name:?} may not be changed\n")));
            }
            Some(_) => {}
        }
    }
    errors
}

/// What is wrong with the pod as a whole; upstream's empty path is written so.
pub(super) fn of_whole_pod(pod: &Field<'_>, detail: &str) -> FieldError {
    FieldError { field: "[]".into(), ..pod.forbidden(detail) }
}
