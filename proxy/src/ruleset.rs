//! The rules that the kernel should have, as a value.
//!
//! A chain is a name and its rules, each written exactly as `iptables-save` prints it: so what is wanted and what the
//! kernel has can be compared as text, and a learner finds here what `iptables-save` shows.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (syncProxyRules)
//! Left out: IPv6.
//!
//! Where upstream walks one list of all Services, addresses here are looked up in a tree (`address_tree.rs`), and a
//! Service that only has a cluster IP and few endpoints has no chains of its own (`service_rules.rs`).

mod address_tree;
mod fixed;
mod names;
mod service_rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::categories::Place;
use crate::endpoint::Endpoint;
use crate::service::ServicePort;
use address_tree::AddressTree;

pub use names::is_ours;

/// What the rules depend on beside Services and endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub place: Place,
    /// This node's address, once it is known.
    pub node_ip: Option<Ipv4Addr>,
    /// The pods of this node, once its range is known.
    pub node_cidr: Option<Ipv4Net>,
    pub cluster_cidr: Ipv4Net,
    pub service_cidr: Ipv4Net,
    /// The bit of the packet mark that asks for masquerading, as a number: `0x4000`.
    pub masquerade_mark: u32,
    pub masquerade_all: bool,
    pub localhost_node_ports: bool,
    /// Where node ports answer; everywhere when empty.
    pub node_port_addresses: Vec<Ipv4Net>,
}

/// A port of a Service with all endpoints that it has, usable or not.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceWithEndpoints {
    pub port: ServicePort,
    pub endpoints: Vec<Endpoint>,
}

/// All rules of this proxy, or all that the kernel has of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ruleset {
    pub nat: Table,
    pub filter: Table,
}

/// Our part of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The chains that are ours alone, by name.
    pub chains: BTreeMap<String, Vec<String>>,
    /// Our rules in the kernel's own chains, in the order in which they stand there.
    pub hooks: Vec<Hook>,
}

/// A rule of ours in a chain that others use as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hook {
    /// `PREROUTING`, `FORWARD` ...
    pub chain: String,
    pub rule: String,
}

impl Table {
    fn chain(&mut self, name: impl Into<String>) -> &mut Vec<String> {
        self.chains.entry(name.into()).or_default()
    }
}

impl Ruleset {
    /// The rules for these Services. The same input always gives the same text.
    pub fn build(settings: &Settings, services: &[ServiceWithEndpoints]) -> Ruleset {
        let mut ruleset = fixed::rules(settings);
        let (mut nat_tree, mut filter_tree) = (AddressTree::default(), AddressTree::default());
        let mut local_pods: Vec<Ipv4Addr> = Vec::new();
        for service in services {
            let rules = service_rules::rules(settings, service);
            rules.nat_by_address.into_iter().for_each(|(address, rule)| nat_tree.add(address, rule));
            rules.filter_by_address.into_iter().for_each(|(address, rule)| filter_tree.add(address, rule));
            ruleset.nat.chain(names::NODE_PORTS).extend(rules.nat_node_ports);
            ruleset.filter.chain(names::SERVICES).extend(rules.filter_node_ports);
            let health_checks = ruleset.filter.chain(names::NODE_PORTS);
            health_checks.extend(rules.health_check.filter(|rule| !health_checks.contains(rule)));
            ruleset.nat.chains.extend(rules.chains);
            local_pods.extend(rules.local_pods);
        }
        local_pods.sort();
        local_pods.dedup();
        fixed::finish_nat(settings, &mut ruleset.nat, nat_tree, &local_pods);
        fixed::finish_filter(settings, &mut ruleset.filter, filter_tree);
        ruleset
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        let of_table = |table: &Table| table.hooks.len() + table.chains.values().map(Vec::len).sum::<usize>();
        of_table(&self.nat) + of_table(&self.filter)
    }
}

#[cfg(test)]
mod tests;
