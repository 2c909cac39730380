//! What the kinds of storage.k8s.io may be, and what of them may change.
//!
//! Upstream: pkg/apis/storage/validation/validation.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names, quantity::Quantity};
use serde_json::Value;

use crate::strategy::{
    persistent_volume::validation::inlined,
    validation::{
        Errors, IMMUTABLE, NOT_NEGATIVE, immutable, in_range, looks_like, not_negative, optional_one_of, required,
        required_one_of, resources::quantity, same, selectors::label_selector, volume_sources::csi_driver_name,
    },
};

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 << 10;
const MAX_NODE_ID: usize = 256;
const MAX_ATTACHMENT_METADATA: usize = 256 << 10;
const MAX_ERROR_MESSAGE: usize = 1 << 10;

/// The mistakes of a StorageClass.
pub(super) fn class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    provisioner(&class.child("provisioner"), &mut errors);
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

/// Who makes the volumes: a qualified name, in whatever case.
fn provisioner(field: &Field<'_>, errors: &mut Errors) {
    if field.is_empty() {
        errors.push(field.required(""));
        return;
    }
    let mistakes = names::is_qualified_name(&field.str().to_lowercase());
    errors.extend(mistakes.into_iter().map(|wrong| field.invalid_value(field.str().to_lowercase(), wrong)));
}

fn parameters(parameters: &Field<'_>, errors: &mut Errors) {
    if parameters.len() > MAX_PARAMETERS {
        errors.push(parameters.too_long(MAX_PARAMETERS));
        return;
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
    let spec = driver.child("spec");
    let policy = spec.child("fsGroupPolicy");
    required_one_of(&policy, &["File", "None", "ReadWriteOnceWithFSType"], &mut errors);
    token_requests(&spec.child("tokenRequests"), &mut errors);
    let modes = spec.child("volumeLifecycleModes");
    for mode in modes.items() {
        if !matches!(mode.str(), "Ephemeral" | "Persistent") {
            let error = mode.not_supported(&["Ephemeral", "Persistent"]);
            errors.push(api::field::FieldError { field: modes.path(), ..error });
        }
    }
    let period = spec.child("nodeAllocatableUpdatePeriodSeconds");
    if period.i64().is_some_and(|seconds| seconds < 10) {
        errors.push(period.invalid("must be greater than or equal to 10 seconds"));
    }
    errors
}

/// Tokens that the driver is given, one for each audience.
fn token_requests(requests: &Field<'_>, errors: &mut Errors) {
    const SHORTEST: i64 = 600;
    const LONGEST: i64 = 1 << 32;
    let mut audiences = BTreeSet::new();
    for request in requests.items() {
        let (audience, seconds) = (request.child("audience"), request.child("expirationSeconds"));
        if !audiences.insert(audience.str().to_owned()) {
            errors.push(audience.duplicate_value(audience.str()));
        } else if seconds.i64().is_some_and(|seconds| seconds < SHORTEST) {
            errors.push(seconds.invalid("may not specify a duration less than 10 minutes"));
        } else if seconds.i64().is_some_and(|seconds| seconds > LONGEST) {
            errors.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
        }
    }
}

/// The mistakes in a change of a CSIDriver: how volumes are attached stays.
pub(super) fn driver_update(driver: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::driver(driver);
    let spec = driver.child("spec");
    let (before, attaches) = (&current["spec"], &spec.value["attachRequired"]);
    // Upstream's path is not the name.
    immutable(&spec.alias("attachedRequired", attaches), &before["attachRequired"], &mut errors);
    immutable(&spec.child("volumeLifecycleModes"), &before["volumeLifecycleModes"], &mut errors);
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
        if id.str().len() > MAX_NODE_ID {
            errors.push(id.invalid(format!("must be {MAX_NODE_ID} characters or less")));
        }
        let allocatable = driver.child("allocatable");
        not_negative(&allocatable.child("count"), &mut errors);
        if !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
        let mut keys = BTreeSet::new();
        // What is wrong with a key is told of the driver.
        for key in driver.child("topologyKeys").items() {
            let at = driver.instead(key.value);
            required(&at, &mut errors);
            if !keys.insert(key.str().to_owned()) {
                errors.push(at.duplicate());
            }
            looks_like(&at, names::is_qualified_name, &mut errors);
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
            value.as_object_mut().map(|driver| driver.remove("allocatable"));
            value
        };
        if before.is_some_and(|before| !same(&fixed(before), &fixed(driver.value))) {
            errors.push(spec.alias("drivers", driver.value).invalid_value(fixed(driver.value), IMMUTABLE));
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
    label_selector(&capacity.child("nodeTopology"), &mut errors);
    looks_like(&capacity.child("storageClassName"), names::is_dns1123_subdomain, &mut errors);
    let amount = capacity.child("capacity");
    if quantity(&amount) < Quantity::default() {
        errors.push(amount.invalid_value(quantity(&amount).to_string(), NOT_NEGATIVE));
    }
    errors
}

/// The mistakes in a change of a CSIStorageCapacity: what it is the capacity of stays.
pub(super) fn capacity_update(capacity: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    for name in ["nodeTopology", "storageClassName"] {
        immutable(&capacity.child(name), &current[name], &mut errors);
    }
    errors
}

/// The mistakes of a VolumeAttributesClass.
pub(super) fn attributes_class(class: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    provisioner(&class.child("driverName"), &mut errors);
    let given = class.child("parameters");
    parameters(&given, &mut errors);
    if given.is_empty() {
        errors.push(given.required("must contain at least one key/value pair"));
    }
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
    errors.extend(attributes_class(class));
    errors
}
