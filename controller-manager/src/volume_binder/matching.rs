//! Which volume a claim gets.
//!
//! Upstream: k8s.io/component-helpers/storage/volume/pv_helpers.go (FindMatchingVolume)
//! Left out: a volume's node affinity: where pods are is the scheduler's word, and it names the node first.

use std::sync::Arc;

use api::quantity::Quantity;
use api::selector::Selector;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::{class_of, is_claimed, is_reserved_for, phase};

/// The volume that is reserved for the claim, else the smallest free one that fits; ties break by name. While the
/// claim waits for a pod only a reserved one counts.
pub fn smallest<'a>(
    volumes: &'a [Arc<PersistentVolume>],
    claim: &PersistentVolumeClaim,
    only_reserved: bool,
) -> Option<&'a PersistentVolume> {
    let living = || volumes.iter().map(Arc::as_ref).filter(|volume| volume.metadata.deletion_timestamp.is_none());
    if let Some(reserved) = living().find(|volume| is_reserved_for(volume, claim)) {
        return Some(reserved);
    }
    let free = living().filter(|volume| {
        !is_claimed(volume) && phase(volume.status.as_ref()) == "Available" && misfit(volume, claim).is_none()
    });
    let by_size = |volume: &&PersistentVolume| (capacity(volume), volume.metadata.name.clone());
    free.filter(|_| !only_reserved).min_by_key(by_size)
}

/// Why the volume is not what the claim asks for, if it isn't.
pub fn misfit(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let (offered, asked) = (volume.spec.as_ref()?, claim.spec.as_ref()?);
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".into());
    let selector = asked.selector.as_ref();
    let selected = selector.is_none() || {
        let selector = Selector::from_label_selector(selector);
        selector.is_ok_and(|selector| selector.matches_labels(volume.metadata.labels.as_ref()))
    };
    let modes = offered.access_modes.as_deref().unwrap_or_default();
    match () {
        () if capacity(volume) < requested(claim) => Some("requested PV is too small"),
        () if offered.storage_class_name.as_deref().unwrap_or("") != class_of(claim) => {
            Some("storageClassName does not match")
        }
        () if mode(&offered.volume_mode) != mode(&asked.volume_mode) => Some("incompatible volumeMode"),
        () if !asked.access_modes.iter().flatten().all(|mode| modes.contains(mode)) => Some("incompatible accessMode"),
        () if !selected => Some("labels do not match the selector"),
        () => None,
    }
}

fn capacity(volume: &PersistentVolume) -> Option<Quantity> {
    let capacity = volume.spec.as_ref()?.capacity.as_ref()?.get("storage")?;
    Quantity::parse(&capacity.0).ok()
}

fn requested(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Quantity::parse(&requests.get("storage")?.0).ok()
}
