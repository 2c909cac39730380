//! The rules as they grow and change with their Services.
//!
//! What a Service adds is kept apart, so a change of one writes anew only the chains that it has rules in: the cost of a
//! change does not grow with the number of Services.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (syncProxyRules, its partial syncs)

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use client::ObjectKey;

use super::address_tree::AddressTree;
use super::{Chain, Ruleset, ServiceWithEndpoints, Settings, fixed, names, service_rules};

/// All rules under some settings, by the Services that want them.
pub struct Rulebook {
    settings: Settings,
    nat: AddressTree,
    filter: AddressTree,
    /// The chains that Services have of their own.
    chains: BTreeMap<String, Chain>,
    /// What Services add beside; most add nothing.
    added: BTreeMap<ObjectKey, Added>,
}

/// What a Service adds beside its rules by address.
#[derive(Default, PartialEq)]
struct Added {
    /// The names of its own chains.
    chains: Vec<String>,
    nat_node_ports: Vec<String>,
    filter_node_ports: Vec<String>,
    health_checks: Vec<String>,
    local_pods: Vec<Ipv4Addr>,
}

impl Rulebook {
    /// The rules that are there before any Service is.
    pub fn new(settings: Settings) -> Rulebook {
        let (nat, filter, chains, added) = Default::default();
        Rulebook { settings, nat, filter, chains, added }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes `ports` all that the Service has; without any, nothing of it is left.
    pub fn set<'a>(&mut self, service: &ObjectKey, ports: impl IntoIterator<Item = &'a ServiceWithEndpoints>) {
        for chain in self.added.remove(service).unwrap_or_default().chains {
            self.chains.remove(&chain);
        }
        let (mut nat, mut filter, mut added) = (Vec::new(), Vec::new(), Added::default());
        for port in ports {
            let rules = service_rules::rules(&self.settings, port);
            nat.extend(rules.nat_by_address);
            filter.extend(rules.filter_by_address);
            added.nat_node_ports.extend(rules.nat_node_ports);
            added.filter_node_ports.extend(rules.filter_node_ports);
            added.health_checks.extend(rules.health_check);
            added.local_pods.extend(rules.local_pods);
            for (name, rules) in rules.chains {
                added.chains.push(name.clone());
                self.chains.insert(name, Arc::new(rules));
            }
        }
        self.nat.set(service, nat);
        self.filter.set(service, filter);
        if added != Added::default() {
            self.added.insert(service.clone(), added);
        }
    }

    /// All of them, as they are now. Chains that stay as they are, are shared with what was returned before.
    pub fn ruleset(&mut self) -> Ruleset {
        let mut ruleset = fixed::rules(&self.settings);
        let mut local_pods = BTreeSet::new();
        for added in self.added.values() {
            ruleset.nat.chain(names::NODE_PORTS).extend(added.nat_node_ports.iter().cloned());
            ruleset.filter.chain(names::SERVICES).extend(added.filter_node_ports.iter().cloned());
            let health_checks = ruleset.filter.chain(names::NODE_PORTS);
            for rule in &added.health_checks {
                if !health_checks.contains(rule) {
                    health_checks.push(rule.clone());
                }
            }
            local_pods.extend(&added.local_pods);
        }
        ruleset.nat.chains.extend(self.chains.iter().map(|(name, chain)| (name.clone(), chain.clone())));
        let ways_in = self.nat.write(&mut ruleset.nat);
        fixed::finish_nat(&self.settings, &mut ruleset.nat, ways_in, &local_pods);
        let ways_in = self.filter.write(&mut ruleset.filter);
        fixed::finish_filter(&self.settings, &mut ruleset.filter, ways_in);
        ruleset
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::ruleset::tests::settings;
    use crate::service;

    /// A Service of one of a few kinds, with some endpoints; of kind 0 it is gone.
    fn variant(number: u8, kind: u8, endpoints: u8) -> Vec<ServiceWithEndpoints> {
        let address = format!("10.96.{}.{}", number / 2, number);
        let spec = match kind {
            0 => return Vec::new(),
            1 => json!({"clusterIP": address, "ports": [{"port": 80}]}),
            2 => json!({"clusterIP": address, "type": "NodePort",
                "ports": [{"name": "a", "port": 80, "nodePort": 30000 + u16::from(number)}, {"name": "b", "port": 81}]}),
            3 => json!({"clusterIP": "10.96.7.7", "externalIPs": ["192.0.2.7"], "ports": [{"port": 80}]}),
            _ => json!({"clusterIP": address, "sessionAffinity": "ClientIP", "type": "LoadBalancer",
                "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000, "ports": [{"port": 80, "nodePort": 32000}]}),
        };
        let metadata = json!({"namespace": "shop", "name": format!("s{number}")});
        let status = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.3"}]}});
        let service: Service =
            serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap();
        let endpoint = |last: u8| Endpoint {
            address: std::net::SocketAddrV4::new(Ipv4Addr::new(10, 244, number, last), 8080),
            ready: true,
            serving: true,
            terminating: false,
            is_local: last.is_multiple_of(2),
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        let with = |port| ServiceWithEndpoints { port, endpoints: (0..endpoints).map(endpoint).collect() };
        service::ports(&service).into_iter().map(with).collect()
    }

    proptest! {
        #[test]
        fn changes_one_by_one_lead_to_what_all_at_once_is(
            changes in prop::collection::vec((0..5u8, 0..5u8, 0..7u8), 1..40)
        ) {
            let mut book = Rulebook::new(settings());
            let mut now = BTreeMap::new();
            for (number, kind, endpoints) in changes {
                let ports = variant(number, kind, endpoints);
                book.set(&ObjectKey::new("shop", format!("s{number}")), &ports);
                now.insert(number, ports);
                let all: Vec<ServiceWithEndpoints> = now.values().flatten().cloned().collect();
                prop_assert_eq!(book.ruleset(), Ruleset::build(&settings(), &all));
            }
        }
    }

    #[test]
    fn a_change_leaves_the_chains_of_others_as_they_were() {
        let mut book = Rulebook::new(settings());
        for number in 0..5 {
            book.set(&ObjectKey::new("shop", format!("s{number}")), &variant(number, 1, 2));
        }
        let before = book.ruleset();
        book.set(&ObjectKey::new("shop", "s4"), &variant(4, 1, 3));
        let after = book.ruleset();
        let shared = |name: &str| Arc::ptr_eq(&before.nat.chains[name], &after.nat.chains[name]);
        let leaves = before.nat.chains.keys().filter(|name| name.contains("-26")).collect::<Vec<_>>();
        let kept = leaves.iter().filter(|name| shared(name)).count();
        assert_eq!((leaves.len(), kept), (3, 2), "{leaves:?}");
    }
}
