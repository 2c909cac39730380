//! What a PersistentVolume may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePersistentVolume and its updates)
//! Left out: the diff in the message about immutable fields; volumes inlined in attachments.

use api::field::Field;
use serde_json::{Value, json};

use crate::strategy::{
    persistent_volume_claim::validation::access_modes,
    validation::{
        Errors, IMMUTABLE, affinity, immutable, optional_one_of,
        resources::{class_name, positive_amount},
        same, volume_sources,
    },
};

/// The kinds of volumes, in upstream's order; each with the name under which its mistakes are reported.
const SOURCES: [(&str, &str); 22] = [
    ("hostPath", "hostPath"),
    ("gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephfs"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
    ("csi", "csi"),
];

/// The mistakes of a volume.
pub(super) fn volume(volume: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = volume.child("spec");
    access_modes(&spec.child("accessModes"), "", &mut errors);
    capacity(&spec.child("capacity"), &mut errors);
    let policy = spec.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        optional_one_of(&policy, &["Delete", "Recycle", "Retain"], &mut errors);
    }
    let node_affinity = spec.child("nodeAffinity");
    if !node_affinity.is_absent() {
        let required = node_affinity.child("required");
        if required.is_absent() {
            errors.push(required.required("must specify required node constraints"));
        } else {
            affinity::node_selector(&required, &mut errors);
        }
    }
    source(&spec, &mut errors);
    let path = spec.value["hostPath"]["path"].as_str().unwrap_or_default();
    let is_root = !path.is_empty() && path.chars().all(|character| character == '/');
    if is_root && policy.str() == "Recycle" {
        errors.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    class_name(&spec.child("storageClassName"), &mut errors);
    optional_one_of(&spec.child("volumeMode"), &["Block", "Filesystem"], &mut errors);
    let class = spec.child("volumeAttributesClassName");
    if !class.is_absent() {
        if class.is_empty() {
            errors.push(class.required("an empty string is disallowed"));
        }
        class_name(&class, &mut errors);
        if spec.child("csi").is_absent() {
            errors.push(spec.child("csi").required("has to be specified when using volumeAttributesClassName"));
        }
    }
    errors
}

fn capacity(capacity: &Field<'_>, errors: &mut Errors) {
    if capacity.is_empty() {
        errors.push(capacity.required(""));
    }
    if capacity.key("storage").is_absent() || capacity.len() > 1 {
        let value = if capacity.is_absent() { json!(null) } else { capacity.value.clone() };
        errors.push(api::field::FieldError { value, ..capacity.not_supported(&["storage"]) });
    }
    for (_, amount) in capacity.entries() {
        volume_sources::capacity(&amount, errors);
        positive_amount(&amount, errors);
    }
}

fn source(spec: &Field<'_>, errors: &mut Errors) {
    let mut found = false;
    for (name, shown) in SOURCES {
        let source = spec.child(name);
        if source.is_absent() {
            continue;
        }
        if std::mem::replace(&mut found, true) && name != "flexVolume" {
            errors.push(source.forbidden("may not specify more than 1 volume type"));
            continue;
        }
        volume_sources::persistent(name, &spec.alias(shown, source.value), errors);
        if name == "local" && spec.child("nodeAffinity").is_absent() {
            errors.push(spec.child("nodeAffinity").required("Local volume requires node affinity"));
        }
    }
    if !found {
        errors.push(spec.required("must specify a volume type"));
    }
}

/// The mistakes in a change: what the volume really is stays.
pub(super) fn update(volume: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::volume(volume);
    let spec = volume.child("spec");
    let before = &current["spec"];
    let mut sources: Vec<(Value, Value)> =
        SOURCES.iter().map(|(name, _)| (spec.value[name].clone(), before[name].clone())).collect();
    for (now, then) in &mut sources {
        // The secret for expanding a volume may be given late.
        if then.is_object() && then["controllerExpandSecretRef"].is_null() && now.is_object() {
            crate::strategy::keep(now, then, "controllerExpandSecretRef");
        }
    }
    if sources.iter().any(|(now, then)| !same(now, then)) {
        let place = spec.child("persistentvolumesource");
        errors.push(place.forbidden("spec.persistentvolumesource is immutable after creation\n"));
    }
    let mode = volume.alias("volumeMode", spec.value.get("volumeMode").unwrap_or(&Value::Null));
    immutable(&mode, &before["volumeMode"], &mut errors);
    let affinity = volume.alias("nodeAffinity", spec.value.get("nodeAffinity").unwrap_or(&Value::Null));
    if !before["nodeAffinity"].is_null() && !same(affinity.value, &before["nodeAffinity"]) {
        errors.push(affinity.invalid(format!("{IMMUTABLE}, except for updating from beta label to GA")));
    }
    let class = spec.child("volumeAttributesClassName");
    if !before["volumeAttributesClassName"].is_null() && class.is_absent() {
        errors.push(class.forbidden("update from non-nil value to nil is forbidden"));
    }
    errors
}
