//! Fields of features that 1.35 has off unless asked: they are taken from what a client sends.
//!
//! Upstream: pkg/api/resourceclaimspec, dropDisabledFields in pkg/registry/resource/*/strategy.go
//! Left out: that such fields stay in objects which have them already; a server with the features on has stored those.
//!
//! Off are taints of devices (DRADeviceTaints), devices of one piece of hardware (DRAPartitionableDevices), devices
//! that many claims share (DRAConsumableCapacity), conditions that binding waits for (DRADeviceBindingConditions) and
//! devices behind the name of a resource (DRAExtendedResource).

use serde_json::Value;

/// Takes them from a DeviceClass.
pub(super) fn drop_from_class(class: &mut Value) {
    drop(class.get_mut("spec"), &["extendedResourceName"]);
}

/// Takes them from what a claim asks for.
pub(super) fn drop_from_claim(spec: Option<&mut Value>) {
    const ASKED: [&str; 2] = ["tolerations", "capacity"];
    let Some(spec) = spec else { return };
    for constraint in objects(spec, "/devices/constraints") {
        drop(Some(constraint), &["distinctAttribute"]);
    }
    for request in objects(spec, "/devices/requests") {
        drop(request.get_mut("exactly"), &ASKED);
        for alternative in objects(request, "/firstAvailable") {
            drop(Some(alternative), &ASKED);
        }
    }
}

/// Takes them from the status of a claim.
pub(super) fn drop_from_claim_status(status: &mut Value) {
    for result in objects(status, "/allocation/devices/results") {
        drop(Some(result), &["shareID", "consumedCapacity", "bindingConditions", "bindingFailureConditions"]);
    }
    for device in objects(status, "/devices") {
        drop(Some(device), &["shareID"]);
    }
}

/// Takes them from a ResourceSlice.
pub(super) fn drop_from_slice(slice: &mut Value) {
    drop(slice.get_mut("spec"), &["sharedCounters", "perDeviceNodeSelection"]);
    for device in objects(slice, "/spec/devices") {
        drop(Some(device), &["taints", "consumesCounters", "nodeName", "nodeSelector", "allNodes"]);
        drop(
            Some(device),
            &["bindsToNode", "bindingConditions", "bindingFailureConditions", "allowMultipleAllocations"],
        );
        for (_, capacity) in device.get_mut("capacity").and_then(Value::as_object_mut).into_iter().flatten() {
            drop(Some(capacity), &["requestPolicy"]);
        }
    }
}

fn objects<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

fn drop(object: Option<&mut Value>, names: &[&str]) {
    if let Some(fields) = object.and_then(Value::as_object_mut) {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}
