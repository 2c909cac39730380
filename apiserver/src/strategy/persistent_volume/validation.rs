//! What a PersistentVolume may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePersistentVolume and its updates)
//! Left out: the diff in the message about immutable fields.

use api::field::Field;
use api::object::Object as _;
use serde_json::{Value, json};

use crate::strategy::{
    persistent_volume_claim::validation::access_modes,
    validation::{
        Errors, IMMUTABLE,
        affinity::node_selector,
        immutable, optional_one_of,
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

/// Where the spec of a volume stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Volume,
    /// In an attachment, for a volume of a pod that has become one of a CSI driver.
    Attachment,
}

/// The mistakes of a volume.
pub(super) fn volume(volume: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    check(&volume.child("spec"), Place::Volume, volume.value.name(), &mut errors);
    errors
}

/// The mistakes of a volume that stands in an attachment.
pub(crate) fn inlined(spec: &Field<'_>, errors: &mut Errors) {
    for name in ["claimRef", "capacity"] {
        let field = spec.child(name);
        if !field.is_empty() {
            errors.push(field.forbidden("may not be specified in the context of inline volumes"));
        }
    }
    let driver = spec.child("csi");
    if driver.is_absent() {
        errors.push(driver.required("has to be specified in the context of inline volumes"));
    }
    check(spec, Place::Attachment, "", errors);
}

fn check(spec: &Field<'_>, place: Place, volume_name: &str, errors: &mut Errors) {
    access_modes(&spec.child("accessModes"), "", errors);
    if place == Place::Volume {
        capacity(&spec.child("capacity"), errors);
    }
    let policy = spec.child("persistentVolumeReclaimPolicy");
    if place == Place::Volume && !policy.is_empty() {
        optional_one_of(&policy, &["Delete", "Recycle", "Retain"], errors);
    } else if !matches!(policy.str(), "" | "Retain") && place == Place::Attachment {
        errors.push(policy.forbidden("may only be Retain in the context of inline volumes"));
    }
    let affinity = spec.child("nodeAffinity");
    if !affinity.is_absent() {
        node_affinity(&affinity, place, errors);
    }
    source(spec, volume_name, errors);
    let path = spec.value["hostPath"]["path"].as_str().unwrap_or_default();
    let is_root = !path.is_empty() && path.chars().all(|character| character == '/');
    if is_root && policy.str() == "Recycle" {
        errors.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    let (class, mode) = (spec.child("storageClassName"), spec.child("volumeMode"));
    match place {
        Place::Volume => {
            class_name(&class, errors);
            optional_one_of(&mode, &["Block", "Filesystem"], errors);
        }
        Place::Attachment => {
            if !class.is_empty() {
                errors.push(class.forbidden("may not be specified in the context of inline volumes"));
            }
            if !mode.is_absent() && mode.str() != "Filesystem" {
                let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
                errors.push(mode.forbidden(detail));
            }
        }
    }
    attributes_class(spec, errors);
}

fn node_affinity(affinity: &Field<'_>, place: Place, errors: &mut Errors) {
    let required = affinity.child("required");
    if place == Place::Attachment {
        errors.push(affinity.forbidden("may not be specified in the context of inline volumes"));
    } else if required.is_absent() {
        errors.push(required.required("must specify required node constraints"));
    } else {
        node_selector(&required, errors);
    }
}

fn attributes_class(spec: &Field<'_>, errors: &mut Errors) {
    let class = spec.child("volumeAttributesClassName");
    if class.is_absent() {
        return;
    }
    if class.is_empty() {
        errors.push(class.required("an empty string is disallowed"));
    }
    class_name(&class, errors);
    if spec.child("csi").is_absent() {
        errors.push(spec.child("csi").required("has to be specified when using volumeAttributesClassName"));
    }
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

fn source(spec: &Field<'_>, volume_name: &str, errors: &mut Errors) {
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
        if name == "iscsi" {
            volume_sources::persistent_iscsi_interface(&source, volume_name, errors);
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
