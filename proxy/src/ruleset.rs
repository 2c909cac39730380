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
mod rulebook;
mod service_rules;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::categories::Place;
use crate::endpoint::Endpoint;
use crate::service::ServicePort;

pub use names::is_ours;
pub use rulebook::Rulebook;

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
    /// Whether the rules of Services say whose they are.
    pub comments: bool,
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

/// The rules of one chain, in their order. Shared, because most stay the same from one state to the next.
pub type Chain = Arc<Vec<String>>;

/// Our part of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The chains that are ours alone, by name.
    pub chains: BTreeMap<String, Chain>,
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
    /// The rules of a chain, which is made if it isn't there.
    pub fn chain(&mut self, name: impl Into<String>) -> &mut Vec<String> {
        Arc::make_mut(self.chains.entry(name.into()).or_default())
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.hooks.len() + self.chains.values().map(|chain| chain.len()).sum::<usize>()
    }
}

impl Ruleset {
    /// The rules for these Services, made all at once. The same input always gives the same text.
    pub fn build(settings: &Settings, services: &[ServiceWithEndpoints]) -> Ruleset {
        let mut by_service: BTreeMap<_, Vec<&ServiceWithEndpoints>> = BTreeMap::new();
        for service in services {
            by_service.entry(&service.port.service).or_default().push(service);
        }
        let mut book = Rulebook::new(settings.clone());
        for (service, ports) in by_service {
            book.set(service, ports);
        }
        book.ruleset()
    }
}

#[cfg(test)]
mod tests;
