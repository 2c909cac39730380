//! A kubelet writes only its own node, its lease, and the pods bound to it, and nothing by which it could get more.
//!
//! Upstream: plugin/pkg/admission/noderestriction/admission.go, kubelet/pkg/apis/well_known_labels.go
//! Left out: resource slices.
//!
//! The node authorizer has let these requests through by verb and name; here the objects are looked at.

use std::collections::BTreeSet;

use api::{local_path, status::Status};
use serde_json::Value;

use super::{Admission, Operation, Request};
use crate::{
    authorization::{Attributes, node::node_name},
    pod_references::{self, Kind, MIRROR_ANNOTATION},
};

pub(super) struct NodeRestriction;

impl Admission for NodeRestriction {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let Some(node) = node_name(request.user) else { return Ok(()) };
        check(request, node)
    }

    /// Later plugins change objects too: what is stored must be within bounds.
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let Some(node) = node_name(request.user) else { return Ok(()) };
        let defaulted = request.operation == Operation::Create && request.subresource_of("", "nodes") == Some("");
        if defaulted { Ok(()) } else { check(request, node) }
    }
}

fn check(request: &Request<'_>, node: &str) -> Result<(), Status> {
    if request.operation == Operation::Connect {
        return Ok(());
    }
    if node.is_empty() {
        return Err(request.forbidden(format!("could not determine node from user {:?}", request.user.name)));
    }
    let info = request.info;
    match (info.group.as_str(), info.resource.as_str(), info.subresource.as_str()) {
        ("", "pods", "") => check_pod(request, node),
        ("", "pods", "status") => check_pod_status(request, node),
        ("", "pods", "eviction") => check_eviction(request, node),
        ("", "pods", subresource) => Err(request.forbidden(format!(
            "unexpected pod subresource {subresource:?}, only 'status' and 'eviction' are allowed"
        ))),
        ("", "nodes", _) => check_node(request, node),
        ("", "persistentvolumeclaims", "status") => check_claim_status(request, node),
        ("", "persistentvolumeclaims", _) => Err(request.forbidden("may only update PVC status")),
        ("", "persistentvolumes", _) => check_volume(request, node),
        ("", "serviceaccounts", "token") => check_token_request(request, node),
        ("coordination.k8s.io", "leases", _) => check_lease(request, node),
        ("storage.k8s.io", "csinodes", _) if request.name() != node => {
            Err(request.forbidden("can only access CSINode with the same name as the requesting node"))
        }
        _ => Ok(()),
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn unexpected_operation(request: &Request<'_>) -> Status {
    request.forbidden(format!("unexpected operation {:?}", request.operation.to_string()))
}

/// Whether the pod `name` of the request's namespace is bound to `node`.
///
/// # Errors
/// 404 when there is no such pod.
fn is_bound(request: &Request<'_>, name: &str, node: &str) -> Result<bool, Status> {
    let pod = request.objects.get("", "pods", &request.info.namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", name))?;
    Ok(text(&pod.value()["spec"], "nodeName") == node)
}

fn check_pod(request: &Request<'_>, node: &str) -> Result<(), Status> {
    match (request.operation, &request.object) {
        (Operation::Create, Some(pod)) => {
            mirror_error(node, pod).map_or(Ok(()), |why| Err(request.forbidden(why)))?;
            check_mirror_owner(request, node, pod)
        }
        (Operation::Delete, _) if is_bound(request, request.name(), node)? => Ok(()),
        (Operation::Delete, _) => {
            Err(request.forbidden(format!("node {node:?} can only delete pods with spec.nodeName set to itself")))
        }
        (operation, _) => Err(request.forbidden(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            operation.to_string()
        ))),
    }
}

/// Why `pod` is not the mirror of something that the node runs by itself.
fn mirror_error(node: &str, pod: &Value) -> Option<String> {
    if pod["metadata"]["annotations"].get(MIRROR_ANNOTATION).is_none() {
        return Some(format!(
            "pod does not have {MIRROR_ANNOTATION:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    let spec = &pod["spec"];
    if text(spec, "nodeName") != node {
        return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let mut kinds = BTreeSet::new();
    pod_references::visit(pod, &mut |kind, _| {
        kinds.insert(kind);
    });
    let refers = |kind, words: &str| {
        kinds.contains(&kind).then(|| format!("node {node:?} can not create pods that reference {words}"))
    };
    let projects = |field: &str| {
        let volumes = spec["volumes"].as_array().into_iter().flatten();
        let mut sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
        sources.any(|source| source[field].is_object())
    };
    refers(Kind::ServiceAccount, "a service account")
        .or_else(|| refers(Kind::Secret, "secrets"))
        .or_else(|| refers(Kind::ConfigMap, "configmaps"))
        .or_else(|| {
            projects("clusterTrustBundle")
                .then(|| format!("node {node:?} can not create pods that reference clustertrustbundles"))
        })
        .or_else(|| refers(Kind::Claim, "persistentvolumeclaims"))
        .or_else(|| {
            let claims = spec["resourceClaims"].as_array().is_some_and(|claims| !claims.is_empty());
            claims.then(|| format!("node {node:?} can not create pods that reference resourceclaims"))
        })
}

/// A mirror pod belongs to its node, and to nothing else.
fn check_mirror_owner(request: &Request<'_>, node: &str, pod: &Value) -> Result<(), Status> {
    let owners = pod["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [owner] = owners else {
        let many = if owners.is_empty() { "an" } else { "a single" };
        let why = format!("node {node:?} can only create pods with {many} owner reference set to itself");
        return Err(request.forbidden(why));
    };
    if text(owner, "apiVersion") != "v1" || text(owner, "kind") != "Node" || text(owner, "name") != node {
        let why = format!("node {node:?} can only create pods with an owner reference set to itself");
        return Err(request.forbidden(why));
    }
    if owner["controller"] != true {
        let why = format!("node {node:?} can only create pods with a controller owner reference set to itself");
        return Err(request.forbidden(why));
    }
    if owner["blockOwnerDeletion"] == true {
        let why = format!("node {node:?} must not set blockOwnerDeletion on an owner reference");
        return Err(request.forbidden(why));
    }
    let found = request.objects.get("", "nodes", "", node).ok_or_else(|| Status::not_found("", "nodes", node))?;
    if text(owner, "uid") != found.meta.uid() {
        let why = format!("node {node} UID mismatch: expected {} got {}", text(owner, "uid"), found.meta.uid());
        return Err(request.forbidden(why));
    }
    Ok(())
}

fn check_pod_status(request: &Request<'_>, node: &str) -> Result<(), Status> {
    let (Operation::Update, Some(pod), Some(old)) = (request.operation, &request.object, request.old) else {
        return Err(unexpected_operation(request));
    };
    let why = if text(&old["spec"], "nodeName") != node {
        format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself")
    } else if pod["metadata"]["labels"] != old["metadata"]["labels"] {
        format!("node {node:?} cannot update labels through pod status")
    } else if pod["status"]["resourceClaimStatuses"] != old["status"]["resourceClaimStatuses"] {
        format!("node {node:?} cannot update resource claim statues")
    } else if pod["status"]["extendedResourceClaimStatus"] != old["status"]["extendedResourceClaimStatus"] {
        format!("node {node:?} cannot update extended resource claim status")
    } else {
        return Ok(());
    };
    Err(request.forbidden(why))
}

fn check_eviction(request: &Request<'_>, node: &str) -> Result<(), Status> {
    if request.operation != Operation::Create {
        return Err(request.forbidden(format!("unexpected operation {}", request.operation)));
    }
    if is_bound(request, request.name(), node)? {
        return Ok(());
    }
    Err(request.forbidden(format!("node {node} can only evict pods with spec.nodeName set to itself")))
}

fn check_claim_status(request: &Request<'_>, node: &str) -> Result<(), Status> {
    let (Operation::Update, Some(claim), Some(old)) = (request.operation, &request.object, request.old) else {
        return Err(unexpected_operation(request));
    };
    let stripped = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["resourceVersion", "managedFields"] {
            claim["metadata"][field].take();
        }
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            claim["status"][field].take();
        }
        claim
    };
    if stripped(claim) == stripped(old) {
        return Ok(());
    }
    let why = format!("node {node:?} is not allowed to update fields other than status.capacity and status.conditions");
    Err(request.forbidden(why))
}

fn check_node(request: &Request<'_>, node: &str) -> Result<(), Status> {
    let requested = request.name();
    if requested != node {
        return Err(request.forbidden(format!("node {node:?} is not allowed to modify node {requested:?}")));
    }
    let Some(object) = &request.object else { return Ok(()) };
    let why = match (request.operation, request.old) {
        (Operation::Create, _) => new_node_error(object, node),
        (Operation::Update, Some(old)) => changed_node_error(object, old, node),
        _ => None,
    };
    why.map_or(Ok(()), |why| Err(request.forbidden(why)))
}

fn new_node_error(object: &Value, node: &str) -> Option<String> {
    if !object["spec"]["configSource"].is_null() {
        return Some(format!("node {node:?} is not allowed to create pods with a non-nil configSource"));
    }
    let owners = object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    if owners {
        return Some(format!("node {node:?} is not allowed to set ownerReferences"));
    }
    let forbidden = forbidden_labels(object, &Value::Null);
    let set = format!("node {node:?} is not allowed to set the following labels: {}", forbidden.join(", "));
    (!forbidden.is_empty()).then_some(set)
}

fn changed_node_error(object: &Value, old: &Value, node: &str) -> Option<String> {
    let differs = |part: &str, field: &str| !same_list(&object[part][field], &old[part][field]);
    let source = &object["spec"]["configSource"];
    if !source.is_null() && *source != old["spec"]["configSource"] {
        return Some(format!("node {node:?} is not allowed to update configSource to a new non-nil configSource"));
    }
    // Without its taints a node could draw pods that are meant for others.
    if differs("spec", "taints") {
        return Some(format!("node {node:?} is not allowed to modify taints"));
    }
    // With an owner that does not exist, the garbage collector would delete the node, which it may not do itself.
    if differs("metadata", "ownerReferences") {
        return Some(format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    let forbidden = forbidden_labels(object, old);
    let changed = format!("is not allowed to modify labels: {}", forbidden.join(", "));
    (!forbidden.is_empty()).then_some(changed)
}

/// An absent list and an empty one are the same.
fn same_list(left: &Value, right: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(left) == list(right)
}

/// The labels that differ between two nodes and that a kubelet may not change, sorted.
fn forbidden_labels(object: &Value, old: &Value) -> Vec<String> {
    let (labels, old_labels) = (&object["metadata"]["labels"], &old["metadata"]["labels"]);
    let keys =
        |labels: &Value| labels.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let all: BTreeSet<String> = keys(labels).into_iter().chain(keys(old_labels)).collect();
    all.into_iter().filter(|key| labels[key] != old_labels[key] && !may_label(key)).collect()
}

/// Whether a kubelet may set a label: all outside Kubernetes' own domains, and of those the ones that describe it.
fn may_label(key: &str) -> bool {
    const DESCRIBING: [&str; 11] = [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    ];
    let Some((domain, _)) = key.split_once('/') else { return true };
    let within = |of: &str| domain == of || domain.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'));
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    let reserved = within("kubernetes.io") || within("k8s.io");
    !reserved || DESCRIBING.contains(&key) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

fn check_token_request(request: &Request<'_>, node: &str) -> Result<(), Status> {
    let (Operation::Create, Some(asked)) = (request.operation, &request.object) else { return Ok(()) };
    let reference = &asked["spec"]["boundObjectRef"];
    let (pod_name, uid) = (text(reference, "name"), text(reference, "uid"));
    if text(reference, "apiVersion") != "v1" || text(reference, "kind") != "Pod" || pod_name.is_empty() {
        return Err(request.forbidden("node requested token not bound to a pod"));
    }
    if uid.is_empty() {
        return Err(request.forbidden("node requested token with a pod binding without a uid"));
    }
    let pod = request.objects.get("", "pods", &request.info.namespace, pod_name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", pod_name))?;
    if uid != pod.meta.uid() {
        return Err(request.forbidden(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        )));
    }
    let pod = pod.value();
    if text(&pod["spec"], "nodeName") != node {
        return Err(request.forbidden("node requested token bound to a pod scheduled on a different node"));
    }
    check_audience(request, asked, &pod)
}

/// A node asks only for tokens that its pods want.
fn check_audience(request: &Request<'_>, asked: &Value, pod: &Value) -> Result<(), Status> {
    let audiences = asked["spec"]["audiences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let audience = match audiences {
        [] => "",
        [one] => one.as_str().unwrap_or_default(),
        _ => return Err(request.forbidden("node may only request 0 or 1 audiences")),
    };
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
    let wanted = sources.any(|source| {
        let token = &source["serviceAccountToken"];
        token.is_object() && text(token, "audience") == audience
    });
    let extra_right = Attributes {
        is_resource: true,
        verb: "request-serviceaccounts-token-audience",
        resource: audience,
        namespace: &request.info.namespace,
        name: request.name(),
        ..Attributes::default()
    };
    if wanted || request.authorizer.allows(request.user, &extra_right) {
        return Ok(());
    }
    Err(request.forbidden(format!("audience {audience:?} not found in pod spec volume")))
}

/// A node says of a deleted local volume of its own that the directory is gone, and nothing else.
fn check_volume(request: &Request<'_>, node: &str) -> Result<(), Status> {
    let (Some(old), Some(new)) = (request.old, &request.object) else { return Err(unexpected_operation(request)) };
    let mut released = old.clone();
    if let Some(finalizers) = released["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != local_path::FINALIZER);
    }
    let is_own = old["metadata"]["labels"][local_path::VOLUME_LABEL] == node;
    let is_deleted = old["metadata"]["deletionTimestamp"].is_string();
    if is_own && is_deleted && is_same_but_for_bookkeeping(&released, new) {
        return Ok(());
    }
    Err(request.forbidden(format!("node {node:?} can only release deleted local volumes that are on itself")))
}

fn is_same_but_for_bookkeeping(a: &Value, b: &Value) -> bool {
    let bare = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
            let none_left = metadata.get("finalizers").and_then(Value::as_array).is_some_and(Vec::is_empty);
            if none_left {
                metadata.remove("finalizers");
            }
        }
        value
    };
    bare(a) == bare(b)
}

fn check_lease(request: &Request<'_>, node: &str) -> Result<(), Status> {
    if request.info.namespace != "kube-node-lease" {
        return Err(request.forbidden("can only access leases in the \"kube-node-lease\" system namespace"));
    }
    if request.name() != node {
        return Err(request.forbidden("can only access node lease with the same name as the requesting node"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
