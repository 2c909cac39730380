//! The volumes of a pod.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateVolumes, validateVolumeSource)
//! Left out: nothing of the volumes that 1.35 serves.

use std::collections::{BTreeMap, BTreeSet};

use api::{field::Field, names};
use serde_json::Value;

use super::{Errors, required_like, volume_sources};

/// The volumes without mistakes, by name: what mounts may refer to.
pub(crate) type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

/// Where each kind of volume stands, in the order in which a second one is noticed, with the name under which its
/// mistakes are reported.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephfs"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwardAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// Checks the volumes of a pod; `pod_name` is "" in a template.
pub(crate) fn volumes<'a>(volumes: &Field<'a>, pod_name: &str, errors: &mut Errors) -> Volumes<'a> {
    let mut fine = Volumes::new();
    let mut seen = BTreeSet::new();
    let items = volumes.value.as_array().map(Vec::as_slice).unwrap_or_default();
    let created: BTreeSet<String> = items
        .iter()
        .filter(|volume| !pod_name.is_empty() && !volume["ephemeral"].is_null())
        .map(|volume| format!("{pod_name}-{}", volume["name"].as_str().unwrap_or_default()))
        .collect();
    for (index, value) in items.iter().enumerate() {
        let volume = volumes.index(index);
        let name = volume.child("name");
        let mut mistakes = Errors::new();
        source(&volume, pod_name, &mut mistakes);
        required_like(&name, names::is_dns1123_label, &mut mistakes);
        let text = value["name"].as_str().unwrap_or_default();
        if seen.contains(text) {
            mistakes.push(name.duplicate_value(text));
        }
        if mistakes.is_empty() {
            seen.insert(text);
            fine.insert(text, value);
        }
        errors.extend(mistakes);
        let claim = volume.child("persistentVolumeClaim");
        let claim_name = claim.child("claimName");
        if created.contains(claim_name.str()) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(claim_name.invalid(detail));
        }
    }
    fine
}

fn source(volume: &Field<'_>, pod_name: &str, errors: &mut Errors) {
    let mut found = false;
    for (name, shown) in SOURCES {
        let source = volume.child(name);
        if source.is_absent() {
            continue;
        }
        if std::mem::replace(&mut found, true) {
            errors.push(source.forbidden("may not specify more than 1 volume type"));
            continue;
        }
        volume_sources::source(name, &volume.alias(shown, source.value), errors);
        if name == "iscsi" {
            volume_sources::iscsi_interface(volume, errors);
        }
        if name == "ephemeral" && !pod_name.is_empty() && !volume.child("name").is_empty() {
            let name = volume.child("name");
            let claim = format!("{pod_name}-{}", name.str());
            let mistakes = names::is_dns1123_subdomain(&claim);
            errors.extend(mistakes.into_iter().map(|wrong| name.invalid(format!("PVC name {claim:?}: {wrong}"))));
        }
    }
    if !found {
        errors.push(volume.required("must specify a volume type"));
    }
}
