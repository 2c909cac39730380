//! Where a container sees the pod's volumes.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateVolumeMounts, ValidateVolumeDevices)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::field::Field;
use serde_json::Value;

use super::{Errors, key_to_path, required, unsupported, volumes::Volumes};

/// Checks a container's mounts and devices against the pod's volumes.
pub(crate) fn mounts_and_devices(container: &Field<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let (mounts, devices) = (container.child("volumeMounts"), container.child("volumeDevices"));
    let mut paths = BTreeSet::new();
    for mount in mounts.items() {
        let (name, path) = (mount.child("name"), mount.child("mountPath"));
        let volume = volumes.get(name.str()).copied();
        required(&name, errors);
        if volume.is_none() {
            errors.push(missing(&name));
        }
        required(&path, errors);
        if !paths.insert(path.str().to_owned()) {
            errors.push(path.invalid_value(path.str(), "must be unique"));
        }
        if devices.items().any(|device| device.child("name").str() == name.str()) {
            errors.push(name.invalid("must not already exist in volumeDevices"));
        }
        if devices.items().any(|device| device.child("devicePath").str() == path.str()) {
            errors.push(path.invalid("must not already exist as a path in volumeDevices"));
        }
        sub_paths(&mounts, &mount, volume, errors);
        propagation(&mounts, &mount, container, errors);
        recursive_read_only(&mounts, &mount, errors);
    }
    for_devices(&devices, &mounts, volumes, errors);
}

/// The error for a name that no volume of the pod has; an absent one shows as "".
pub(crate) fn missing(name: &Field<'_>) -> api::field::FieldError {
    api::field::FieldError { value: name.str().into(), ..name.not_found() }
}

/// Upstream reports a bad sub-path at the list, not at its element.
fn sub_paths(mounts: &Field<'_>, mount: &Field<'_>, volume: Option<&Value>, errors: &mut Errors) {
    let (path, expression) = (mount.child("subPath"), mount.child("subPathExpr"));
    if volume.is_some_and(|volume| !volume["image"].is_null()) {
        for field in [&path, &expression].into_iter().filter(|field| !field.is_empty()) {
            errors.push(field.invalid("not allowed in image volume sources"));
        }
    }
    if !path.is_empty() {
        key_to_path::descending(&mounts.alias("subPath", path.value), errors);
    }
    if !expression.is_empty() {
        if !path.is_empty() {
            errors.push(expression.invalid("subPathExpr and subPath are mutually exclusive"));
        }
        key_to_path::descending(&mounts.alias("subPathExpr", expression.value), errors);
    }
}

fn propagation(mounts: &Field<'_>, mount: &Field<'_>, container: &Field<'_>, errors: &mut Errors) {
    const MODES: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
    let given = &mount.value["mountPropagation"];
    let at = mounts.alias("mountPropagation", given);
    if at.is_absent() {
        return;
    }
    if !MODES.contains(&at.str()) {
        errors.push(unsupported(&at, &MODES));
    }
    let privileged = container.value["securityContext"]["privileged"] == true;
    if at.str() == "Bidirectional" && !privileged {
        errors.push(at.forbidden("Bidirectional mount propagation is available only to privileged containers"));
    }
}

fn recursive_read_only(mounts: &Field<'_>, mount: &Field<'_>, errors: &mut Errors) {
    let at = mounts.alias("recursiveReadOnly", &mount.value["recursiveReadOnly"]);
    match at.str() {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.child("readOnly").bool() {
                errors.push(at.forbidden("may only be specified when readOnly is true"));
            }
            if !matches!(mount.child("mountPropagation").str(), "" | "None") {
                errors.push(at.forbidden("may only be specified when mountPropagation is None or not specified"));
            }
        }
        _ => errors.push(at.not_supported(&["Disabled", "Enabled", "IfPossible"])),
    }
}

fn for_devices(devices: &Field<'_>, mounts: &Field<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for device in devices.items() {
        let (name, path) = (device.child("name"), device.child("devicePath"));
        required(&name, errors);
        if names.contains(name.str()) {
            errors.push(name.invalid("must be unique"));
        }
        match volumes.get(name.str()) {
            None => errors.push(missing(&name)),
            Some(volume) if volume["persistentVolumeClaim"].is_null() && volume["ephemeral"].is_null() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(name.invalid(detail));
            }
            Some(_) => {}
        }
        required(&path, errors);
        if paths.contains(path.str()) {
            errors.push(path.invalid("must be unique"));
        }
        if path.str().split('/').any(|step| step == "..") {
            errors.push(path.invalid("can not contain backsteps ('..')"));
        } else {
            paths.insert(path.str().to_owned());
        }
        if mounts.items().any(|mount| mount.child("name").str() == name.str()) {
            errors.push(name.invalid("must not already exist in volumeMounts"));
        }
        if mounts.items().any(|mount| mount.child("mountPath").str() == path.str()) {
            errors.push(path.invalid("must not already exist as a path in volumeMounts"));
        }
        if !name.is_empty() {
            names.insert(name.str().to_owned());
        }
    }
}
