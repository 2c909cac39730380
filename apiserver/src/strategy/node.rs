//! Nodes.
//!
//! Upstream: pkg/registry/core/node/strategy.go, pkg/apis/core/v1/defaults.go, conversion.go
//! Left out: spec.configSource, gone since 1.26.

use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{canonical_quantities, lacks, object_in, spec},
    keep_status,
};

pub(crate) struct Nodes;

impl Strategy for Nodes {
    fn defaults(&self, object: &mut Value) {
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
        let Some(spec) = spec(object) else { return };
        // podCIDR is the first of podCIDRs; a client may know only one of the two.
        match (lacks(spec, "podCIDR"), lacks(spec, "podCIDRs")) {
            (false, true) => {
                let first = spec["podCIDR"].clone();
                spec.insert("podCIDRs".to_owned(), json!([first]));
            }
            (true, false) => {
                let first = spec["podCIDRs"][0].clone();
                spec.insert("podCIDR".to_owned(), first);
            }
            _ => (),
        }
    }

    // A node is created with its status: the kubelet registers itself in one request.

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }
}
