//! Gives every node its piece of the cluster's pod addresses.
//!
//! Upstream: pkg/controller/nodeipam/ipam/{range_allocator.go,cidrset/cidr_set.go}
//! Left out: sizes other than the default, and ranges of a cloud.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use client::{Cache, Controller, Informers, Watches};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::nodes;

/// Prefix lengths of one node's piece: --node-cidr-mask-size-ipv4 and -ipv6.
const MASK_V4: u8 = 24;
const MASK_V6: u8 = 64;

/// What is decided from: all nodes, so that no two get the same piece.
pub struct Input {
    pub cluster_cidrs: Vec<IpNet>,
    pub service_cidrs: Vec<IpNet>,
    pub nodes: Vec<Arc<Node>>,
}

/// Gives each node without a podCIDR the lowest free piece of each range, in the order of the nodes' age.
pub fn plan(input: &Input) -> Plan {
    let mut taken: HashSet<IpNet> = input.nodes.iter().flat_map(|node| pod_cidrs(node)).collect();
    let mut without: Vec<&Arc<Node>> = input.nodes.iter().filter(|node| pod_cidrs(node).is_empty()).collect();
    without.retain(|node| node.metadata.deletion_timestamp.is_none());
    without.sort_by_key(|node| (node.metadata.creation_timestamp.clone(), node.metadata.name.clone()));
    let mut actions = Vec::new();
    for node in without {
        let pieces: Option<Vec<IpNet>> =
            input.cluster_cidrs.iter().map(|range| free_piece(*range, &input.service_cidrs, &taken)).collect();
        match pieces.filter(|pieces| !pieces.is_empty()) {
            Some(pieces) => {
                taken.extend(&pieces);
                actions.push(assign(node, &pieces));
            }
            None => {
                let message = format!("Node {} status is now: CIDRNotAvailable", nodes::name(node));
                actions.push(actions::normal(node.as_ref(), "CIDRNotAvailable", message));
            }
        }
    }
    actions.into()
}

fn pod_cidrs(node: &Node) -> Vec<IpNet> {
    let spec = node.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
    all.filter_map(|cidr| cidr.parse().ok()).collect()
}

/// The lowest piece of `range` that no node has and that no Service address is in.
fn free_piece(range: IpNet, services: &[IpNet], taken: &HashSet<IpNet>) -> Option<IpNet> {
    let overlaps = |piece: &IpNet| services.iter().any(|service| service.contains(piece) || piece.contains(service));
    pieces(range).find(|piece| !taken.contains(piece) && !overlaps(piece))
}

/// The pieces of a range in order. A range smaller than one piece has none.
fn pieces(range: IpNet) -> Box<dyn Iterator<Item = IpNet>> {
    let mask = if range.addr().is_ipv4() { MASK_V4 } else { MASK_V6 };
    let Some(bits) = mask.checked_sub(range.prefix_len()) else { return Box::new(std::iter::empty()) };
    // 2^16 pieces are more nodes than a cluster may have.
    let count = 1u128 << bits.min(16);
    Box::new((0..count).map(move |index| match range.network() {
        IpAddr::V4(first) => {
            let address = Ipv4Addr::from(u32::from(first) + ((index as u32) << (32 - MASK_V4)));
            Ipv4Net::new_assert(address, MASK_V4).into()
        }
        IpAddr::V6(first) => {
            let address = Ipv6Addr::from(u128::from(first) + (index << (128 - MASK_V6)));
            Ipv6Net::new_assert(address, MASK_V6).into()
        }
    }))
}

fn assign(node: &Node, pieces: &[IpNet]) -> Action {
    let cidrs: Vec<String> = pieces.iter().map(IpNet::to_string).collect();
    actions::merge_patch_at_version(node, json!({"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}}))
}

/// All nodes at once: there is one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllNodes;

impl fmt::Display for AllNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all nodes")
    }
}

pub struct NodeIpam {
    nodes: Cache<Node>,
    cluster_cidrs: Vec<IpNet>,
    service_cidrs: Vec<IpNet>,
}

impl NodeIpam {
    pub fn new(informers: &Informers, cluster_cidrs: Vec<IpNet>, service_cidrs: Vec<IpNet>) -> Self {
        Self { nodes: informers.of(), cluster_cidrs, service_cidrs }
    }
}

impl Controller for NodeIpam {
    const NAME: &'static str = "node-ipam";
    type Key = AllNodes;
    type Input = Input;

    fn service_account() -> String {
        "node-controller".into()
    }

    fn watches(&self) -> Watches<AllNodes> {
        Watches::new().map(&self.nodes, |change| {
            let lacks = change.after.as_ref().is_some_and(|node| pod_cidrs(node).is_empty());
            // A node that goes makes room for one that waits.
            (lacks || change.after.is_none()).then_some(AllNodes)
        })
    }

    async fn gather(&self, _: &AllNodes) -> Result<Option<Input>, kube::Error> {
        let (cluster_cidrs, service_cidrs) = (self.cluster_cidrs.clone(), self.service_cidrs.clone());
        Ok(Some(Input { cluster_cidrs, service_cidrs, nodes: self.nodes.list() }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests;
