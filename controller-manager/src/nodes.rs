//! Questions about one node that several controllers ask.
//!
//! Upstream: pkg/util/node, pkg/util/taints
//! Left out: nothing that is asked here.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

pub fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or("")
}

pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// The status of the node's `Ready` condition: "True", "False" or "Unknown", which is also what a missing one is.
pub fn readiness(node: &Node) -> &str {
    condition(node, "Ready").map_or("Unknown", |condition| condition.status.as_str())
}

pub fn is_ready(node: &Node) -> bool {
    readiness(node) == "True"
}

pub fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

pub fn has_taint(node: &Node, key: &str, effect: &str) -> bool {
    taints(node).iter().any(|taint| taint.key == key && taint.effect == effect)
}

/// The addresses at which the node is reached: external ones first, then internal ones.
pub fn addresses(node: &Node) -> Vec<IpAddr> {
    let all = || node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let of = |kind: &'static str| all().filter(move |it| it.type_ == kind).filter_map(|it| it.address.parse().ok());
    of("ExternalIP").chain(of("InternalIP")).collect()
}
