//! The Services that have rules, with what each run asks of all of them: sums and a selection, kept up to date with
//! every change, so that a change of one among ten thousand costs as much as of one among ten.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (syncProxyRules: totalEndpoints, and the service and endpoints maps)
//! Left out: nothing.

use std::collections::{BTreeMap, BTreeSet};

use client::ObjectKey;

use crate::ruleset::ServiceWithEndpoints;
use crate::service::Protocol;

/// With more endpoints, as upstream, rules carry no comments: in the kernel each is 256 bytes and a module's check, a
/// third of what a change costs among 20,000 rules.
const MOST_WITH_COMMENTS: usize = 1000;

/// All Services that have rules, by name.
#[derive(Debug, Default)]
pub struct Catalog {
    services: BTreeMap<ObjectKey, Vec<ServiceWithEndpoints>>,
    ports: usize,
    endpoints: usize,
    /// The Services with a port that [`is_special`].
    special: BTreeSet<ObjectKey>,
}

impl Catalog {
    /// Takes note of a Service's ports as they are now; without any it is none of ours.
    pub fn set(&mut self, service: &ObjectKey, ports: Vec<ServiceWithEndpoints>) {
        self.ports += ports.len();
        self.endpoints += endpoints(&ports);
        match ports.iter().any(is_special) {
            true => self.special.insert(service.clone()),
            false => self.special.remove(service),
        };
        let before = match ports.is_empty() {
            true => self.services.remove(service),
            false => self.services.insert(service.clone(), ports),
        };
        let before = before.unwrap_or_default();
        self.ports -= before.len();
        self.endpoints -= endpoints(&before);
    }

    /// The ports of one of them.
    pub fn get(&self, service: &ObjectKey) -> &[ServiceWithEndpoints] {
        self.services.get(service).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them with their ports.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Vec<ServiceWithEndpoints>)> {
        self.services.iter()
    }

    /// How many ports they have together.
    pub fn ports(&self) -> usize {
        self.ports
    }

    /// Whether their rules are few enough to say whose they are.
    pub fn may_comment(&self) -> bool {
        self.endpoints <= MOST_WITH_COMMENTS
    }

    /// The ports of all Services of which more than rules is kept.
    pub fn special(&self) -> impl Iterator<Item = &ServiceWithEndpoints> {
        self.special.iter().flat_map(|service| self.get(service))
    }
}

fn endpoints(ports: &[ServiceWithEndpoints]) -> usize {
    ports.iter().map(|port| port.endpoints.len()).sum()
}

/// Whether the kernel's flows must be let go of when its endpoints change, or somebody asks for its health.
fn is_special(port: &ServiceWithEndpoints) -> bool {
    port.port.protocol == Protocol::Udp || port.port.health_check_node_port.is_some()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use serde_json::{Value, json};

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::service;

    /// The ports of a Service, each with so many endpoints.
    fn ports(spec: Value, endpoints: u16) -> Vec<ServiceWithEndpoints> {
        let service = json!({"metadata": {"namespace": "shop", "name": "any"}, "spec": spec});
        let endpoint = |port| Endpoint {
            address: SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, 5), port),
            ready: true,
            serving: true,
            terminating: false,
            is_local: false,
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        let endpoints: Vec<Endpoint> = (0..endpoints).map(endpoint).collect();
        let of_port = |port| ServiceWithEndpoints { port, endpoints: endpoints.clone() };
        service::ports(&serde_json::from_value(service).unwrap()).into_iter().map(of_port).collect()
    }

    fn web(endpoints: u16) -> Vec<ServiceWithEndpoints> {
        ports(json!({"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}), endpoints)
    }

    #[test]
    fn sums_and_special_services_follow_every_change() {
        let dns = json!({"clusterIP": "10.96.0.10", "ports": [
            {"name": "udp", "port": 53, "protocol": "UDP"}, {"name": "tcp", "port": 53}]});
        let balanced = json!({"clusterIP": "10.96.0.8", "type": "LoadBalancer", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32000, "ports": [{"port": 80}]});
        let [a, b, c] = ["a", "b", "c"].map(|name| ObjectKey::new("shop", name));
        let mut catalog = Catalog::default();
        let special = |catalog: &Catalog| catalog.special().map(|port| port.port.port).collect::<Vec<_>>();
        assert!(catalog.may_comment());
        catalog.set(&a, web(400));
        catalog.set(&b, ports(dns, 300));
        assert_eq!((catalog.ports(), catalog.may_comment(), special(&catalog)), (3, true, vec![53, 53]));
        catalog.set(&c, ports(balanced, 1));
        assert_eq!((catalog.ports(), catalog.may_comment(), special(&catalog)), (4, false, vec![53, 53, 80]));
        catalog.set(&a, web(399));
        assert_eq!((catalog.ports(), catalog.may_comment()), (4, true));
        catalog.set(&b, web(2));
        assert_eq!((catalog.ports(), special(&catalog), catalog.get(&b).len()), (3, vec![80], 1));
        for service in [&a, &b, &c, &c] {
            catalog.set(service, Vec::new());
        }
        assert_eq!(
            (catalog.ports(), special(&catalog), catalog.iter().count(), catalog.get(&a).len()),
            (0, vec![], 0, 0)
        );
        assert_eq!((catalog.ports, catalog.endpoints), (0, 0));
    }
}
