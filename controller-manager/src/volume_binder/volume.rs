//! The volume's side of a bind: its phase, and what happens when its claim is gone.
//!
//! Upstream: pkg/controller/volume/persistentvolume/pv_controller.go (syncVolume)
//! Left out: deleting and recycling: who provisioned a volume deletes it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeStatus};
use serde_json::json;

use super::{BOUND_BY_CONTROLLER, phase, volume_name};
use crate::actions::{self, Action, Plan};

/// What is decided from.
pub struct VolumeInput {
    pub volume: Arc<PersistentVolume>,
    /// The claim that the volume's `claimRef` names, if it is there.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
}

/// Decides about one volume. The half-done bind of a claim is the claim's business.
pub fn plan_volume(input: &VolumeInput) -> Plan {
    let volume = input.volume.as_ref();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let reserved_by_user = reference.is_some_and(|reference| reference.uid.as_deref().unwrap_or("").is_empty());
    let Some(reference) = reference.filter(|_| !reserved_by_user) else {
        return set_phase(volume, "Available").into_iter().collect::<Vec<_>>().into();
    };
    let claim = input.claim.as_ref().filter(|claim| claim.metadata.uid == reference.uid);
    let actions: Vec<Action> = match claim {
        // The claim is gone, and what the volume holds is to be kept or deleted as its policy says.
        None if phase(volume.status.as_ref()) == "Failed" => Vec::new(),
        None => set_phase(volume, "Released").into_iter().collect(),
        Some(claim) if volume_name(claim).is_empty() => Vec::new(),
        Some(claim) if Some(volume_name(claim)) == volume.metadata.name.as_deref() => {
            set_phase(volume, "Bound").into_iter().collect()
        }
        Some(_) => give_up(volume),
    };
    actions.into()
}

/// The claim took another volume: this one is free again, if it was us who reserved it.
fn give_up(volume: &PersistentVolume) -> Vec<Action> {
    let annotations = volume.metadata.annotations.as_ref();
    if !annotations.is_some_and(|annotations| annotations.contains_key(BOUND_BY_CONTROLLER)) {
        return Vec::new();
    }
    let patch = json!({"metadata": {"annotations": {BOUND_BY_CONTROLLER: null}}, "spec": {"claimRef": null}});
    let mut actions = vec![actions::merge_patch_at_version(volume, patch)];
    actions.extend(set_phase(volume, "Available"));
    actions
}

pub fn set_phase(volume: &PersistentVolume, phase: &str) -> Option<Action> {
    let before = volume.status.as_ref();
    if super::phase(before) == phase {
        return None;
    }
    let after = PersistentVolumeStatus { phase: Some(phase.into()), ..before.cloned().unwrap_or_default() };
    actions::patch_status(volume, before, &after)
}
