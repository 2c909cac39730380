//! Files rules by destination address, so that a packet meets a few dozen rules and not those of all Services.
//!
//! Two levels: a chain per /22 and, behind it, a chain per /26. With 10,000 Services that is some 10 + 16 + 64 rules
//! walked where upstream walks 10,000; and a change rewrites one small chain.
//!
//! Upstream: none; pkg/proxy/iptables keeps one chain of all Services

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Table, names};

const OUTER: u8 = 22;
const INNER: u8 = 26;

/// Rules by the network that their destination is in, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct AddressTree {
    networks: BTreeMap<Ipv4Addr, BTreeMap<Ipv4Addr, Vec<String>>>,
}

impl AddressTree {
    /// Adds a rule that matches only packets to `address`.
    pub(super) fn add(&mut self, address: Ipv4Addr, rule: String) {
        let outer = self.networks.entry(truncated(address, OUTER)).or_default();
        outer.entry(truncated(address, INNER)).or_default().push(rule);
    }

    /// Makes the chains; what is returned are the rules that lead into them.
    pub(super) fn into_chains(self, table: &mut Table) -> Vec<String> {
        let mut roots = Vec::with_capacity(self.networks.len());
        for (outer, inners) in self.networks {
            let name = names::of_network(outer, OUTER);
            roots.push(jump(outer, OUTER, &name));
            let mut branches = Vec::with_capacity(inners.len());
            for (inner, rules) in inners {
                let leaf = names::of_network(inner, INNER);
                branches.push(jump(inner, INNER, &leaf));
                table.chains.insert(leaf, rules);
            }
            table.chains.insert(name, branches);
        }
        roots
    }
}

fn jump(network: Ipv4Addr, prefix: u8, chain: &str) -> String {
    format!("-d {network}/{prefix} -j {chain}")
}

fn truncated(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - prefix)))
}
