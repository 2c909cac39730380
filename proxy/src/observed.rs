//! What the proxy sees of the cluster, turned into what decisions are made from.
//!
//! Upstream: pkg/proxy/config, pkg/proxy/node.go

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use client::{Cache, Informers, ObjectKey};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::categories::Place;
use crate::config::Config;
use crate::endpoint;
use crate::ruleset::{ServiceWithEndpoints, Settings};
use crate::service;

const ZONE: &str = "topology.kubernetes.io/zone";

/// The caches that everything is decided from.
#[derive(Clone)]
pub struct Observed {
    pub services: Cache<Service>,
    pub slices: Cache<EndpointSlice>,
    pub nodes: Cache<Node>,
}

impl Observed {
    pub fn new(informers: &Informers) -> Observed {
        Observed::of(informers.of(), informers.of(), informers.of())
    }

    /// The world that these caches show.
    pub fn of(services: Cache<Service>, slices: Cache<EndpointSlice>, nodes: Cache<Node>) -> Observed {
        slices.index("service", |slice| endpoint::service_of(slice).iter().map(ObjectKey::to_string).collect());
        Observed { services, slices, nodes }
    }

    /// Waits until all of the cluster has been seen once.
    pub async fn synced(&self) {
        tokio::join!(self.services.synced(), self.slices.synced(), self.nodes.synced());
    }

    /// The slices of a Service.
    pub fn slices_of(&self, service: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        self.slices.by_index("service", &service.to_string())
    }

    /// Every port of a Service, with its endpoints; none when it is gone, or needs no rules.
    pub fn ports_of(&self, service: &ObjectKey, node_name: &str) -> Vec<ServiceWithEndpoints> {
        let ports = self.services.get(service).map(|service| service::ports(&service)).unwrap_or_default();
        if ports.is_empty() {
            return Vec::new();
        }
        let slices = self.slices_of(service);
        let with_endpoints = |port: service::ServicePort| {
            let endpoints = endpoint::endpoints(&port, &slices, node_name);
            ServiceWithEndpoints { port, endpoints }
        };
        ports.into_iter().map(with_endpoints).collect()
    }

    /// What the rules depend on beside Services; these are few, so that their rules carry comments.
    pub fn settings(&self, config: &Config) -> Settings {
        let node = self.nodes.get(&ObjectKey::cluster(&config.node_name));
        let labels = node.as_ref().and_then(|node| node.metadata.labels.as_ref());
        Settings {
            place: Place {
                node_name: config.node_name.clone(),
                zone: labels.and_then(|labels| labels.get(ZONE)).filter(|zone| !zone.is_empty()).cloned(),
            },
            node_ip: config.bind_address.or_else(|| node.as_deref().and_then(address)),
            node_cidr: node.as_deref().and_then(pod_range),
            cluster_cidr: config.cluster_cidr,
            service_cidr: config.service_cidr,
            masquerade_mark: 1 << config.masquerade_bit,
            masquerade_all: config.masquerade_all,
            localhost_node_ports: config.localhost_node_ports,
            node_port_addresses: config.node_port_addresses.clone(),
            comments: true,
        }
    }
}

/// A node's IPv4 address: the internal one, else any.
pub fn address(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_deref().unwrap_or_default();
    let of_type = |wanted: &str| {
        let of_type = addresses.iter().filter(|address| address.type_ == wanted);
        of_type.filter_map(|address| address.address.parse::<IpAddr>().ok()).find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    };
    of_type("InternalIP").or_else(|| of_type("ExternalIP"))
}

/// The IPv4 addresses of a node's pods.
pub fn pod_range(node: &Node) -> Option<Ipv4Net> {
    let spec = node.spec.as_ref()?;
    let all = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
    all.into_iter().find_map(|range| range.parse().ok())
}
