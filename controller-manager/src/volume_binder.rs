//! Binds claims to volumes, each to one, and keeps both sides' word of it.
//!
//! A bind is written in four steps, the volume first. Whoever stops between two of them, the next round goes on from
//! what is written: the volume's `claimRef` is what decides.
//!
//! Upstream: pkg/controller/volume/persistentvolume/pv_controller.go
//! Left out: in-tree plugins that make and recycle volumes (a provisioner does that, ours is in provisioner.rs); giving
//! a class to claims that were made before there was a default one.

mod controller;
mod matching;
mod volume;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus, PersistentVolumeStatus,
};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use crate::actions::{self, Action, Plan};

pub use controller::{ClaimBinder, VolumeBinder};
pub use volume::{VolumeInput, plan_volume};

pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
pub const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const STORAGE_PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";

/// What is decided from.
pub struct Input {
    pub claim: Arc<PersistentVolumeClaim>,
    /// The claim's class, if it names one that exists.
    pub class: Option<Arc<StorageClass>>,
    pub volumes: Vec<Arc<PersistentVolume>>,
}

/// Decides about one claim.
pub fn plan(input: &Input) -> Plan {
    let claim = &input.claim;
    let name = volume_name(claim);
    let volume = input.volumes.iter().find(|volume| volume.metadata.name.as_deref() == Some(name)).map(Arc::as_ref);
    let actions = match annotation(claim, BIND_COMPLETED) {
        Some(_) => keep_bound(claim, name, volume),
        None if name.is_empty() => bind_to_any(input),
        None => bind_to_named(claim, volume),
    };
    actions.into()
}

pub fn annotation<'a>(claim: &'a PersistentVolumeClaim, name: &str) -> Option<&'a str> {
    claim.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The class that a claim names, "" for none.
pub fn class_of(claim: &PersistentVolumeClaim) -> &str {
    let in_spec = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation(claim, CLASS_BETA).or(in_spec).unwrap_or("")
}

pub fn volume_name(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or("")
}

/// Is the volume's `claimRef` this claim? One without a uid was written by a user, before the claim was made.
pub fn is_reserved_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| {
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && (reference.uid.as_deref().unwrap_or("").is_empty() || reference.uid == claim.metadata.uid)
    })
}

fn is_claimed(volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_some())
}

/// Does the class wait with a volume until a pod that uses the claim has a node?
fn waits_for_pod(input: &Input) -> bool {
    let mode = input.class.as_ref().and_then(|class| class.volume_binding_mode.as_deref());
    mode == Some("WaitForFirstConsumer") && annotation(&input.claim, SELECTED_NODE).is_none()
}

/// A claim that names no volume takes the smallest one that fits, or asks for one to be made.
fn bind_to_any(input: &Input) -> Vec<Action> {
    let claim = input.claim.as_ref();
    let waits = waits_for_pod(input);
    if let Some(volume) = matching::smallest(&input.volumes, claim, waits) {
        return bind(volume, claim);
    }
    let mut actions = Vec::new();
    if waits {
        let message = "waiting for first consumer to be created before binding".into();
        actions.push(actions::normal(claim, "WaitForFirstConsumer", message));
    } else if class_of(claim).is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set".into();
        actions.push(actions::normal(claim, "FailedBinding", message));
    } else {
        actions.extend(ask_provisioner(input));
    }
    actions.extend(set_phase(claim, "Pending"));
    actions
}

/// Names the provisioner that is to make a volume for the claim.
fn ask_provisioner(input: &Input) -> Vec<Action> {
    let claim = input.claim.as_ref();
    let Some(class) = &input.class else {
        let message = format!("storageclass.storage.k8s.io {:?} not found", class_of(claim));
        return vec![actions::warning(claim, "ProvisioningFailed", message)];
    };
    if class.provisioner == "kubernetes.io/no-provisioner" {
        return Vec::new();
    }
    let provisioner = class.provisioner.as_str();
    if annotation(claim, STORAGE_PROVISIONER) == Some(provisioner) {
        return Vec::new();
    }
    let annotations = json!({STORAGE_PROVISIONER: provisioner, STORAGE_PROVISIONER_BETA: provisioner});
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
         system administrator. If volume creation is delayed, please verify that the provisioner is running and \
         correctly registered."
    );
    vec![
        actions::merge_patch(claim, json!({"metadata": {"annotations": annotations}})),
        actions::normal(claim, "ExternalProvisioning", message),
    ]
}

/// A claim whose user named its volume waits for exactly that one.
fn bind_to_named(claim: &PersistentVolumeClaim, volume: Option<&PersistentVolume>) -> Vec<Action> {
    let Some(volume) = volume else { return set_phase(claim, "Pending").into_iter().collect() };
    if is_reserved_for(volume, claim) {
        return bind(volume, claim);
    }
    if is_claimed(volume) {
        let name = volume.metadata.name.as_deref().unwrap_or("");
        let message = format!("volume {name:?} already bound to a different claim.");
        let mut actions = vec![actions::warning(claim, "FailedBinding", message)];
        actions.extend(set_phase(claim, "Pending"));
        return actions;
    }
    match matching::misfit(volume, claim) {
        None => bind(volume, claim),
        Some(why) => {
            let name = volume.metadata.name.as_deref().unwrap_or("");
            let message = format!("Cannot bind to requested volume {name:?}: {why}");
            let mut actions = vec![actions::warning(claim, "VolumeMismatch", message)];
            actions.extend(set_phase(claim, "Pending"));
            actions
        }
    }
}

/// A claim that was bound stays with its volume; without it, it is lost.
fn keep_bound(claim: &PersistentVolumeClaim, name: &str, volume: Option<&PersistentVolume>) -> Vec<Action> {
    let lost = |reason: &str, message: &str| {
        let phase = set_phase(claim, "Lost");
        let event = phase.is_some().then(|| actions::warning(claim, reason, message.into()));
        phase.into_iter().chain(event).collect()
    };
    let Some(volume) = volume else {
        return match name {
            "" => lost("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"),
            _ => lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
        };
    };
    if !is_claimed(volume) || is_reserved_for(volume, claim) {
        return bind(volume, claim);
    }
    lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
}

fn set_phase(claim: &PersistentVolumeClaim, phase: &str) -> Option<Action> {
    let before = claim.status.as_ref();
    let after = PersistentVolumeClaimStatus { phase: Some(phase.into()), ..before.cloned().unwrap_or_default() };
    actions::patch_status(claim, before, &after)
}

/// The four steps of a bind; those that are done already are left out.
fn bind(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(reserve(volume, claim));
    actions.extend(volume::set_phase(volume, "Bound"));
    actions.extend(name_volume(claim, volume));
    let spec = volume.spec.clone().unwrap_or_default();
    let status = PersistentVolumeClaimStatus {
        phase: Some("Bound".into()),
        access_modes: spec.access_modes,
        capacity: spec.capacity.filter(|capacity| !capacity.is_empty()),
        ..claim.status.clone().unwrap_or_default()
    };
    actions.extend(actions::patch_status(claim, claim.status.as_ref(), &status));
    actions
}

/// Writes the claim into the volume: refused when somebody else was quicker.
fn reserve(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<Action> {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    if reference.is_some_and(|reference| reference.uid.is_some() && reference.uid == claim.metadata.uid) {
        return None;
    }
    let by_user = reference.is_some();
    let reference = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        namespace: claim.metadata.namespace.clone(),
        name: claim.metadata.name.clone(),
        uid: claim.metadata.uid.clone(),
        resource_version: claim.metadata.resource_version.clone(),
        field_path: None,
    };
    let mut patch = json!({"spec": {"claimRef": reference}});
    if !by_user {
        patch["metadata"]["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
    }
    Some(actions::merge_patch_at_version(volume, patch))
}

/// Writes the volume's name into the claim.
fn name_volume(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Action> {
    let mut annotations: BTreeMap<&str, &str> = BTreeMap::new();
    let mut patch = json!({});
    if volume_name(claim).is_empty() {
        annotations.insert(BOUND_BY_CONTROLLER, "yes");
        patch["spec"]["volumeName"] = json!(volume.metadata.name);
    }
    if annotation(claim, BIND_COMPLETED).is_none() {
        annotations.insert(BIND_COMPLETED, "yes");
    }
    if annotations.is_empty() {
        return None;
    }
    patch["metadata"]["annotations"] = json!(annotations);
    Some(actions::merge_patch(claim, patch))
}

/// The phase of a volume, "" when it has none yet.
fn phase(status: Option<&PersistentVolumeStatus>) -> &str {
    status.and_then(|status| status.phase.as_deref()).unwrap_or("")
}

#[cfg(test)]
mod tests;
