//! Decides which endpoints of a port take traffic: those of the cluster, and those of this node.
//!
//! Upstream: pkg/proxy/topology.go (CategorizeEndpoints)
//! Left out: nothing.

use crate::endpoint::Endpoint;
use crate::service::ServicePort;

/// The endpoints that take traffic.
#[derive(Debug, Default, PartialEq)]
pub struct Categories<'a> {
    /// For traffic that any node's endpoints may take.
    pub cluster: Vec<&'a Endpoint>,
    /// For traffic that must stay on this node.
    pub local: Vec<&'a Endpoint>,
    /// Whether any endpoint in the cluster could take traffic, wherever it is.
    pub has_any: bool,
}

/// Where this node is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    pub node_name: String,
    pub zone: Option<String>,
}

/// Sorts the endpoints of a port. Where none is ready, those that terminate but still serve take the traffic.
pub fn categorize<'a>(port: &ServicePort, endpoints: &'a [Endpoint], place: &Place) -> Categories<'a> {
    let usable = |endpoint: &Endpoint| endpoint.ready || is_draining(endpoint);
    let mut categories = Categories { has_any: endpoints.iter().any(usable), ..Categories::default() };
    if port.uses_cluster_endpoints() {
        categories.cluster = ready_or_draining(&nearest(endpoints, place));
        if categories.cluster.is_empty() {
            categories.cluster = ready_or_draining(&endpoints.iter().collect::<Vec<_>>());
        }
    }
    if port.uses_local_endpoints() {
        let local: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.is_local).collect();
        categories.local = ready_or_draining(&local);
    }
    categories
}

fn is_draining(endpoint: &Endpoint) -> bool {
    endpoint.serving && endpoint.terminating
}

fn ready_or_draining<'a>(endpoints: &[&'a Endpoint]) -> Vec<&'a Endpoint> {
    let ready: Vec<&Endpoint> = endpoints.iter().copied().filter(|endpoint| endpoint.ready).collect();
    if !ready.is_empty() {
        return ready;
    }
    endpoints.iter().copied().filter(|endpoint| is_draining(endpoint)).collect()
}

/// The endpoints that hints give to this node or, failing that, to its zone; all of them as soon as one has no hint.
fn nearest<'a>(endpoints: &'a [Endpoint], place: &Place) -> Vec<&'a Endpoint> {
    let ready: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.ready).collect();
    let hinted = |of: fn(&Endpoint) -> &Vec<String>, here: &String| -> Option<Vec<&'a Endpoint>> {
        if ready.iter().any(|endpoint| of(endpoint).is_empty()) {
            return None;
        }
        let ours: Vec<&Endpoint> = ready.iter().copied().filter(|endpoint| of(endpoint).contains(here)).collect();
        (!ours.is_empty()).then_some(ours)
    };
    let of_node = hinted(|endpoint| &endpoint.for_nodes, &place.node_name);
    let of_zone = || place.zone.as_ref().and_then(|zone| hinted(|endpoint| &endpoint.for_zones, zone));
    of_node.or_else(of_zone).unwrap_or_else(|| endpoints.iter().collect())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use client::ObjectKey;

    use super::*;
    use crate::service::{Policy, Protocol};

    fn port(internal: Policy, external: Policy, node_port: Option<u16>) -> ServicePort {
        ServicePort {
            service: ObjectKey::new("shop", "web"),
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 80,
            cluster_ip: Ipv4Addr::new(10, 96, 0, 7),
            node_port,
            load_balancer_ips: Vec::new(),
            external_ips: Vec::new(),
            source_ranges: Vec::new(),
            affinity_seconds: None,
            internal,
            external,
            health_check_node_port: None,
        }
    }

    /// Endpoints by words: `ready`, `unready`, `draining`, `gone` (terminating, no longer serving), and where they are.
    fn endpoints(words: &[&str]) -> Vec<Endpoint> {
        let of_word = |(number, word): (usize, &&str)| {
            let parts: Vec<&str> = word.split(' ').collect();
            let hint = |name: &str| -> Vec<String> {
                parts.iter().filter_map(|part| part.strip_prefix(name)).map(str::to_owned).collect()
            };
            Endpoint {
                address: format!("10.244.0.{}:80", number + 1).parse().unwrap(),
                ready: parts[0] == "ready",
                serving: matches!(parts[0], "ready" | "draining"),
                terminating: matches!(parts[0], "draining" | "gone"),
                is_local: parts.contains(&"local"),
                for_zones: hint("zone="),
                for_nodes: hint("node="),
            }
        };
        words.iter().enumerate().map(of_word).collect()
    }

    /// The last numbers of the addresses of both categories.
    fn check(port: &ServicePort, words: &[&str], cluster: &[u8], local: &[u8]) {
        let endpoints = endpoints(words);
        let place = Place { node_name: "n1".into(), zone: Some("a".into()) };
        let categories = categorize(port, &endpoints, &place);
        let numbers =
            |category: &[&Endpoint]| -> Vec<u8> { category.iter().map(|endpoint| endpoint.ip().octets()[3]).collect() };
        assert_eq!((numbers(&categories.cluster), numbers(&categories.local)), (cluster.to_vec(), local.to_vec()));
    }

    #[test]
    fn ready_endpoints_take_the_traffic_and_terminating_ones_only_where_none_is_ready() {
        let port = port(Policy::Cluster, Policy::Cluster, None);
        check(&port, &["ready", "draining", "unready", "gone"], &[1], &[]);
        check(&port, &["unready", "draining", "gone"], &[2], &[]);
        check(&port, &["unready", "gone"], &[], &[]);
    }

    #[test]
    fn a_local_policy_falls_back_on_this_nodes_own_terminating_endpoints() {
        let port = port(Policy::Local, Policy::Cluster, None);
        check(&port, &["ready", "ready local", "draining local"], &[], &[2]);
        check(&port, &["ready", "draining local"], &[], &[2]);
        check(&port, &["ready", "unready local"], &[], &[]);
    }

    #[test]
    fn an_external_local_policy_counts_only_where_there_is_something_external() {
        check(&port(Policy::Cluster, Policy::Local, Some(30080)), &["ready", "ready local"], &[1, 2], &[2]);
        check(&port(Policy::Cluster, Policy::Local, None), &["ready", "ready local"], &[1, 2], &[]);
    }

    #[test]
    fn hints_are_followed_only_when_every_ready_endpoint_has_one_and_some_are_for_us() {
        let port = port(Policy::Cluster, Policy::Cluster, None);
        check(&port, &["ready zone=a", "ready zone=b"], &[1], &[]);
        check(&port, &["ready zone=a", "ready"], &[1, 2], &[]);
        check(&port, &["ready zone=c", "ready zone=b"], &[1, 2], &[]);
        check(&port, &["ready zone=a node=n2", "ready zone=a node=n1"], &[2], &[]);
        check(&port, &["ready zone=a node=n2", "ready zone=b node=n3"], &[1], &[]);
        check(&port, &["unready zone=b", "draining zone=b"], &[2], &[]);
    }
}
