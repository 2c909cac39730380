//! Lets go of UDP flows that the kernel still sends to an endpoint that is gone.
//!
//! The kernel asks the rules only about the first packet of a flow. A UDP client that keeps its port is one flow for as
//! long as it sends: without this it would talk to a pod that is gone until it fell silent for half a minute.
//!
//! Upstream: pkg/proxy/conntrack/cleanup.go
//! Left out: IPv6. TCP needs none of this: its connections end with their pod. As upstream, a change of policies or of
//! readiness ends no flow; only an endpoint that no longer serves does.

mod netlink;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

use crate::ruleset::ServiceWithEndpoints;
use crate::service::Protocol;

pub use netlink::{ConntrackError, flows, forget};

/// A flow as the kernel remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    pub source: SocketAddrV4,
    /// Where the client sends to.
    pub destination: SocketAddrV4,
    /// Who answers: the endpoint that a rule chose, or the destination itself where none did.
    pub answers: SocketAddrV4,
    /// The part of the kernel's table that the flow is in; 0 unless somebody divided it.
    pub zone: u16,
}

/// Who may answer for each address and port of the UDP Services.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fronts {
    of_address: BTreeMap<SocketAddrV4, BTreeSet<SocketAddrV4>>,
    of_node_port: BTreeMap<u16, BTreeSet<SocketAddrV4>>,
}

impl Fronts {
    /// The fronts of these Services. Nobody may answer for one without serving endpoints: else a client that only sends
    /// would keep its flow to the last of them alive for ever (kubernetes/kubernetes#139628).
    pub fn of<'a>(services: impl IntoIterator<Item = &'a ServiceWithEndpoints>) -> Fronts {
        let mut fronts = Fronts::default();
        let services = services.into_iter().filter(|it| it.port.protocol == Protocol::Udp);
        for ServiceWithEndpoints { port, endpoints } in services {
            let serving = endpoints.iter().filter(|endpoint| endpoint.serving);
            let serving: BTreeSet<SocketAddrV4> = serving.map(|endpoint| endpoint.address).collect();
            for address in port.load_balancer_ips.iter().chain(&port.external_ips).chain([&port.cluster_ip]) {
                fronts.of_address.insert(SocketAddrV4::new(*address, port.port), serving.clone());
            }
            if let Some(node_port) = port.node_port {
                fronts.of_node_port.insert(node_port, serving);
            }
        }
        fronts
    }

    /// These, and those that were there before and are gone: nobody may answer for them.
    pub fn with_gone(mut self, before: &Fronts) -> Fronts {
        for address in before.of_address.keys() {
            self.of_address.entry(*address).or_default();
        }
        for node_port in before.of_node_port.keys() {
            self.of_node_port.entry(*node_port).or_default();
        }
        self
    }

    pub fn is_empty(&self) -> bool {
        self.of_address.is_empty() && self.of_node_port.is_empty()
    }

    /// Does a flow to a Service go where no endpoint of it serves? What goes to no Service is never stale.
    pub fn is_stale(&self, flow: &Flow) -> bool {
        let of_address = self.of_address.get(&flow.destination);
        let allowed = of_address.or_else(|| self.of_node_port.get(&flow.destination.port()));
        allowed.is_some_and(|allowed| !allowed.contains(&flow.answers))
    }
}

/// Makes the kernel forget the stale flows among those it has, and says how many they were.
///
/// # Errors
/// The kernel can't be asked or refuses.
pub async fn let_go(fronts: &Fronts) -> Result<usize, ConntrackError> {
    if fronts.is_empty() {
        return Ok(0);
    }
    let mut stale = flows().await?;
    stale.retain(|flow| fronts.is_stale(flow));
    forget(&stale).await?;
    Ok(stale.len())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::endpoint::Endpoint;

    /// A Service at 10.96.0.10:53 and 198.51.100.9:53, and on node port 30053.
    fn dns(protocol: &str, endpoints: &[(&str, bool)]) -> Vec<ServiceWithEndpoints> {
        let service: Value = json!({"metadata": {"namespace": "kube-system", "name": "dns"}, "spec": {"type": "NodePort",
            "clusterIP": "10.96.0.10", "externalIPs": ["198.51.100.9"],
            "ports": [{"port": 53, "nodePort": 30053, "protocol": protocol}]}});
        let port = crate::service::ports(&serde_json::from_value(service).unwrap()).remove(0);
        let endpoint = |(address, serving): &(&str, bool)| Endpoint {
            address: address.parse().unwrap(),
            ready: false,
            serving: *serving,
            terminating: true,
            is_local: false,
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        vec![ServiceWithEndpoints { port, endpoints: endpoints.iter().map(endpoint).collect() }]
    }

    fn check(services: &[ServiceWithEndpoints], destination: &str, answers: &str, stale: bool) {
        let flow = Flow {
            source: "10.244.0.5:4000".parse().unwrap(),
            destination: destination.parse().unwrap(),
            answers: answers.parse().unwrap(),
            zone: 0,
        };
        assert_eq!(Fronts::of(services).is_stale(&flow), stale, "{flow:?}");
    }

    #[test]
    fn a_flow_is_stale_when_no_serving_endpoint_answers_it() {
        let services = dns("UDP", &[("10.244.0.7:5353", true), ("10.244.0.8:5353", false)]);
        for destination in ["10.96.0.10:53", "198.51.100.9:53", "192.168.0.1:30053"] {
            check(&services, destination, "10.244.0.7:5353", false);
            check(&services, destination, "10.244.0.8:5353", true);
            check(&services, destination, "10.244.0.9:5353", true);
        }
        // The same pod, but the Service's target port has changed.
        check(&services, "10.96.0.10:53", "10.244.0.7:53", true);
        // It began before the Service had an endpoint, so nothing translated it.
        check(&services, "192.168.0.1:30053", "192.168.0.1:30053", true);
    }

    #[test]
    fn flows_to_something_else_stay() {
        let services = dns("UDP", &[("10.244.0.7:5353", true)]);
        check(&services, "10.96.0.10:54", "10.244.0.9:5353", false);
        check(&services, "10.96.0.11:53", "10.244.0.9:5353", false);
        check(&services, "8.8.8.8:53", "8.8.8.8:53", false);
    }

    #[test]
    fn all_flows_to_a_service_without_endpoints_are_stale_and_those_of_tcp_end_by_themselves() {
        check(&dns("UDP", &[("10.244.0.7:5353", false)]), "10.96.0.10:53", "10.244.0.7:5353", true);
        check(&dns("UDP", &[]), "192.168.0.1:30053", "10.244.0.7:5353", true);
        check(&dns("TCP", &[("10.244.0.7:5353", true)]), "10.96.0.10:53", "10.244.0.9:5353", false);
    }

    #[test]
    fn a_service_that_is_gone_is_one_without_endpoints() {
        let before = Fronts::of(&dns("UDP", &[("10.244.0.7:5353", true)]));
        assert_eq!(Fronts::default().with_gone(&before), Fronts::of(&dns("UDP", &[])));
        assert_eq!(before.clone().with_gone(&before), before);
    }
}
