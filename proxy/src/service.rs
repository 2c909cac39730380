//! A port of a Service as the proxy sees it.
//!
//! Upstream: pkg/proxy/serviceport.go
//! Left out: IPv6.

use std::fmt;
use std::net::Ipv4Addr;

use client::ObjectKey;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Service, ServicePort as Port, ServiceSpec};

/// Services with this label are another proxy's.
pub const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";
/// Services with this label are nobody's, even if they have a cluster IP.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// How long a client keeps its endpoint when the Service doesn't say: three hours.
const AFFINITY_SECONDS: u32 = 10_800;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// The protocol of that name; TCP when there is none.
    pub fn parse(name: Option<&str>) -> Option<Protocol> {
        match name {
            None | Some("" | "TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some("SCTP") => Some(Protocol::Sctp),
            Some(_) => None,
        }
    }

    /// As iptables and hashed names spell it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// Whether all endpoints are used, or only those on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Cluster,
    Local,
}

impl Policy {
    fn parse(name: Option<&str>) -> Policy {
        if name == Some("Local") { Policy::Local } else { Policy::Cluster }
    }
}

/// One port of one Service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePort {
    pub service: ObjectKey,
    /// The port's name, "" for the only port of a Service.
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub cluster_ip: Ipv4Addr,
    pub node_port: Option<u16>,
    pub load_balancer_ips: Vec<Ipv4Addr>,
    pub external_ips: Vec<Ipv4Addr>,
    /// Who may use the load balancer's addresses; everybody when empty.
    pub source_ranges: Vec<Ipv4Net>,
    /// A client keeps its endpoint for so many seconds after its last connection.
    pub affinity_seconds: Option<u32>,
    pub internal: Policy,
    pub external: Policy,
    /// Where a load balancer asks whether this node has an endpoint of the Service.
    pub health_check_node_port: Option<u16>,
}

impl fmt::Display for ServicePort {
    /// `namespace/name:port`, as upstream names it in comments and hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service.namespace, self.service.name)?;
        if self.name.is_empty() { Ok(()) } else { write!(f, ":{}", self.name) }
    }
}

impl ServicePort {
    /// Can it be reached from outside of the cluster?
    pub fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.load_balancer_ips.is_empty() || !self.external_ips.is_empty()
    }

    /// Are endpoints of other nodes ever used? Under an external Local policy too: pods and the node are let through.
    pub fn uses_cluster_endpoints(&self) -> bool {
        self.internal == Policy::Cluster || self.is_external()
    }

    /// Are endpoints of this node ever preferred by a policy?
    pub fn uses_local_endpoints(&self) -> bool {
        self.internal == Policy::Local || (self.external == Policy::Local && self.is_external())
    }
}

/// The ports of a Service; none of one that has no cluster IP or is labelled so, or that another proxy looks after.
pub fn ports(service: &Service) -> Vec<ServicePort> {
    let Some(spec) = service.spec.as_ref() else { return Vec::new() };
    let labels = service.metadata.labels.as_ref();
    let is_not_ours = labels.is_some_and(|it| it.contains_key(OTHER_PROXY) || it.contains_key(HEADLESS));
    if spec.type_.as_deref() == Some("ExternalName") || is_not_ours {
        return Vec::new();
    }
    let Some(cluster_ip) = cluster_ip(spec) else { return Vec::new() };
    let of_port = |port: &Port| port_of(service, spec, cluster_ip, port);
    spec.ports.iter().flatten().filter_map(of_port).collect()
}

/// The IPv4 cluster IP; `None` for a headless Service.
pub fn cluster_ip(spec: &ServiceSpec) -> Option<Ipv4Addr> {
    let all = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    all.into_iter().find_map(|ip| ip.parse().ok())
}

fn port_of(service: &Service, spec: &ServiceSpec, cluster_ip: Ipv4Addr, port: &Port) -> Option<ServicePort> {
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let seconds = client_ip.and_then(|client_ip| client_ip.timeout_seconds);
        seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or(AFFINITY_SECONDS)
    });
    let has_node_ports = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"));
    Some(ServicePort {
        service: ObjectKey::of(service),
        name: port.name.clone().unwrap_or_default(),
        protocol: Protocol::parse(port.protocol.as_deref())?,
        port: u16::try_from(port.port).ok()?,
        cluster_ip,
        node_port: port.node_port.filter(|port| has_node_ports && *port != 0).and_then(|port| port.try_into().ok()),
        load_balancer_ips: load_balancer_ips(service, spec),
        external_ips: spec.external_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect(),
        source_ranges: source_ranges(spec),
        affinity_seconds: affinity,
        internal: Policy::parse(spec.internal_traffic_policy.as_deref()),
        external: Policy::parse(spec.external_traffic_policy.as_deref()),
        health_check_node_port: health_check_node_port(spec),
    })
}

/// Only a load balancer needs it, and only where nodes without an endpoint drop its traffic.
fn health_check_node_port(spec: &ServiceSpec) -> Option<u16> {
    let is_asked = spec.type_.as_deref() == Some("LoadBalancer")
        && Policy::parse(spec.external_traffic_policy.as_deref()) == Policy::Local;
    let port = spec.health_check_node_port.filter(|port| is_asked && *port != 0)?;
    port.try_into().ok()
}

/// The addresses that this proxy answers for; with mode `Proxy` the load balancer's own traffic is left alone.
fn load_balancer_ips(service: &Service, spec: &ServiceSpec) -> Vec<Ipv4Addr> {
    if spec.type_.as_deref() != Some("LoadBalancer") {
        return Vec::new();
    }
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_deref()).unwrap_or_default();
    let ours = ingress.iter().filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
    ours.filter_map(|ingress| ingress.ip.as_ref()?.parse().ok()).collect()
}

fn source_ranges(spec: &ServiceSpec) -> Vec<Ipv4Net> {
    let ranges = spec.load_balancer_source_ranges.iter().flatten();
    let mut ranges: Vec<Ipv4Net> = ranges.filter_map(|range| range.trim().parse::<Ipv4Net>().ok()).collect();
    ranges.iter_mut().for_each(|range| *range = range.trunc());
    // "Everybody" needs no rule, and the kernel's form of it has no source at all.
    if ranges.iter().any(|range| range.prefix_len() == 0) { Vec::new() } else { ranges }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(spec: Value, status: Value) -> Vec<ServicePort> {
        let service = json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec, "status": status});
        ports(&serde_json::from_value(service).unwrap())
    }

    #[test]
    fn a_headless_service_and_a_name_elsewhere_have_nothing_to_proxy() {
        assert!(check(json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!({})).is_empty());
        let elsewhere = json!({"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]});
        assert!(check(elsewhere, json!({})).is_empty());
    }

    #[test]
    fn a_service_with_a_label_that_sends_the_proxy_away_is_not_proxied() {
        for label in [OTHER_PROXY, HEADLESS] {
            let service = json!({"metadata": {"namespace": "shop", "name": "web", "labels": {label: ""}},
                "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}});
            assert!(ports(&serde_json::from_value(service).unwrap()).is_empty(), "{label}");
        }
    }

    #[test]
    fn a_load_balancer_in_proxy_mode_keeps_its_own_traffic() {
        let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7", "sessionAffinity": "ClientIP",
            "loadBalancerSourceRanges": [" 192.168.1.7/24 "],
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
        let status = json!({"loadBalancer": {"ingress": [
            {"ip": "192.168.0.1", "ipMode": "VIP"}, {"ip": "192.168.0.2", "ipMode": "Proxy"}, {"hostname": "x"}]}});
        let port = check(spec, status).remove(0);
        assert_eq!(port.to_string(), "shop/web:http");
        assert_eq!(port.load_balancer_ips, [Ipv4Addr::new(192, 168, 0, 1)]);
        assert_eq!((port.node_port, port.affinity_seconds), (Some(30080), Some(10_800)));
        assert_eq!(port.source_ranges, ["192.168.1.0/24".parse().unwrap()]);
    }

    #[test]
    fn an_external_local_policy_still_needs_all_endpoints_for_pods_and_the_node() {
        let spec = json!({"type": "NodePort", "clusterIP": "10.96.0.7", "internalTrafficPolicy": "Local",
            "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30080}]});
        let port = check(spec, json!({})).remove(0);
        assert!(port.uses_cluster_endpoints() && port.uses_local_endpoints());
    }
}
