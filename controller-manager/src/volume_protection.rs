//! Keeps claims that pods use, volumes that claims are bound to, and classes of attributes that either names from
//! vanishing: a finalizer holds them until nobody needs them.
//!
//! Upstream: pkg/controller/volume/{pvcprotection/pvc_protection_controller.go,pvprotection/pv_protection_controller.go,
//! vacprotection/vac_protection_controller.go}
//! Left out: nothing.

use std::sync::Arc;

use client::{Cache, Change, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::pods;

pub const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
pub const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";
pub const CLASS_FINALIZER: &str = "kubernetes.io/vac-protection";

/// What is decided from: a claim, and the pods in its namespace.
pub struct ClaimInput {
    pub claim: Arc<PersistentVolumeClaim>,
    pub pods: Vec<Arc<Pod>>,
}

/// A claim is let go when no pod that has a node uses it. A finished pod counts until it is deleted.
pub fn plan_claim(input: &ClaimInput) -> Plan {
    let name = input.claim.metadata.name.as_deref().unwrap_or("");
    let in_use = input.pods.iter().any(|pod| !pods::node_name(pod).is_empty() && uses(pod, name));
    protect(input.claim.as_ref(), CLAIM_FINALIZER, in_use).into_iter().collect::<Vec<_>>().into()
}

/// Does the pod name the claim among its volumes, or is the claim made for one of them?
pub fn uses(pod: &Pod, claim: &str) -> bool {
    claims_of(pod).iter().any(|name| name == claim)
}

/// The names of the claims that a pod's volumes use.
pub fn claims_of(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let name = pod.metadata.name.as_deref().unwrap_or("");
    let claim = |volume: &k8s_openapi::api::core::v1::Volume| match (&volume.persistent_volume_claim, &volume.ephemeral)
    {
        (Some(source), _) => Some(source.claim_name.clone()),
        (None, Some(_)) => Some(format!("{name}-{}", volume.name)),
        (None, None) => None,
    };
    volumes.filter_map(claim).collect()
}

/// What is decided from: a volume.
pub struct VolumeInput {
    pub volume: Arc<PersistentVolume>,
}

/// A volume is let go when it is not bound.
pub fn plan_volume(input: &VolumeInput) -> Plan {
    let bound = input.volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    protect(input.volume.as_ref(), VOLUME_FINALIZER, bound).into_iter().collect::<Vec<_>>().into()
}

/// What is decided from: a class of attributes, and what may name it.
pub struct ClassInput {
    pub class: Arc<VolumeAttributesClass>,
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    pub volumes: Vec<Arc<PersistentVolume>>,
}

/// A class is let go when no claim and no volume names it.
pub fn plan_class(input: &ClassInput) -> Plan {
    let of_claims = input.claims.iter().flat_map(|claim| classes_of_claim(claim));
    let mut named = of_claims.chain(input.volumes.iter().filter_map(|volume| class_of_volume(volume)));
    let in_use = named.any(|class| Some(class) == input.class.metadata.name);
    protect(input.class.as_ref(), CLASS_FINALIZER, in_use).into_iter().collect::<Vec<_>>().into()
}

/// The classes that a claim asks for, has, and is on the way to.
fn classes_of_claim(claim: &PersistentVolumeClaim) -> Vec<String> {
    let status = claim.status.as_ref();
    let wanted = claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.clone());
    let current = status.and_then(|status| status.current_volume_attributes_class_name.clone());
    let change = status.and_then(|status| status.modify_volume_status.as_ref());
    let target = change.and_then(|change| change.target_volume_attributes_class_name.clone());
    [wanted, current, target].into_iter().flatten().collect()
}

fn class_of_volume(volume: &PersistentVolume) -> Option<String> {
    volume.spec.as_ref()?.volume_attributes_class_name.clone()
}

/// Puts the finalizer on an object that lives, takes it off one that is being deleted and not in use.
fn protect<K: Resource<DynamicType = ()>>(object: &K, finalizer: &str, in_use: bool) -> Option<Action> {
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    let held = finalizers.iter().any(|name| name == finalizer);
    let leaving = object.meta().deletion_timestamp.is_some();
    match (leaving, held) {
        (false, false) => finalizers.push(finalizer.to_owned()),
        (true, true) if !in_use => finalizers.retain(|name| name != finalizer),
        _ => return None,
    }
    Some(actions::merge_patch_at_version(object, json!({"metadata": {"finalizers": finalizers}})))
}

pub struct ClaimProtection {
    claims: Cache<PersistentVolumeClaim>,
    pods: Cache<Pod>,
    client: Client,
}

impl ClaimProtection {
    pub fn new(informers: &Informers) -> Self {
        Self { claims: informers.of(), pods: informers.of(), client: informers.client().clone() }
    }
}

impl Controller for ClaimProtection {
    const NAME: &'static str = "pvc-protection";
    type Key = ObjectKey;
    type Input = ClaimInput;

    fn watches(&self) -> Watches<ObjectKey> {
        Watches::new().objects(&self.claims).map(&self.pods, |change| {
            let pod = change.object();
            let namespace = pod.metadata.namespace.clone().unwrap_or_default();
            let let_go = change.after.is_none();
            let claims = if let_go { claims_of(pod) } else { Vec::new() };
            claims.into_iter().map(move |claim| ObjectKey::new(&namespace, claim)).collect::<Vec<_>>()
        })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<ClaimInput>, kube::Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(None) };
        let mut pods = self.pods.in_namespace(&key.namespace);
        let in_use = pods.iter().any(|pod| uses(pod, &key.name));
        if claim.metadata.deletion_timestamp.is_some() && !in_use {
            // The cache may be behind, and there is no way back from letting go: the API server is asked.
            let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
            pods = api.list(&ListParams::default()).await?.items.into_iter().map(Arc::new).collect();
        }
        Ok(Some(ClaimInput { claim, pods }))
    }

    fn plan(input: &ClaimInput, _now: Timestamp) -> Plan {
        plan_claim(input)
    }
}

pub struct VolumeProtection {
    volumes: Cache<PersistentVolume>,
}

impl VolumeProtection {
    pub fn new(informers: &Informers) -> Self {
        Self { volumes: informers.of() }
    }
}

impl Controller for VolumeProtection {
    const NAME: &'static str = "pv-protection";
    type Key = ObjectKey;
    type Input = VolumeInput;

    fn watches(&self) -> Watches<ObjectKey> {
        Watches::new().objects(&self.volumes)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<VolumeInput>, kube::Error> {
        Ok(self.volumes.get(key).map(|volume| VolumeInput { volume }))
    }

    fn plan(input: &VolumeInput, _now: Timestamp) -> Plan {
        plan_volume(input)
    }
}

pub struct ClassProtection {
    classes: Cache<VolumeAttributesClass>,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
}

impl ClassProtection {
    pub fn new(informers: &Informers) -> Self {
        Self { classes: informers.of(), claims: informers.of(), volumes: informers.of() }
    }
}

impl Controller for ClassProtection {
    const NAME: &'static str = "volumeattributesclass-protection";
    type Key = ObjectKey;
    type Input = ClassInput;

    fn watches(&self) -> Watches<ObjectKey> {
        let of_claims = |change: &Change<PersistentVolumeClaim>| {
            let before: Vec<String> = change.before.iter().flat_map(|claim| classes_of_claim(claim)).collect();
            before.into_iter().map(ObjectKey::cluster).collect::<Vec<_>>()
        };
        let of_volumes = |change: &Change<PersistentVolume>| {
            change
                .before
                .iter()
                .filter_map(|volume| class_of_volume(volume))
                .map(ObjectKey::cluster)
                .collect::<Vec<_>>()
        };
        Watches::new().objects(&self.classes).map(&self.claims, of_claims).map(&self.volumes, of_volumes)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<ClassInput>, kube::Error> {
        let Some(class) = self.classes.get(key) else { return Ok(None) };
        Ok(Some(ClassInput { class, claims: self.claims.list(), volumes: self.volumes.list() }))
    }

    fn plan(input: &ClassInput, _now: Timestamp) -> Plan {
        plan_class(input)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::test_world::{World, in_words, object, settle};

    fn claim(metadata: Value) -> PersistentVolumeClaim {
        let mut all = json!({"name": "data", "namespace": "default"});
        all.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        object(json!({"metadata": all}))
    }

    fn pod() -> Pod {
        object(json!({
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"nodeName": "n1", "containers": [], "volumes": [
                {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        }))
    }

    fn words(claim: PersistentVolumeClaim, pods: &[Pod]) -> String {
        let mut world = pods.iter().fold(World::default().with(&claim), |world, pod| world.with(pod));
        let gather =
            |world: &World| ClaimInput { claim: world.all::<PersistentVolumeClaim>()[0].clone(), pods: world.all() };
        let words = in_words(&plan_claim(&gather(&world)));
        settle(&mut world, |world| plan_claim(&gather(world)));
        words
    }

    #[test]
    fn a_claim_is_held_until_no_pod_uses_it() {
        let leaving = || claim(json!({"finalizers": [CLAIM_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(words(claim(json!({})), &[]), "patch PersistentVolumeClaim default/data");
        assert_eq!(words(leaving(), &[pod()]), "");
        assert_eq!(words(leaving(), &[]), "patch PersistentVolumeClaim default/data");
    }

    #[test]
    fn a_class_is_held_until_no_claim_and_no_volume_names_it() {
        let check = |world: World, expected: &str| {
            let class =
                json!({"name": "fast", "finalizers": [CLASS_FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"});
            let class: VolumeAttributesClass = object(json!({"metadata": class, "driverName": "d"}));
            let mut world = world.with(&class);
            let gather = |world: &World| ClassInput {
                class: world.all::<VolumeAttributesClass>()[0].clone(),
                claims: world.all(),
                volumes: world.all(),
            };
            assert_eq!(in_words(&plan_class(&gather(&world))), expected);
            settle(&mut world, |world| plan_class(&gather(world)));
        };
        let of_spec = |spec: Value| json!({"metadata": {"name": "a", "namespace": "default"}, "spec": spec});
        let claim = |spec| World::default().with(&object::<PersistentVolumeClaim>(of_spec(spec)));
        let volume = json!({"metadata": {"name": "a"}, "spec": {"volumeAttributesClassName": "fast"}});
        check(claim(json!({"volumeAttributesClassName": "fast"})), "");
        check(World::default().with(&object::<PersistentVolume>(volume)), "");
        check(claim(json!({"volumeAttributesClassName": "slow"})), "patch VolumeAttributesClass fast");
    }
}
