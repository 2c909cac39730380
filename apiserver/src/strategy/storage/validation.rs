//! What the kinds of storage.k8s.io may be, and what of them may change.
//!
//! Upstream: pkg/apis/storage/validation/validation.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::{
    persistent_volume::validation::inlined,
    validation::{
        Errors, IMMUTABLE, NOT_NEGATIVE, immutable, in_range, looks_like, not_negative, optional_one_of, required,
        required_one_of, same, selectors::label_selector, volume_sources::csi_driver_name,
    },
};

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 << 10;
const MAX_ATTACHMENT_METADATA: usize = 256 << 10;
const MAX_ERROR_MESSAGE: usize = 1 << 10;

/// The mistakes of a StorageClass.
pub(super) fn class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let provisioner = class.child("provisioner");
    if provisioner.is_empty() {
        errors.push(provisioner.required(""));
    } else {
        let lower = provisioner.str().to_ascii_lowercase();
        let mistakes = names::is_qualified_name(&lower);
        errors.extend(mistakes.into_iter().map(|wrong| provisioner.invalid(wrong)));
    }
    parameters(&class.child("parameters"), &mut errors);
    let policy = class.child("reclaimPolicy");
    if !policy.is_empty() {
        optional_one_of(&policy, &["Delete", "Retain"], &mut errors);
    }
    required_one_of(&class.child("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"], &mut errors);
    for term in class.child("allowedTopologies").items() {
        let mut keys = BTreeSet::new();
        for expression in term.child("matchLabelExpressions").items() {
            topology(&expression, &mut errors);
            let key = expression.child("key");
            if !keys.insert(key.str().to_owned()) {
                errors.push(key.duplicate_value(key.str()));
            }
        }
    }
    errors
}

fn parameters(parameters: &Field<'_>, errors: &mut Errors) {
    if parameters.len() > MAX_PARAMETERS {
        let detail = format!("may not be more than {MAX_PARAMETERS} bytes");
        let error = parameters.too_long(MAX_PARAMETERS);
        errors.push(api::field::FieldError { detail, ..error });
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            errors.push(parameters.invalid_value(key, "field can not be empty."));
        }
        size += key.len() + value.str().len();
    }
    if size > MAX_PARAMETER_BYTES {
        errors.push(parameters.too_long(MAX_PARAMETER_BYTES));
    }
}

fn topology(expression: &Field<'_>, errors: &mut Errors) {
    let values = expression.child("values");
    if values.is_empty() {
        errors.push(values.required(""));
    }
    let mut seen = BTreeSet::new();
    for value in values.items() {
        if !seen.insert(value.str().to_owned()) {
            errors.push(value.duplicate());
        }
    }
    looks_like(&expression.child("key"), names::is_qualified_name, errors);
}

/// The mistakes in a change of a StorageClass: what provisions stays.
pub(super) fn class_update(class: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::class(class);
    for name in ["parameters", "provisioner", "reclaimPolicy"] {
        let field = class.child(name);
        if !same(field.value, &current[name]) {
            errors.push(field.forbidden(format!("updates to {name} are forbidden.")));
        }
    }
    immutable(&class.child("volumeBindingMode"), &current["volumeBindingMode"], &mut errors);
    errors
}

/// The mistakes of a CSIDriver.
pub(super) fn driver(driver: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let metadata = driver.child("metadata");
    csi_driver_name(&metadata.child("name"), &mut errors);
    let spec = driver.child("spec");
    for name in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        let field = spec.child(name);
        if field.is_absent() {
            errors.push(field.required(""));
        }
    }
    let policy = spec.child("fsGroupPolicy");
    required_one_of(&policy, &["File", "None", "ReadWriteOnceWithFSType"], &mut errors);
    let modes = spec.child("volumeLifecycleModes");
    for mode in modes.items() {
        if !matches!(mode.str(), "Ephemeral" | "Persistent") {
            let error = mode.not_supported(&["Ephemeral", "Persistent"]);
            errors.push(api::field::FieldError { field: modes.path(), ..error });
        }
    }
    let mut audiences = BTreeSet::new();
    for request in spec.child("tokenRequests").items() {
        let audience = request.child("audience");
        if !audiences.insert(audience.str().to_owned()) {
            errors.push(audience.duplicate_value(audience.str()));
        }
    }
    errors
}

/// The mistakes in a change of a CSIDriver: how volumes are attached stays.
pub(super) fn driver_update(driver: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::driver(driver);
    let spec = driver.child("spec");
    for name in ["attachRequired", "volumeLifecycleModes"] {
        immutable(&spec.child(name), &current["spec"][name], &mut errors);
    }
    errors
}

/// The mistakes of a CSINode.
pub(super) fn node(node: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let mut names = BTreeSet::new();
    let spec = node.child("spec");
    for driver in spec.child("drivers").items() {
        let (name, id) = (driver.child("name"), driver.child("nodeID"));
        csi_driver_name(&name, &mut errors);
        if id.is_empty() {
            errors.push(id.required(""));
        }
        let allocatable = driver.child("allocatable");
        not_negative(&allocatable.child("count"), &mut errors);
        if !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
        let mut keys = BTreeSet::new();
        for key in driver.child("topologyKeys").items() {
            if !keys.insert(key.str().to_owned()) {
                errors.push(key.duplicate());
            }
            looks_like(&key, names::is_qualified_name, &mut errors);
        }
    }
    errors
}

/// The mistakes in a change of a CSINode: a driver comes or goes, but stays what it is.
pub(super) fn node_update(node: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::node(node);
    let spec = node.child("spec");
    for driver in spec.child("drivers").items() {
        let mut before = current["spec"]["drivers"].as_array().into_iter().flatten();
        let before = before.find(|each| each["name"] == driver.value["name"]);
        let fixed = |value: &Value| {
            let mut value = value.clone();
            value["allocatable"] = Value::Null;
            value
        };
        if before.is_some_and(|before| !same(&fixed(before), &fixed(driver.value))) {
            errors.push(node.alias("CSINodeDriver", driver.value).invalid(IMMUTABLE));
        }
    }
    errors
}

/// The mistakes of a new VolumeAttachment. In v1, the attacher and the volume must have names that fit.
pub(super) fn new_attachment(attachment: &Field<'_>) -> Errors {
    let mut errors = self::attachment(attachment);
    let spec = attachment.child("spec");
    let source = spec.child("source");
    let volume = source.child("persistentVolumeName");
    csi_driver_name(&spec.child("attacher"), &mut errors);
    if !volume.is_absent() {
        looks_like(&volume, names::is_dns1123_subdomain, &mut errors);
    }
    errors
}

fn attachment(attachment: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = attachment.child("spec");
    required(&spec.child("attacher"), &mut errors);
    let source = spec.child("source");
    let given = ["inlineVolumeSpec", "persistentVolumeName"].map(|name| !source.child(name).is_absent());
    match given {
        [false, false] => {
            errors.push(source.required("must specify exactly one of inlineVolumeSpec and persistentVolumeName"));
        }
        [true, true] => {
            errors.push(source.forbidden("must specify exactly one of inlineVolumeSpec and persistentVolumeName"));
        }
        [_, true] => {
            let name = source.child("persistentVolumeName");
            if name.is_empty() {
                errors.push(name.required("must specify non empty persistentVolumeName"));
            }
        }
        [true, false] => inlined(&source.child("inlineVolumeSpec"), &mut errors),
    }
    looks_like(&spec.child("nodeName"), names::is_dns1123_subdomain, &mut errors);
    attachment_status(&attachment.child("status"), &mut errors);
    errors
}

fn attachment_status(status: &Field<'_>, errors: &mut Errors) {
    let metadata = status.child("attachmentMetadata");
    let size: usize = metadata.entries().map(|(key, value)| key.len() + value.str().len()).sum();
    if size > MAX_ATTACHMENT_METADATA {
        errors.push(metadata.too_long(MAX_ATTACHMENT_METADATA));
    }
    for name in ["attachError", "detachError"] {
        let error = status.child(name);
        let (message, code) = (error.child("message"), error.child("errorCode"));
        if message.str().len() > MAX_ERROR_MESSAGE {
            // Upstream tells the other limit.
            errors.push(message.too_long(MAX_ATTACHMENT_METADATA));
        }
        in_range(&code, 0, i64::from(i32::MAX), errors);
    }
}

/// The mistakes in a change of a VolumeAttachment: its spec stays.
pub(super) fn attachment_update(attachment: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::attachment(attachment);
    immutable(&attachment.child("spec"), &current["spec"], &mut errors);
    errors
}

/// The mistakes of a CSIStorageCapacity.
pub(super) fn capacity(capacity: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let class = capacity.child("storageClassName");
    if class.is_empty() {
        errors.push(class.required(""));
    } else {
        looks_like(&class, names::is_dns1123_subdomain, &mut errors);
    }
    label_selector(&capacity.child("nodeTopology"), &mut errors);
    for name in ["capacity", "maximumVolumeSize"] {
        let amount = capacity.child(name);
        if amount.str().starts_with('-') {
            errors.push(amount.invalid(NOT_NEGATIVE));
        }
    }
    errors
}

/// The mistakes in a change of a CSIStorageCapacity: what it is the capacity of stays.
pub(super) fn capacity_update(capacity: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::capacity(capacity);
    for name in ["nodeTopology", "storageClassName"] {
        immutable(&capacity.child(name), &current[name], &mut errors);
    }
    errors
}

/// The mistakes of a VolumeAttributesClass.
pub(super) fn attributes_class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    csi_driver_name(&class.child("driverName"), &mut errors);
    parameters(&class.child("parameters"), &mut errors);
    errors
}

/// The mistakes in a change of a VolumeAttributesClass: all it says stays.
pub(super) fn attributes_class_update(class: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    for name in ["driverName", "parameters"] {
        let field = class.child(name);
        if !same(field.value, &current[name]) {
            errors.push(field.forbidden(format!("updates to {name} are forbidden.")));
        }
    }
    errors
}
