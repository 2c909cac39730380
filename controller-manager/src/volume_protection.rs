//! Keeps claims that pods use, and volumes that claims are bound to, from vanishing: a finalizer holds them until
//! nobody needs them.
//!
//! Upstream: pkg/controller/volume/{pvcprotection/pvc_protection_controller.go,pvprotection/pv_protection_controller.go}
//! Left out: nothing.

use std::sync::Arc;

use client::{Cache, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::pods;

pub const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
pub const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

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
}
