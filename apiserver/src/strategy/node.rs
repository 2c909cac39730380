//! Nodes.
//!
//! Upstream: pkg/registry/core/node/strategy.go, pkg/apis/core/v1/defaults.go, conversion.go
//! Left out: spec.configSource, gone since 1.26.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{canonical_quantities, fill, fill_condition_times, lacks, object_in, object_or_empty, spec},
    keep_status,
};

use crate::row::Subresource;

pub(crate) struct Nodes;

impl Strategy for Nodes {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastHeartbeatTime", "lastTransitionTime"]);
        if let Some(status) = object.as_object_mut().and_then(|fields| object_in(fields, "status")) {
            canonical_quantities(status, "capacity");
            canonical_quantities(status, "allocatable");
            if lacks(status, "allocatable")
                && !lacks(status, "capacity")
                && let Some(capacity) = status.get("capacity").cloned()
            {
                status.insert("allocatable".to_owned(), capacity);
            }
        }
        always_present(object);
        let Some(spec) = spec(object) else { return };
        // podCIDR is the first of podCIDRs. A client may know only one of the two; of two that differ, the old one counts.
        match (lacks(spec, "podCIDR"), lacks(spec, "podCIDRs")) {
            (true, false) => {
                let first = spec["podCIDRs"][0].clone();
                spec.insert("podCIDR".to_owned(), first);
            }
            (false, no_list) if no_list || spec["podCIDRs"][0] != spec["podCIDR"] => {
                let first = spec["podCIDR"].clone();
                spec.insert("podCIDRs".to_owned(), json!([first]));
            }
            _ => (),
        }
    }

    // A node is created with its status: the kubelet registers itself in one request.

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::node(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}

/// What upstream's structs always say about a node, known or not.
fn always_present(object: &mut Value) {
    const FACTS: [&str; 10] = [
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "containerRuntimeVersion",
        "kubeletVersion",
        "kubeProxyVersion",
        "operatingSystem",
        "architecture",
    ];
    let Some(fields) = object.as_object_mut() else { return };
    let status = object_or_empty(fields, "status");
    let endpoints = object_or_empty(status, "daemonEndpoints");
    fill(object_or_empty(endpoints, "kubeletEndpoint"), "Port", 0);
    let info = object_or_empty(status, "nodeInfo");
    for name in FACTS {
        fill(info, name, "");
    }
}
