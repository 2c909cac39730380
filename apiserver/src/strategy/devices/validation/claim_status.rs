//! What may be said of a claim: the devices that it got, who uses it, and what drivers tell about the devices.
//!
//! Upstream: pkg/apis/resource/validation/validation.go (ValidateResourceClaimStatusUpdate)
//! Left out: whether the namespace may be given admin access, which its labels tell.

use std::collections::BTreeSet;

use api::{field::Field, object::Object as _};
use serde_json::Value;

use super::{
    Age, MAX_CONFIGURATIONS,
    claim::{RequestNames, reference, references},
    configuration, device_name, each, pool_name, raw_object, set,
};
use crate::strategy::validation::{
    Errors, addresses::interface_address, affinity::node_selector, conditions::conditions, immutable, required,
    required_one_of, volume_sources::csi_driver_name,
};

const MAX_CONSUMERS: usize = 256;
const MAX_RESULTS: usize = 32;
const MAX_CONDITIONS: usize = 8;
const MAX_ADDRESSES: usize = 16;
const MAX_INTERFACE_NAME: usize = 256;
const MAX_HARDWARE_ADDRESS: usize = 128;

/// The mistakes of a claim's status.
pub(crate) fn update(claim: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let (status, before) = (claim.child("status"), &current["status"]);
    let (consumers, allocation) = (status.child("reservedFor"), status.child("allocation"));
    set(
        &consumers,
        MAX_CONSUMERS,
        |each| each.child("uid").str().to_owned(),
        &mut errors,
        |each, errors| {
            for name in ["resource", "name", "uid"] {
                required(&each.child(name), errors);
            }
        },
    );
    let allocated = allocation.value.pointer("/devices/results").and_then(Value::as_array).into_iter().flatten();
    let allocated: BTreeSet<String> = allocated.map(device_id).collect();
    set(
        &status.child("devices"),
        usize::MAX,
        |each| device_id(each.value),
        &mut errors,
        |each, errors| {
            device(each, &allocated, errors);
        },
    );
    if !consumers.is_empty() && allocation.is_absent() {
        errors.push(consumers.forbidden("may not be specified when `allocated` is not set"));
    } else if claim.value.is_terminating() {
        let had = before["reservedFor"].as_array();
        if consumers.items().any(|each| had.is_none_or(|had| !had.contains(each.value))) {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.push(consumers.forbidden(detail));
        }
    }
    if !allocation.is_absent() && !before["allocation"].is_null() {
        immutable(&allocation, &before["allocation"], &mut errors);
    } else if !allocation.is_absent() {
        new_allocation(&allocation, &RequestNames::of(&claim.value["spec"]["devices"]), &mut errors);
    }
    errors
}

/// Which device a result or a status is about, as upstream writes it.
pub(crate) fn device_id(value: &Value) -> String {
    ["driver", "pool", "device"].map(|name| value[name].as_str().unwrap_or_default()).join("/")
}

fn new_allocation(allocation: &Field<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    let devices = allocation.child("devices");
    each(&devices.child("results"), MAX_RESULTS, errors, |result, errors| {
        reference(&result.child("request"), known, errors);
        identity(result, errors);
    });
    // What the class says and what the claim says.
    each(&devices.child("config"), 2 * MAX_CONFIGURATIONS, errors, |each, errors| {
        required_one_of(&each.child("source"), &["FromClaim", "FromClass"], errors);
        references(&each.child("requests"), known, errors);
        configuration(each, Age::New, errors);
    });
    let selector = allocation.child("nodeSelector");
    if !selector.is_absent() {
        node_selector(&selector, errors);
    }
}

fn identity(of: &Field<'_>, errors: &mut Errors) {
    csi_driver_name(&of.child("driver"), errors);
    pool_name(&of.child("pool"), errors);
    device_name(&of.child("device"), errors);
}

/// What a driver tells about a device of the claim.
fn device(device: &Field<'_>, allocated: &BTreeSet<String>, errors: &mut Errors) {
    identity(device, errors);
    let id = device_id(device.value);
    if !allocated.contains(&id) {
        errors.push(device.invalid_value(id, "must be an allocated device in the claim"));
    }
    let list = device.child("conditions");
    if list.len() > MAX_CONDITIONS {
        errors.push(list.too_many(MAX_CONDITIONS));
    }
    conditions(&list, errors);
    let raw = device.child("data");
    if !raw.is_absent() {
        raw_object(&raw, Age::New, errors);
    }
    let network = device.child("networkData");
    for (name, max) in [("interfaceName", MAX_INTERFACE_NAME), ("hardwareAddress", MAX_HARDWARE_ADDRESS)] {
        let field = network.child(name);
        if field.str().len() > max {
            errors.push(field.too_long(max));
        }
    }
    set(&network.child("ips"), MAX_ADDRESSES, |each| each.str().to_owned(), errors, interface_address);
}
