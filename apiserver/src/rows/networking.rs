//! The rows of networking.k8s.io and discovery.k8s.io.
//!
//! Upstream: pkg/registry/networking/rest, pkg/registry/discovery/rest
//! Left out: nothing of 1.35's GA kinds.

use std::sync::Arc;

use crate::{
    row::{Row, Subresource::*},
    strategy::{endpoints, ingress, network_policy, service_addresses},
};

use super::{cluster_scoped, names, namespaced, print};

const NETWORKING: &str = "networking.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            short_names: names(&["ing"]),
            subresources: vec![Status],
            strategy: Arc::new(ingress::Ingresses),
            ..namespaced(NETWORKING, "v1", "Ingress", "ingresses")
        }
        .shown_as(print::networking::INGRESSES),
        Row {
            strategy: Arc::new(ingress::IngressClasses),
            ..cluster_scoped(NETWORKING, "v1", "IngressClass", "ingressclasses")
        }
        .shown_as(print::networking::INGRESS_CLASSES),
        Row {
            short_names: names(&["netpol"]),
            lies_idle: true,
            strategy: Arc::new(network_policy::NetworkPolicies),
            ..namespaced(NETWORKING, "v1", "NetworkPolicy", "networkpolicies")
        }
        .shown_as(print::networking::NETWORK_POLICIES),
        Row {
            subresources: vec![Status],
            lies_idle: true,
            strategy: Arc::new(service_addresses::ServiceCidrs),
            ..cluster_scoped(NETWORKING, "v1", "ServiceCIDR", "servicecidrs")
        }
        .shown_as(print::networking::SERVICE_CIDRS),
        Row {
            short_names: names(&["ip"]),
            strategy: Arc::new(service_addresses::IpAddresses),
            ..cluster_scoped(NETWORKING, "v1", "IPAddress", "ipaddresses")
        }
        .shown_as(print::networking::IP_ADDRESSES),
        Row {
            strategy: Arc::new(endpoints::EndpointSlices),
            ..namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
        }
        .shown_as(print::networking::ENDPOINT_SLICES),
    ]
}
