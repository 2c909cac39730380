//! Each kind of volume: what a source must say. Pods and PersistentVolumes share most of them.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validate*VolumeSource)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::{
    Errors, env, in_range, key_to_path, looks_like, optional_like, optional_one_of, required, required_like, resources,
    unsupported,
};

/// Checks the source of kind `name` that stands at `source`.
pub(crate) fn source(name: &str, source: &Field<'_>, errors: &mut Errors) {
    match name {
        "emptyDir" => empty_dir(source, errors),
        "hostPath" => host_path(source, errors),
        "gitRepo" => {
            required(&source.child("repository"), errors);
            key_to_path::descending(&source.child("directory"), errors);
        }
        "gcePersistentDisk" => cloud_disk(source, "pdName", errors),
        "awsElasticBlockStore" => cloud_disk(source, "volumeID", errors),
        "secret" => keyed(source, "secretName", errors),
        "configMap" => keyed(source, "name", errors),
        "nfs" => nfs(source, errors),
        "iscsi" => iscsi(source, Iscsi::OfPod, errors),
        "glusterfs" => all_required(source, &["endpoints", "path"], errors),
        "flocker" => flocker(source, errors),
        "persistentVolumeClaim" => required(&source.child("claimName"), errors),
        "rbd" => all_required(source, &["monitors", "image"], errors),
        "cinder" | "portworxVolume" => required(&source.child("volumeID"), errors),
        "cephfs" => required(&source.child("monitors"), errors),
        "quobyte" => quobyte(source, errors),
        "downwardAPI" => {
            key_to_path::file_mode(&source.child("defaultMode"), errors);
            for file in source.child("items").items() {
                downward_file(source, &file, errors);
            }
        }
        "fc" => fibre_channel(source, errors),
        "flexVolume" => flex_volume(source, errors),
        "azureFile" => all_required(source, &["secretName", "shareName"], errors),
        "vsphereVolume" => required(&source.child("volumePath"), errors),
        "photonPersistentDisk" => required(&source.child("pdID"), errors),
        "azureDisk" => azure_disk(source, errors),
        "storageos" => {
            required_like(&source.child("volumeName"), names::is_dns1123_label, errors);
            optional_like(&source.child("volumeNamespace"), names::is_dns1123_label, errors);
        }
        "projected" => projected(source, errors),
        "scaleIO" => all_required(source, &["gateway", "system", "volumeName"], errors),
        "csi" => csi(source, errors),
        "ephemeral" => ephemeral(source, errors),
        "image" => image(source, errors),
        _ => {}
    }
}

fn all_required(source: &Field<'_>, fields: &[&str], errors: &mut Errors) {
    for name in fields {
        required(&source.child(name), errors);
    }
}

fn empty_dir(source: &Field<'_>, errors: &mut Errors) {
    let limit = source.child("sizeLimit");
    if !limit.is_absent() && resources::quantity(&limit).milli_value() < 0 {
        errors.push(limit.forbidden("SizeLimit field must be a valid resource quantity"));
    }
}

/// Checks a path of the host.
pub(crate) fn host_path(source: &Field<'_>, errors: &mut Errors) {
    const TYPES: [&str; 8] =
        ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = source.child("path");
    if path.is_empty() {
        errors.push(path.required(""));
        return;
    }
    key_to_path::no_backsteps(&path, errors);
    optional_one_of(&source.child("type"), &TYPES, errors);
}

fn cloud_disk(source: &Field<'_>, name: &str, errors: &mut Errors) {
    required(&source.child(name), errors);
    let partition = source.child("partition");
    if partition.i64().is_some_and(|number| !(0..=255).contains(&number)) {
        errors.push(partition.invalid("must be between 1 and 255, inclusive"));
    }
}

fn keyed(source: &Field<'_>, name: &str, errors: &mut Errors) {
    required(&source.child(name), errors);
    key_to_path::file_mode(&source.child("defaultMode"), errors);
    for item in source.child("items").items() {
        key_to_path::key_to_path(&item, errors);
    }
}

fn nfs(source: &Field<'_>, errors: &mut Errors) {
    all_required(source, &["server", "path"], errors);
    let path = source.child("path");
    if !path.str().starts_with('/') {
        errors.push(path.invalid_value(path.str(), "must be an absolute path"));
    }
}

/// Which source of iSCSI: volumes of pods say more of what is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Iscsi {
    OfPod,
    Persistent,
}

fn iscsi(source: &Field<'_>, whose: Iscsi, errors: &mut Errors) {
    required(&source.child("targetPortal"), errors);
    let iqn = source.child("iqn");
    if iqn.is_empty() {
        errors.push(iqn.required(""));
    } else {
        iscsi_name(&iqn, whose, errors);
    }
    in_range(&source.child("lun"), 0, 255, errors);
    let authenticated = source.child("chapAuthDiscovery").bool() || source.child("chapAuthSession").bool();
    let secret = source.child("secretRef");
    if authenticated && secret.is_absent() {
        errors.push(secret.required(""));
    }
    if whose == Iscsi::Persistent && !secret.is_absent() {
        required(&secret.child("name"), errors);
    }
    let initiator = source.child("initiatorName");
    if !initiator.is_absent() {
        iscsi_name(&source.alias("initiatorname", initiator.value), whose, errors);
    }
}

/// A name of one of the three forms, `iqn.2001-04.com.example:disk`, `eui.` and 16 or `naa.` and 32 letters or digits.
fn iscsi_name(name: &Field<'_>, whose: Iscsi, errors: &mut Errors) {
    const EUI_LENGTH: usize = 16;
    const NAA_LENGTH: usize = 32;
    // Upstream's patterns take any character for the dot after `eui` and `naa`.
    let numbered = |length: usize| {
        let rest = name.str()[3..].chars().skip(1).collect::<String>();
        rest.len() == length && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let (fine, detail) = match name.str().get(..3) {
        Some("iqn") => (is_qualified_iscsi_name(name.str()), "must be valid format"),
        Some("eui") => (numbered(EUI_LENGTH), "must be valid format"),
        Some("naa") => (numbered(NAA_LENGTH), "must be valid format"),
        _ if whose == Iscsi::OfPod => (false, "must be valid format starting with iqn, eui, or naa"),
        _ => (false, "must be valid format"),
    };
    if !fine {
        errors.push(name.invalid(detail));
    }
}

/// Whether the text ends in `iqn.`, a year and a month, an authority, a colon and a name.
fn is_qualified_iscsi_name(text: &str) -> bool {
    let is_one = |text: &str| {
        let bytes = text.as_bytes();
        let digits = |from: usize, to: usize| bytes[from..to].iter().all(u8::is_ascii_digit);
        if bytes.len() < 8 || !digits(0, 4) || bytes[4] != b'-' || !digits(5, 7) || bytes[7] != b'.' {
            return false;
        }
        let Some((authority, name)) = text.get(8..).and_then(|rest| rest.split_once(':')) else { return false };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        !authority.is_empty()
            && authority.bytes().all(letter)
            && !name.is_empty()
            && !name.contains([',', ';', '*', '&', '$', '|', ' ', '\t', '\n', '\r', '\u{c}'])
    };
    text.match_indices("iqn.").any(|(at, prefix)| is_one(&text[at + prefix.len()..]))
}

/// With an initiator of its own, an iSCSI interface is named after the volume and the portal.
const LONGEST_INTERFACE: usize = 64;
const INTERFACE_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// Whether the interface that `iscsi` has for this volume would be too long.
fn has_long_interface(iscsi: &Value, volume_name: &str) -> bool {
    let portal = iscsi["targetPortal"].as_str().unwrap_or_default();
    !iscsi["initiatorName"].is_null() && volume_name.len() + 1 + portal.len() > LONGEST_INTERFACE
}

/// Checks the name of a pod's volume against its iSCSI source, if that is what it has.
pub(crate) fn iscsi_interface(volume: &Field<'_>, errors: &mut Errors) {
    let name = volume.child("name");
    if has_long_interface(&volume.value["iscsi"], name.str()) {
        errors.push(name.invalid_value(name.str(), INTERFACE_TOO_LONG));
    }
}

/// As [`iscsi_interface`], for a PersistentVolume of this name.
pub(crate) fn persistent_iscsi_interface(source: &Field<'_>, volume_name: &str, errors: &mut Errors) {
    if has_long_interface(source.value, volume_name) {
        let portal = source.child("targetPortal");
        errors.push(source.alias("targetportal", portal.value).invalid_value(portal.str(), INTERFACE_TOO_LONG));
    }
}

fn flocker(source: &Field<'_>, errors: &mut Errors) {
    let (name, uuid) = (source.child("datasetName"), source.child("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(source.required("one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(source.invalid_value("resource", detail));
    }
    if name.str().contains('/') {
        errors.push(name.invalid("must not contain '/'"));
    }
}

fn quobyte(source: &Field<'_>, errors: &mut Errors) {
    const ADDRESSES: &str = "must be a host:port pair or multiple pairs separated by commas";
    const LONGEST_TENANT: usize = 64;
    let (registry, tenant) = (source.child("registry"), source.child("tenant"));
    if registry.is_empty() {
        errors.push(registry.required(ADDRESSES));
    } else if tenant.str().len() > LONGEST_TENANT {
        errors.push(tenant.required("must be a UUID and may not exceed a length of 64 characters"));
    } else {
        let wrong = registry.str().split(',').filter(|pair| !is_host_and_port(pair));
        errors.extend(wrong.map(|_| registry.invalid(ADDRESSES)));
    }
    required(&source.child("volume"), errors);
}

/// `host:port` or `[host]:port`, either part of which may be empty; only in brackets may a host have colons.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once("]:") {
            Some(parts) => parts,
            None => return false,
        },
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port),
            _ => return false,
        },
    };
    !host.contains(['[', ']']) && !port.contains(['[', ']', ':'])
}

fn fibre_channel(source: &Field<'_>, errors: &mut Errors) {
    let (targets, ids, lun) = (source.child("targetWWNs"), source.child("wwids"), source.child("lun"));
    if targets.is_empty() && ids.is_empty() {
        errors.push(targets.required("must specify either targetWWNs or wwids, but not both"));
    }
    if !targets.is_empty() && !ids.is_empty() {
        errors.push(targets.invalid("targetWWNs and wwids can not be specified simultaneously"));
    }
    if !targets.is_empty() {
        if lun.is_absent() {
            errors.push(lun.required("lun is required if targetWWNs is specified"));
        }
        in_range(&lun, 0, 255, errors);
    }
}

fn flex_volume(source: &Field<'_>, errors: &mut Errors) {
    required(&source.child("driver"), errors);
    let options = source.child("options");
    for (key, _) in options.entries() {
        let namespace = format!(".{}", key.split('/').next().unwrap_or_default().to_ascii_lowercase());
        if namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(options.key(key).invalid_value(key, detail));
        }
    }
}

fn azure_disk(source: &Field<'_>, errors: &mut Errors) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    all_required(source, &["diskName", "diskURI"], errors);
    optional_one_of(&source.child("cachingMode"), &["None", "ReadOnly", "ReadWrite"], errors);
    let (kind, uri) = (source.child("kind"), source.child("diskURI"));
    optional_one_of(&kind, &["Dedicated", "Managed", "Shared"], errors);
    let (prefix, form) = if kind.str() == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !kind.is_absent() && !uri.str().starts_with(prefix) {
        errors.push(unsupported(&uri, &[form]));
    }
}

/// Upstream reports a file of a downward API volume at the volume, not at the file.
fn downward_file(source: &Field<'_>, file: &Field<'_>, errors: &mut Errors) {
    let path = source.alias("path", file.value.get("path").unwrap_or(&Value::Null));
    required(&path, errors);
    key_to_path::non_reserved(&path, errors);
    let field = source.alias("fieldRef", &file.value["fieldRef"]);
    let resource = source.alias("resourceFieldRef", &file.value["resourceFieldRef"]);
    match (field.is_absent(), resource.is_absent()) {
        (false, both) => {
            env::field_selector(&field, &env::VOLUME_FIELDS, errors);
            if !both {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(source.invalid_value("resource", detail));
            }
        }
        (true, false) => env::resource_selector(&resource, env::Place::Volume, errors),
        (true, true) => errors.push(source.required("one of fieldRef and resourceFieldRef is required")),
    }
    key_to_path::file_mode(&source.alias("mode", &file.value["mode"]), errors);
}

fn projected(volume: &Field<'_>, errors: &mut Errors) {
    key_to_path::file_mode(&volume.child("defaultMode"), errors);
    let mut paths = BTreeSet::new();
    for source in volume.child("sources").items() {
        let mut count = 0;
        for name in ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"] {
            let part = source.child(name);
            if part.is_absent() {
                continue;
            }
            count += 1;
            let owner = part.child("name").str().to_owned();
            let mut claim = |path: &str, value: &str, errors: &mut Errors| {
                if !path.is_empty() && !paths.insert(path.to_owned()) {
                    errors.push(volume.invalid_value(value, "conflicting duplicate paths"));
                }
            };
            match name {
                "secret" | "configMap" => {
                    required(&part.child("name"), errors);
                    for item in part.child("items").items() {
                        key_to_path::key_to_path(&item, errors);
                        claim(item.child("path").str(), &owner, errors);
                    }
                }
                "downwardAPI" => {
                    for file in part.child("items").items() {
                        downward_file(volume, &file, errors);
                        claim(file.child("path").str(), file.child("path").str(), errors);
                    }
                }
                "serviceAccountToken" => {
                    token(volume, &part, errors);
                    claim(part.child("path").str(), part.child("path").str(), errors);
                }
                _ => {
                    required(&part.child("path"), errors);
                    key_to_path::non_reserved(&part.child("path"), errors);
                    claim(part.child("path").str(), part.child("path").str(), errors);
                }
            }
        }
        if count > 1 {
            errors.push(source.forbidden("may not specify more than 1 volume type"));
        }
    }
}

fn token(volume: &Field<'_>, token: &Field<'_>, errors: &mut Errors) {
    const SHORTEST_SECONDS: i64 = 600;
    const LONGEST_SECONDS: i64 = 1 << 32;
    let expiration = token.child("expirationSeconds");
    match expiration.i64() {
        Some(seconds) if seconds < SHORTEST_SECONDS => {
            errors.push(expiration.invalid("may not specify a duration less than 10 minutes"));
        }
        Some(seconds) if seconds > LONGEST_SECONDS => {
            errors.push(expiration.invalid("may not specify a duration larger than 2^32 seconds"));
        }
        _ => {}
    }
    let path = volume.alias("path", token.value.get("path").unwrap_or(&Value::Null));
    if path.is_empty() {
        errors.push(path.required(""));
    } else {
        key_to_path::non_reserved(&path, errors);
    }
}

/// Checks the name of a CSI driver.
pub(crate) fn csi_driver_name(field: &Field<'_>, errors: &mut Errors) {
    const MAX_LENGTH: usize = 63;
    required(field, errors);
    if field.str().len() > MAX_LENGTH {
        errors.push(field.too_long(MAX_LENGTH));
    }
    let lower = field.str().to_ascii_lowercase();
    let mistakes = names::is_dns1123_subdomain(&lower);
    errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(field.str(), wrong)));
}

fn csi(source: &Field<'_>, errors: &mut Errors) {
    csi_driver_name(&source.child("driver"), errors);
    let secret = source.child("nodePublishSecretRef");
    if !secret.is_absent() {
        required_like(&secret.child("name"), names::is_dns1123_subdomain, errors);
    }
}

fn ephemeral(source: &Field<'_>, errors: &mut Errors) {
    let template = source.child("volumeClaimTemplate");
    if template.is_absent() {
        errors.push(template.required(""));
        return;
    }
    let metadata = template.child("metadata");
    crate::operations::metadata::validate_labels(&metadata.child("labels"), errors);
    for (name, part) in metadata.value.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "labels" | "annotations") && !part.is_null() {
            errors.push(metadata.child(name).forbidden("cannot be set"));
        }
    }
    crate::strategy::persistent_volume_claim::validation::spec(&template.child("spec"), errors);
}

fn image(source: &Field<'_>, errors: &mut Errors) {
    required(&source.child("reference"), errors);
    let policy = source.child("pullPolicy");
    super::required_one_of(&policy, &["Always", "IfNotPresent", "Never"], errors);
}

/// Checks a reference to a Secret in any namespace, as PersistentVolumes have them.
pub(crate) fn secret_reference(reference: &Field<'_>, errors: &mut Errors) {
    if !reference.is_absent() {
        required_like(&reference.child("name"), names::is_dns1123_subdomain, errors);
        required_like(&reference.child("namespace"), names::is_dns1123_label, errors);
    }
}

/// Checks the sources that only PersistentVolumes have, or that say more there.
pub(crate) fn persistent(name: &str, source: &Field<'_>, errors: &mut Errors) {
    match name {
        "local" => {
            let path = source.child("path");
            required(&path, errors);
            key_to_path::no_backsteps(&path, errors);
        }
        "csi" => {
            csi_driver_name(&source.child("driver"), errors);
            required(&source.child("volumeHandle"), errors);
            let secrets = [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
            ];
            for secret in secrets {
                secret_reference(&source.child(secret), errors);
            }
        }
        "glusterfs" => {
            self::source(name, source, errors);
            let namespace = source.child("endpointsNamespace");
            if namespace.value == "" {
                let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                errors.push(namespace.invalid(detail));
            } else if !namespace.is_absent() {
                looks_like(&namespace, names::is_dns1123_label, errors);
            }
        }
        "azureFile" => {
            self::source(name, source, errors);
            let namespace = source.child("secretNamespace");
            if namespace.value == "" {
                errors.push(namespace.required(""));
            }
        }
        "iscsi" => iscsi(source, Iscsi::Persistent, errors),
        _ => self::source(name, source, errors),
    }
}

/// An amount of storage that must not be negative: a volume's capacity, a claim's.
pub(crate) fn capacity(field: &Field<'_>, errors: &mut Errors) {
    let amount = resources::quantity(field);
    if amount.value() < 0 {
        errors.push(field.invalid_value(amount.value(), "must be a valid resource quantity"));
    }
}
