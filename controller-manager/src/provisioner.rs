//! Makes a volume on a node's own disk for each claim of the class `local-path`, and deletes it when it is released.
//!
//! The volume is only a promise here: the node makes the directory when a pod mounts it, and removes it before the
//! volume's finalizer goes (`api::local_path`, docs/local-volumes.md).
//!
//! Upstream: sig-storage-lib-external-provisioner, rancher/local-path-provisioner
//! Left out: access by several nodes, raw block volumes, clones and snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::local_path;
use client::{Cache, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference,
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::volume_binder::{SELECTED_NODE, STORAGE_PROVISIONER, annotation, class_of, volume_name};

const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// What is decided from: a claim that may need a volume.
pub struct Input {
    pub claim: Arc<PersistentVolumeClaim>,
    pub class: Option<Arc<StorageClass>>,
    /// The node that the scheduler selected, if it exists.
    pub node: Option<Arc<Node>>,
    /// The directory on the node below which volumes lie.
    pub directory: Arc<str>,
    /// The volume of the name that the claim's one has, if it is there already.
    pub volume: Option<Arc<PersistentVolume>>,
}

/// The name of the volume that is made for a claim: asking twice makes one.
pub fn name_of_volume(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.metadata.uid.as_deref().unwrap_or(""))
}

/// Makes the volume when the claim has a node and no volume.
pub fn plan(input: &Input) -> Plan {
    let claim = input.claim.as_ref();
    let is_ours = annotation(claim, STORAGE_PROVISIONER) == Some(local_path::PROVISIONER);
    let is_done = !volume_name(claim).is_empty() || input.volume.is_some();
    let Some(class) = input.class.as_ref().filter(|_| is_ours && !is_done) else { return Plan::nothing() };
    if claim.metadata.deletion_timestamp.is_some() {
        return Plan::nothing();
    }
    if let Some(why) = refusal(input) {
        let message = format!("failed to provision volume with StorageClass {:?}: {why}", name(&class.metadata));
        return vec![actions::warning(claim, "ProvisioningFailed", message)].into();
    }
    let Some(node) = &input.node else { return Plan::nothing() };
    let volume = volume(claim, class, node, &input.directory);
    let message = format!("Successfully provisioned volume {}", name(&volume.metadata));
    vec![Action::create(&volume), actions::normal(claim, "ProvisioningSucceeded", message)].into()
}

/// Why a directory on one node can't be what the claim asks for.
fn refusal(input: &Input) -> Option<String> {
    let spec = input.claim.spec.as_ref()?;
    let mut modes = spec.access_modes.iter().flatten();
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some("a local path is no block device".into());
    }
    if let Some(mode) = modes.find(|mode| !matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod")) {
        return Some(format!("a local path is on one node and can't be {mode}"));
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Some("a local path begins empty".into());
    }
    match annotation(&input.claim, SELECTED_NODE) {
        None => Some("a local path needs a node: set volumeBindingMode WaitForFirstConsumer".into()),
        Some(node) if input.node.is_none() => Some(format!("node {node:?} not found")),
        Some(_) => None,
    }
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or("")
}

fn volume(claim: &PersistentVolumeClaim, class: &StorageClass, node: &Node, directory: &str) -> PersistentVolume {
    let asked = claim.spec.clone().unwrap_or_default();
    let requests = asked.resources.and_then(|resources| resources.requests).unwrap_or_default();
    let name_of_volume = name_of_volume(claim);
    let path = format!("{directory}/{name_of_volume}");
    let label = (local_path::VOLUME_LABEL.to_owned(), name(&node.metadata).to_owned());
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name_of_volume),
            annotations: Some(BTreeMap::from([(PROVISIONED_BY.to_owned(), local_path::PROVISIONER.to_owned())])),
            labels: Some(BTreeMap::from([label])),
            finalizers: Some(vec![local_path::FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: asked.access_modes,
            capacity: Some(requests.into_iter().filter(|(resource, _)| resource == "storage").collect()),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".into()),
                kind: Some("PersistentVolumeClaim".into()),
                namespace: claim.metadata.namespace.clone(),
                name: claim.metadata.name.clone(),
                uid: claim.metadata.uid.clone(),
                ..ObjectReference::default()
            }),
            local: Some(LocalVolumeSource { path, fs_type: None }),
            mount_options: class.mount_options.clone(),
            node_affinity: Some(on_node(node)),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone().or(Some("Delete".into())),
            storage_class_name: class.metadata.name.clone(),
            volume_mode: asked.volume_mode,
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

fn on_node(node: &Node) -> VolumeNodeAffinity {
    let labels = node.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get(local_path::NODE_LABEL).cloned());
    let requirement = NodeSelectorRequirement {
        key: local_path::NODE_LABEL.into(),
        operator: "In".into(),
        values: Some(vec![label.unwrap_or_else(|| name(&node.metadata).to_owned())]),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![requirement]), match_fields: None };
    VolumeNodeAffinity { required: Some(NodeSelector { node_selector_terms: vec![term] }) }
}

/// What is decided from: a volume that may be released.
pub struct ReleaseInput {
    pub volume: Arc<PersistentVolume>,
    pub nodes: Vec<Arc<Node>>,
}

/// Deletes a released volume of ours; and where its node is gone for good, says in the node's place that the
/// directory is gone.
pub fn plan_release(input: &ReleaseInput) -> Plan {
    let volume = input.volume.as_ref();
    let annotations = volume.metadata.annotations.as_ref();
    let provisioner = annotations.and_then(|annotations| annotations.get(PROVISIONED_BY));
    if provisioner.map(String::as_str) != Some(local_path::PROVISIONER) {
        return Plan::nothing();
    }
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    if volume.metadata.deletion_timestamp.is_none() {
        let due = released && policy == Some("Delete");
        return due.then(|| Action::delete(volume)).into_iter().collect::<Vec<_>>().into();
    }
    let finalizers: Vec<&String> = volume.metadata.finalizers.iter().flatten().collect();
    let is_held = finalizers.iter().any(|finalizer| *finalizer == local_path::FINALIZER);
    if !is_held || input.nodes.iter().any(|node| is_on(volume, node)) {
        return Plan::nothing();
    }
    let kept: Vec<&String> = finalizers.into_iter().filter(|it| *it != local_path::FINALIZER).collect();
    vec![actions::merge_patch_at_version(volume, json!({"metadata": {"finalizers": kept}}))].into()
}

fn is_on(volume: &PersistentVolume, node: &Node) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    affinity == Some(&on_node(node))
}

/// Makes volumes for claims.
pub struct Provisioner {
    directory: Arc<str>,
    claims: Cache<PersistentVolumeClaim>,
    classes: Cache<StorageClass>,
    nodes: Cache<Node>,
    volumes: Cache<PersistentVolume>,
}

/// Deletes volumes that are released.
pub struct Releaser {
    volumes: Cache<PersistentVolume>,
    nodes: Cache<Node>,
}

/// The provisioner's own identity.
const SERVICE_ACCOUNT: &str = "local-path-provisioner";

impl Provisioner {
    pub fn new(informers: &Informers, directory: &str) -> Self {
        Self {
            directory: directory.into(),
            claims: informers.of(),
            classes: informers.of(),
            nodes: informers.of(),
            volumes: informers.of(),
        }
    }
}

impl Controller for Provisioner {
    const NAME: &'static str = "local-path-provisioner";
    type Key = ObjectKey;
    type Input = Input;

    fn service_account() -> String {
        SERVICE_ACCOUNT.into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        Watches::new().objects(&self.claims).reads(&self.classes).reads(&self.nodes).reads(&self.volumes)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let Some(claim) = self.claims.get(key) else { return Ok(None) };
        let class = self.classes.get(&ObjectKey::cluster(class_of(&claim)));
        let node = annotation(&claim, SELECTED_NODE).and_then(|node| self.nodes.get(&ObjectKey::cluster(node)));
        let volume = self.volumes.get(&ObjectKey::cluster(name_of_volume(&claim)));
        Ok(Some(Input { claim, class, node, volume, directory: self.directory.clone() }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

impl Releaser {
    pub fn new(informers: &Informers) -> Self {
        Self { volumes: informers.of(), nodes: informers.of() }
    }
}

impl Controller for Releaser {
    const NAME: &'static str = "local-path-releaser";
    type Key = ObjectKey;
    type Input = ReleaseInput;

    fn service_account() -> String {
        SERVICE_ACCOUNT.into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        let volumes = self.volumes.clone();
        Watches::new().objects(&self.volumes).map(&self.nodes, move |change| {
            let all = if change.after.is_none() { volumes.list() } else { Vec::new() };
            all.iter().map(|volume| ObjectKey::of(volume.as_ref())).collect::<Vec<_>>()
        })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<ReleaseInput>, kube::Error> {
        Ok(self.volumes.get(key).map(|volume| ReleaseInput { volume, nodes: self.nodes.list() }))
    }

    fn plan(input: &ReleaseInput, _now: Timestamp) -> Plan {
        plan_release(input)
    }
}

#[cfg(test)]
mod tests;
