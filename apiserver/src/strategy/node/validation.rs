//! What a Node may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateNode, ValidateNodeUpdate)
//! Left out: `configSource`, which nothing reads any more; annotations older than taints.

use api::field::Field;
use serde_json::Value;

use crate::strategy::validation::{Errors, addresses, affinity, resources::node_amounts, same};

const CIDR_STAYS: &str = r#"node updates may not change podCIDR except from "" to valid"#;
const PROVIDER_STAYS: &str = r#"node updates may not change providerID except from "" to valid"#;

/// The mistakes of a new node.
pub(super) fn node(node: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    taints(node, &mut errors);
    amounts(node, &mut errors);
    let spec = node.child("spec");
    let list = spec.child("podCIDRs");
    for cidr in list.items() {
        addresses::cidr(&cidr, &mut errors);
    }
    let networks: Vec<ipnet::IpNet> = list.items().filter_map(|cidr| cidr.str().parse().ok()).collect();
    if list.len() > 1 {
        let v4 = networks.iter().filter(|net| net.addr().is_ipv4()).count();
        if list.len() > 2 || v4 != 1 || networks.len() != 2 {
            errors.push(list.invalid("may specify no more than one CIDR for each IP family"));
        }
        let texts: Vec<&str> = list.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (index, cidr) in list.items().enumerate() {
            if texts[..index.min(texts.len())].contains(&cidr.str()) {
                errors.push(cidr.duplicate());
            }
        }
    }
    errors
}

/// Upstream reports taints as if they stood in the metadata.
fn taints(node: &Field<'_>, errors: &mut Errors) {
    let metadata = node.child("metadata");
    affinity::taints(&metadata.alias("taints", &node.value["spec"]["taints"]), errors);
}

fn amounts(node: &Field<'_>, errors: &mut Errors) {
    let status = node.child("status");
    node_amounts(&status.child("capacity"), errors);
    node_amounts(&status.child("allocatable"), errors);
}

/// The mistakes in a change, through the node itself or its status.
pub(super) fn update(node: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    amounts(node, &mut errors);
    let (spec, status) = (node.child("spec"), node.child("status"));
    let addresses: Vec<Value> = status.value["addresses"].as_array().cloned().unwrap_or_default();
    for (index, address) in status.child("addresses").items().enumerate() {
        if addresses[..index].contains(address.value) {
            errors.push(address.duplicate());
        }
    }
    let before = &current["spec"];
    let cidrs = spec.child("podCIDRs");
    if before["podCIDRs"].as_array().is_some_and(|list| !list.is_empty()) && !same(cidrs.value, &before["podCIDRs"]) {
        errors.push(cidrs.forbidden(CIDR_STAYS));
    }
    let provider = spec.child("providerID");
    if !before["providerID"].as_str().unwrap_or_default().is_empty() && provider.value != &before["providerID"] {
        errors.push(provider.forbidden(PROVIDER_STAYS));
    }
    taints(node, &mut errors);
    errors
}
