//! The rows of networking.k8s.io and discovery.k8s.io.
//!
//! Upstream: pkg/registry/networking/rest, pkg/registry/discovery/rest
//! Left out: nothing of 1.35's GA kinds.

use std::sync::Arc;

use crate::{
    row::{Row, Subresource::*},
    strategy::endpoints,
};

use super::{cluster_scoped, names, namespaced};

const NETWORKING: &str = "networking.k8s.io";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            short_names: names(&["ing"]),
            subresources: vec![Status],
            ..namespaced(NETWORKING, "v1", "Ingress", "ingresses")
        },
        cluster_scoped(NETWORKING, "v1", "IngressClass", "ingressclasses"),
        Row { short_names: names(&["netpol"]), ..namespaced(NETWORKING, "v1", "NetworkPolicy", "networkpolicies") },
        Row { subresources: vec![Status], ..cluster_scoped(NETWORKING, "v1", "ServiceCIDR", "servicecidrs") },
        Row { short_names: names(&["ip"]), ..cluster_scoped(NETWORKING, "v1", "IPAddress", "ipaddresses") },
        Row {
            strategy: Arc::new(endpoints::EndpointSlices),
            ..namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
        },
    ]
}
