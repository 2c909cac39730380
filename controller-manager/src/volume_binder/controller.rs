//! What wakes claims and volumes, and what is gathered for their plans. Two controllers, one service account.
//!
//! Upstream: pkg/controller/volume/persistentvolume/pv_controller_base.go

use client::{Cache, Controller, Informers, ObjectKey, Plan, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Error;

use super::{Input, VolumeInput, class_of, plan, plan_volume, volume_name};

const SERVICE_ACCOUNT: &str = "persistent-volume-binder";

/// The claim that a volume is reserved for.
fn claim_of(volume: &PersistentVolume) -> Option<ObjectKey> {
    let reference = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(ObjectKey::new(reference.namespace.clone()?, reference.name.clone()?))
}

pub struct ClaimBinder {
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    classes: Cache<StorageClass>,
}

impl ClaimBinder {
    pub fn new(informers: &Informers) -> Self {
        Self { claims: informers.of(), volumes: informers.of(), classes: informers.of() }
    }
}

impl Controller for ClaimBinder {
    const NAME: &'static str = "persistent-volume-claim-binder";
    type Key = ObjectKey;
    type Input = Input;

    fn service_account() -> String {
        SERVICE_ACCOUNT.into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        let waiting = |claims: &Cache<PersistentVolumeClaim>, class: &str| -> Vec<ObjectKey> {
            let all = claims.list();
            let waits = all.iter().filter(|claim| volume_name(claim).is_empty() && class_of(claim) == class);
            waits.map(|claim| ObjectKey::of(claim.as_ref())).collect()
        };
        let (by_volume, by_class) = (self.claims.clone(), self.claims.clone());
        Watches::new()
            .objects(&self.claims)
            .map(&self.volumes, move |change| match claim_of(change.object()) {
                Some(claim) => vec![claim],
                None => {
                    let spec = change.object().spec.as_ref();
                    waiting(&by_volume, spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or(""))
                }
            })
            .map(&self.classes, move |change| {
                waiting(&by_class, change.object().metadata.name.as_deref().unwrap_or(""))
            })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(None) };
        let class = self.classes.get(&ObjectKey::cluster(class_of(&claim)));
        Ok(Some(Input { claim, class, volumes: self.volumes.list() }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

pub struct VolumeBinder {
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
}

impl VolumeBinder {
    pub fn new(informers: &Informers) -> Self {
        Self { claims: informers.of(), volumes: informers.of() }
    }
}

impl Controller for VolumeBinder {
    const NAME: &'static str = "persistent-volume-binder";
    type Key = ObjectKey;
    type Input = VolumeInput;

    fn service_account() -> String {
        SERVICE_ACCOUNT.into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        let volumes = self.volumes.clone();
        Watches::new().objects(&self.volumes).map(&self.claims, move |change| {
            let claim = ObjectKey::of(change.object().as_ref());
            volumes.index("claim", |volume| claim_of(volume).iter().map(ObjectKey::to_string).collect());
            let reserved = volumes.by_index("claim", &claim.to_string());
            reserved.iter().map(|volume| ObjectKey::of(volume.as_ref())).collect::<Vec<_>>()
        })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<VolumeInput>, Error> {
        let Some(volume) = self.volumes.get(key) else { return Ok(None) };
        let claim = claim_of(&volume).and_then(|claim| self.claims.get(&claim));
        Ok(Some(VolumeInput { volume, claim }))
    }

    fn plan(input: &VolumeInput, _now: Timestamp) -> Plan {
        plan_volume(input)
    }
}
