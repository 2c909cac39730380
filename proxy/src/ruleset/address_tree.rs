//! Files rules by destination address, so that a packet meets a few dozen rules and not those of all Services.
//!
//! Two levels: a chain per /22 and, behind it, a chain per /26. With 10,000 Services that is some 10 + 16 + 64 rules
//! walked where upstream walks 10,000; and a change rewrites one small chain.
//!
//! Upstream: none; pkg/proxy/iptables keeps one chain of all Services

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use client::ObjectKey;

use super::{Chain, Table, names};

const OUTER: u8 = 22;
const INNER: u8 = 26;

/// Rules by the network that their destination is in, those of one Service together, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct AddressTree {
    leaves: BTreeMap<Ipv4Addr, Leaf>,
    /// The /26 networks that a Service has rules in.
    places: BTreeMap<ObjectKey, Vec<Ipv4Addr>>,
}

/// The rules of one /26.
#[derive(Debug, Default)]
struct Leaf {
    rules: BTreeMap<ObjectKey, Vec<String>>,
    /// All of them, since they were last asked for; `None` when they have changed.
    chain: Option<Chain>,
}

impl AddressTree {
    /// Makes `rules` all that the Service has here. Each matches only packets to its address.
    pub(super) fn set(&mut self, service: &ObjectKey, rules: Vec<(Ipv4Addr, String)>) {
        let mut by_network: BTreeMap<Ipv4Addr, Vec<String>> = BTreeMap::new();
        for (address, rule) in rules {
            by_network.entry(truncated(address, INNER)).or_default().push(rule);
        }
        let before = self.places.remove(service).unwrap_or_default();
        for network in before.iter().filter(|network| !by_network.contains_key(network)) {
            let Some(leaf) = self.leaves.get_mut(network) else { continue };
            leaf.rules.remove(service);
            leaf.chain = None;
            if leaf.rules.is_empty() {
                self.leaves.remove(network);
            }
        }
        if !by_network.is_empty() {
            self.places.insert(service.clone(), by_network.keys().copied().collect());
        }
        for (network, rules) in by_network {
            let leaf = self.leaves.entry(network).or_default();
            leaf.rules.insert(service.clone(), rules);
            leaf.chain = None;
        }
    }

    /// Puts the chains into `table`; what is returned are the rules that lead into them.
    pub(super) fn write(&mut self, table: &mut Table) -> Vec<String> {
        let mut outers: BTreeMap<Ipv4Addr, Vec<String>> = BTreeMap::new();
        for (network, Leaf { rules, chain }) in &mut self.leaves {
            let name = names::of_network(*network, INNER);
            outers.entry(truncated(*network, OUTER)).or_default().push(jump(*network, INNER, &name));
            let chain = chain.get_or_insert_with(|| Arc::new(rules.values().flatten().cloned().collect()));
            table.chains.insert(name, chain.clone());
        }
        let root = |(network, branches)| {
            let name = names::of_network(network, OUTER);
            let rule = jump(network, OUTER, &name);
            table.chains.insert(name, Arc::new(branches));
            rule
        };
        outers.into_iter().map(root).collect()
    }
}

fn jump(network: Ipv4Addr, prefix: u8, chain: &str) -> String {
    format!("-d {network}/{prefix} -j {chain}")
}

fn truncated(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - prefix)))
}
