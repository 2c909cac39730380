//! A pod's claims must be usable on its node.
//!
//! A bound claim ties the pod to where its volume is. A claim that waits for its first consumer is told the node
//! (an annotation) once the pod has one, and the pod waits for it to be bound.
//!
//! Upstream: pkg/scheduler/framework/plugins/volumebinding
//! Left out: choosing among existing volumes for a waiting claim (its provisioner makes one), storage capacity.

use client::ObjectKey;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};

use super::{Rejection, node_affinity};
use crate::snapshot::Snapshot;

pub const NAME: &str = "VolumeBinding";

/// The claims that the pod names, its ephemeral volumes' included.
pub fn claims_of(pod: &Pod) -> Vec<ObjectKey> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let pod_name = pod.metadata.name.clone().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let names = volumes.filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(source), _) => Some(source.claim_name.clone()),
        (None, Some(_)) => Some(format!("{pod_name}-{}", volume.name)),
        (None, None) => None,
    });
    names.map(|name| ObjectKey::new(namespace.clone(), name)).collect()
}

/// Whether the claims stand in the way of the pod on every node; the message is the pod's, not a node's.
pub fn pre_filter(pod: &Pod, snapshot: &Snapshot) -> Result<(), Rejection> {
    for key in claims_of(pod) {
        let Some(claim) = snapshot.claims.get(&key) else {
            let reason = format!("persistentvolumeclaim {:?} not found", key.name);
            return Err(Rejection::final_for_node(NAME, &reason));
        };
        if claim.metadata.deletion_timestamp.is_some() {
            let reason = format!("persistentvolumeclaim {:?} is being deleted", key.name);
            return Err(Rejection::final_for_node(NAME, &reason));
        }
        if !is_bound(claim) && !waits_for_consumer(claim, snapshot) {
            return Err(Rejection::final_for_node(NAME, "pod has unbound immediate PersistentVolumeClaims"));
        }
    }
    Ok(())
}

/// Whether the volumes of bound claims can be reached from the node.
pub fn filter(pod: &Pod, node: &Node, snapshot: &Snapshot) -> Result<(), Rejection> {
    let claims = claims_of(pod);
    for claim in claims.iter().filter_map(|key| snapshot.claims.get(key)).filter(|claim| is_bound(claim)) {
        let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
        let Some(volume) = snapshot.volumes.get(name) else {
            let reason = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
            return Err(Rejection::final_for_node(NAME, reason));
        };
        let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
        if !affinity.is_none_or(|required| node_affinity::matches(required, node)) {
            return Err(Rejection::final_for_node(NAME, "node(s) didn't match PersistentVolume's node affinity"));
        }
    }
    Ok(())
}

/// Whether the claim has its volume and both sides know it.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let has_volume =
        claim.spec.as_ref().is_some_and(|spec| spec.volume_name.as_deref().is_some_and(|name| !name.is_empty()));
    let completed = claim.metadata.annotations.as_ref();
    has_volume && completed.is_some_and(|annotations| annotations.contains_key("pv.kubernetes.io/bind-completed"))
}

fn waits_for_consumer(claim: &PersistentVolumeClaim, snapshot: &Snapshot) -> bool {
    let class = claim.spec.as_ref().and_then(|spec| snapshot.classes.get(spec.storage_class_name.as_deref()?));
    class.is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
}
