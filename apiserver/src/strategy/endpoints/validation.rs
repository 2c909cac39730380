//! What Endpoints and EndpointSlices may be, and what of them may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateEndpoints), pkg/apis/discovery/validation/validation.go
//! Left out: hints beyond their number.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use crate::{
    operations::metadata::validate_labels,
    strategy::validation::{
        Errors, addresses, immutable, looks_like, one_of, optional_like, port_number, required_one_of,
    },
};

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// The mistakes of Endpoints.
pub(super) fn endpoints(endpoints: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    for subset in endpoints.child("subsets").items() {
        let lists = [subset.child("addresses"), subset.child("notReadyAddresses")];
        if lists.iter().all(Field::is_empty) {
            errors.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
        }
        for address in lists.iter().flat_map(Field::items) {
            let ip = address.child("ip");
            addresses::ip(&ip, &mut errors);
            optional_like(&address.child("hostname"), names::is_dns1123_label, &mut errors);
            let node = address.child("nodeName");
            if !node.is_absent() {
                looks_like(&node, names::is_dns1123_subdomain, &mut errors);
            }
            addresses::not_special(&ip, &mut errors);
        }
        let ports = subset.child("ports");
        for port in ports.items() {
            endpoint_port(&port, ports.len() > 1, &mut errors);
        }
    }
    errors
}

fn endpoint_port(port: &Field<'_>, named: bool, errors: &mut Errors) {
    let (name, number) = (port.child("name"), port.child("port"));
    if named && name.is_empty() {
        errors.push(name.required(""));
    }
    optional_like(&name, names::is_dns1123_label, errors);
    port_number(&number, number.i64().unwrap_or_default(), errors);
    required_one_of(&port.child("protocol"), &PROTOCOLS, errors);
    let protocol = port.child("appProtocol");
    if !protocol.is_absent() {
        looks_like(&protocol, names::is_qualified_name, errors);
    }
}

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY_LABELS: usize = 16;

/// The mistakes of an EndpointSlice.
pub(super) fn slice(slice: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let kind = slice.child("addressType");
    required_one_of(&kind, &["FQDN", "IPv4", "IPv6"], &mut errors);
    let endpoints = slice.child("endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(endpoints.too_many(MAX_ENDPOINTS));
    } else {
        for endpoint in endpoints.items() {
            slice_endpoint(&endpoint, kind.str(), &mut errors);
        }
    }
    slice_ports(&slice.child("ports"), &mut errors);
    errors
}

fn slice_endpoint(endpoint: &Field<'_>, kind: &str, errors: &mut Errors) {
    let list = endpoint.child("addresses");
    if list.is_empty() {
        errors.push(list.required("must contain at least 1 address"));
    } else if list.len() > MAX_ADDRESSES {
        errors.push(list.too_many(MAX_ADDRESSES));
        return;
    }
    for address in list.items() {
        match kind {
            "IPv4" | "IPv6" => {
                let parsed = addresses::parse_ip(address.str());
                if parsed.is_none_or(|ip| ip.is_ipv4() != (kind == "IPv4")) {
                    errors.push(address.invalid(format!("must be a valid {kind} address")));
                } else {
                    addresses::not_special(&address, errors);
                }
            }
            "FQDN" => looks_like(&address, names::is_dns1123_subdomain, errors),
            _ => {}
        }
    }
    let node = endpoint.child("nodeName");
    if !node.is_absent() {
        looks_like(&node, names::is_dns1123_subdomain, errors);
    }
    let topology = endpoint.alias("deprecatedTopology", &endpoint.value["deprecatedTopology"]);
    if topology.len() > MAX_TOPOLOGY_LABELS {
        errors.push(topology.too_many(MAX_TOPOLOGY_LABELS));
    }
    validate_labels(&topology, errors);
    let host = endpoint.child("hostname");
    if !host.is_absent() {
        looks_like(&host, names::is_dns1123_label, errors);
    }
}

fn slice_ports(ports: &Field<'_>, errors: &mut Errors) {
    if ports.len() > MAX_PORTS {
        errors.push(ports.too_many(MAX_PORTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        optional_like(&name, names::is_dns1123_label, errors);
        if !seen.insert(name.str().to_owned()) {
            errors.push(name.duplicate_value(name.str()));
        }
        let protocol = port.child("protocol");
        if protocol.is_absent() {
            errors.push(protocol.required(""));
        } else {
            one_of(&protocol, &PROTOCOLS, errors);
        }
        let application = port.child("appProtocol");
        if !application.is_absent() {
            looks_like(&application, names::is_qualified_name, errors);
        }
    }
}

/// The mistakes in a change of an EndpointSlice: its address type stays.
pub(super) fn slice_update(slice: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::slice(slice);
    immutable(&slice.child("addressType"), &current["addressType"], &mut errors);
    errors
}
