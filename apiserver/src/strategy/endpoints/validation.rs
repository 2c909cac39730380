//! What Endpoints and EndpointSlices may be, and what of them may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateEndpoints), pkg/apis/discovery/validation/validation.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, addresses, immutable, looks_like, one_of, optional_like, port_number, required_one_of,
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
const MAX_HINTS: usize = 8;

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
            "FQDN" => domain_name(&address, errors),
            _ => {}
        }
    }
    let node = endpoint.child("nodeName");
    if !node.is_absent() {
        looks_like(&node, names::is_dns1123_subdomain, errors);
    }
    let host = endpoint.child("hostname");
    if !host.is_absent() {
        looks_like(&host, names::is_dns1123_label, errors);
    }
    hints(&endpoint.child("hints"), errors);
}

/// A name with a domain, be there a dot at its end or not. Of several mistakes only the first is told.
fn domain_name(field: &Field<'_>, errors: &mut Errors) {
    let text = field.str();
    if text.is_empty() {
        errors.push(field.required(""));
        return;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let mistakes = names::is_dns1123_subdomain(name);
    let label = name.split('.').find(|label| !names::is_dns1123_label(label).is_empty());
    if !mistakes.is_empty() {
        errors.push(field.invalid_value(name, mistakes.join(",")));
    } else if !name.contains('.') {
        errors.push(field.invalid_value(name, "should be a domain with at least two segments separated by dots"));
    } else if let Some(label) = label {
        errors.push(field.invalid_value(label, names::is_dns1123_label(label).join(",")));
    }
}

/// For whom the endpoint is meant: the nodes of some zones, or some nodes.
fn hints(hints: &Field<'_>, errors: &mut Errors) {
    let (zones, nodes) = (hints.child("forZones"), hints.child("forNodes"));
    hints_by_name(&zones, names::is_label_value, errors);
    if zones.len() <= MAX_HINTS {
        hints_by_name(&nodes, names::is_dns1123_subdomain, errors);
    }
}

fn hints_by_name(list: &Field<'_>, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if list.len() > MAX_HINTS {
        errors.push(list.too_many(MAX_HINTS));
        return;
    }
    let mut seen = BTreeSet::new();
    for hint in list.items() {
        let name = hint.child("name");
        if !seen.insert(name.str().to_owned()) {
            errors.push(name.duplicate_value(name.str()));
        }
        looks_like(&name, rule, errors);
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
