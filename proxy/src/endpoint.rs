//! The endpoints of a Service's port, gathered from its EndpointSlices.
//!
//! Upstream: pkg/proxy/endpoint.go, pkg/proxy/endpointslicecache.go
//! Left out: addresses after an endpoint's first, which upstream passes over too.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};

use crate::service::{Protocol, ServicePort};

/// The label that says whose endpoints a slice holds.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The annotation with the time of the change that a slice was written for.
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// One place where a connection can go.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub address: SocketAddrV4,
    pub ready: bool,
    /// Ready, or would be if it were not terminating.
    pub serving: bool,
    pub terminating: bool,
    /// On this node.
    pub is_local: bool,
    /// The zones and nodes that should use it; empty when it has no hint.
    pub for_zones: Vec<String>,
    pub for_nodes: Vec<String>,
}

impl Endpoint {
    pub fn ip(&self) -> Ipv4Addr {
        *self.address.ip()
    }
}

/// The Service that a slice belongs to.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
}

/// When the change happened that a slice was written for, if it says so.
pub fn trigger_time(slice: &EndpointSlice) -> Option<Timestamp> {
    slice.metadata.annotations.as_ref()?.get(LAST_CHANGE)?.parse().ok()
}

/// The endpoints of a port, ordered by address, each once.
///
/// An endpoint that two slices hold (it is moving from one to the other) counts as ready when either says so.
pub fn endpoints(port: &ServicePort, slices: &[Arc<EndpointSlice>], node_name: &str) -> Vec<Endpoint> {
    let mut found: BTreeMap<SocketAddrV4, Endpoint> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        for number in port_numbers(port, slice) {
            for endpoint in slice.endpoints.iter().filter_map(|endpoint| of_slice(endpoint, number, node_name)) {
                let known = found.get(&endpoint.address);
                if known.is_none_or(|known| !known.ready && (endpoint.ready || !known.serving)) {
                    found.insert(endpoint.address, endpoint);
                }
            }
        }
    }
    found.into_values().collect()
}

/// What the Service's port is called by the pods of this slice.
fn port_numbers(port: &ServicePort, slice: &EndpointSlice) -> Vec<u16> {
    let of_name = slice.ports.iter().flatten().filter(|known| {
        let protocol = Protocol::parse(known.protocol.as_deref());
        known.name.as_deref().unwrap_or_default() == port.name && protocol == Some(port.protocol)
    });
    of_name.filter_map(|known| known.port?.try_into().ok()).collect()
}

fn of_slice(endpoint: &SliceEndpoint, port: u16, node_name: &str) -> Option<Endpoint> {
    let address = endpoint.addresses.first()?.parse().ok()?;
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let hints = endpoint.hints.clone().unwrap_or_default();
    Some(Endpoint {
        address: SocketAddrV4::new(address, port),
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        is_local: endpoint.node_name.as_deref() == Some(node_name),
        for_zones: hints.for_zones.into_iter().flatten().map(|zone| zone.name).collect(),
        for_nodes: hints.for_nodes.into_iter().flatten().map(|node| node.name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(slices: &[Value]) -> Vec<String> {
        let service = json!({"metadata": {"namespace": "shop", "name": "web"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]}});
        let port = crate::service::ports(&serde_json::from_value(service).unwrap()).remove(0);
        let slices: Vec<Arc<EndpointSlice>> =
            slices.iter().map(|slice| Arc::new(serde_json::from_value(slice.clone()).unwrap())).collect();
        let words = |endpoint: Endpoint| {
            let local = if endpoint.is_local { " local" } else { "" };
            let state = if endpoint.ready { "ready" } else { "unready" };
            format!("{} {state}{local}", endpoint.address)
        };
        endpoints(&port, &slices, "n1").into_iter().map(words).collect()
    }

    #[test]
    fn a_named_port_may_be_another_number_on_each_slice() {
        let slice = |address: &str, port: u16, node: &str| {
            json!({"addressType": "IPv4", "ports": [{"name": "http", "port": port}, {"name": "admin", "port": 1}],
                "endpoints": [{"addresses": [address], "nodeName": node}]})
        };
        let expected = ["10.244.0.5:8080 ready local", "10.244.1.5:9090 ready"];
        assert_eq!(check(&[slice("10.244.1.5", 9090, "n2"), slice("10.244.0.5", 8080, "n1")]), expected);
    }

    #[test]
    fn an_endpoint_that_moves_between_slices_is_there_once_and_stays_ready() {
        let slice = |ready: bool| {
            json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 80}],
                "endpoints": [{"addresses": ["10.244.0.5"], "conditions": {"ready": ready}}]})
        };
        assert_eq!(check(&[slice(true), slice(false)]), ["10.244.0.5:80 ready"]);
        assert_eq!(check(&[slice(false), slice(true)]), ["10.244.0.5:80 ready"]);
    }

    #[test]
    fn a_slice_of_the_other_family_is_passed_over() {
        let slice = json!({"addressType": "IPv6", "ports": [{"name": "http", "port": 80}],
            "endpoints": [{"addresses": ["fd00::5"]}]});
        assert!(check(&[slice]).is_empty());
    }
}
