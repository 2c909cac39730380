//! The tables of Services and what belongs to them.
//!
//! Upstream: pkg/printers/internalversion/printers.go
//! Left out: nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    NONE, Table, UNSET, ages, first_of, items, joined, labels, name, name_of, number, selector, text, text_or, wide,
};

pub const SERVICES: Table = Table {
    headings: &[
        name(),
        text("Type"),
        text("Cluster-IP"),
        text("External-IP"),
        text("Port(s)"),
        text("Age"),
        wide(text("Selector")),
    ],
    cells: |object, now| {
        vec![
            name_of(object),
            json!(text_or(object, "/spec/type", "")),
            json!(text_or(object, "/spec/clusterIPs/0", NONE)),
            json!(external_ip(object)),
            json!(service_ports(object)),
            ages::age(object, now),
            json!(labels(object.pointer("/spec/selector"))),
        ]
    },
};

fn external_ip(service: &Value) -> String {
    let external = joined(service, "/spec/externalIPs");
    match text_or(service, "/spec/type", "") {
        "ExternalName" => text_or(service, "/spec/externalName", "").to_owned(),
        "LoadBalancer" => match (load_balancer(service), external) {
            (balancer, external) if balancer.is_empty() && external.is_empty() => "<pending>".to_owned(),
            (balancer, external) if external.is_empty() => balancer,
            (balancer, external) if balancer.is_empty() => external,
            (balancer, external) => format!("{balancer},{external}"),
        },
        _ if external.is_empty() => NONE.to_owned(),
        _ => external,
    }
}

/// The addresses in `status.loadBalancer`, each once, sorted.
fn load_balancer(object: &Value) -> String {
    let addresses: BTreeSet<&str> = items(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| text_or(ingress, "/ip", text_or(ingress, "/hostname", "")))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

fn service_ports(service: &Value) -> String {
    let ports: Vec<String> = items(service, "/spec/ports")
        .iter()
        .map(|port| {
            let protocol = text_or(port, "/protocol", "");
            match (number(port, "/port"), number(port, "/nodePort")) {
                (number, 0) => format!("{number}/{protocol}"),
                (number, node) => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    if ports.is_empty() { NONE.to_owned() } else { ports.join(",") }
}

pub const ENDPOINTS: Table = Table {
    headings: &[name(), text("Endpoints"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(endpoints(object)), ages::age(object, now)],
};

fn endpoints(object: &Value) -> String {
    let mut list = Vec::new();
    for subset in items(object, "/subsets") {
        let ips = || items(subset, "/addresses").iter().map(|address| text_or(address, "/ip", ""));
        let ports = items(subset, "/ports");
        if ports.is_empty() {
            list.extend(ips().map(str::to_owned));
        }
        for port in ports {
            list.extend(ips().map(|ip| host_port(ip, number(port, "/port"))));
        }
    }
    if items(object, "/subsets").is_empty() { NONE.to_owned() } else { first_of(&list, 3) }
}

fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

pub const ENDPOINT_SLICES: Table = Table {
    headings: &[name(), text("AddressType"), text("Ports"), text("Endpoints"), text("Age")],
    cells: |object, now| {
        let ports = items(object, "/ports").iter().map(|port| match port["port"].as_i64() {
            Some(number) => number.to_string(),
            None => text_or(port, "/name", "*").to_owned(),
        });
        let addresses = items(object, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
        let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
        vec![
            name_of(object),
            json!(text_or(object, "/addressType", "")),
            json!(unless_empty(ports.collect())),
            json!(unless_empty(addresses.collect())),
            ages::age(object, now),
        ]
    },
};

fn unless_empty(list: Vec<String>) -> String {
    if list.is_empty() { UNSET.to_owned() } else { first_of(&list, 3) }
}

pub const INGRESSES: Table = Table {
    headings: &[name(), text("Class"), text("Hosts"), text("Address"), text("Ports"), text("Age")],
    cells: |object, now| {
        let hosts: Vec<String> = items(object, "/spec/rules")
            .iter()
            .map(|rule| text_or(rule, "/host", ""))
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        vec![
            name_of(object),
            json!(text_or(object, "/spec/ingressClassName", NONE)),
            json!(if hosts.is_empty() { "*".to_owned() } else { first_of(&hosts, 3) }),
            json!(load_balancer(object)),
            json!(if items(object, "/spec/tls").is_empty() { "80" } else { "80, 443" }),
            ages::age(object, now),
        ]
    },
};

pub const INGRESS_CLASSES: Table = Table {
    headings: &[name(), text("Controller"), text("Parameters"), text("Age")],
    cells: |object, now| {
        let parameters = object.pointer("/spec/parameters").filter(|each| each.is_object());
        let parameters = parameters.map_or(NONE.to_owned(), |each| {
            let (kind, group) = (text_or(each, "/kind", ""), text_or(each, "/apiGroup", ""));
            format!("{}/{}", api::status::qualified(group, kind), text_or(each, "/name", ""))
        });
        vec![name_of(object), json!(text_or(object, "/spec/controller", "")), json!(parameters), ages::age(object, now)]
    },
};

pub const NETWORK_POLICIES: Table = Table {
    headings: &[name(), text("Pod-Selector"), text("Age")],
    cells: |object, now| {
        vec![name_of(object), json!(selector(object.pointer("/spec/podSelector"))), ages::age(object, now)]
    },
};

pub const SERVICE_CIDRS: Table = Table {
    headings: &[name(), text("CIDRs"), text("Age")],
    cells: |object, now| vec![name_of(object), json!(joined(object, "/spec/cidrs")), ages::age(object, now)],
};

pub const IP_ADDRESSES: Table = Table {
    headings: &[name(), text("ParentRef")],
    cells: |object, _| {
        let parent = object.pointer("/spec/parentRef").filter(|parent| parent.is_object());
        let parent = parent.map_or(NONE.to_owned(), |parent| {
            let field = |name: &str| text_or(parent, name, "");
            let resource = api::status::qualified(field("/group"), field("/resource")).to_ascii_lowercase();
            match field("/namespace") {
                "" => format!("{resource}/{}", field("/name")),
                namespace => format!("{resource}/{namespace}/{}", field("/name")),
            }
        });
        vec![name_of(object), json!(parent)]
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_without_an_address_is_pending() {
        let mut service = json!({"spec": {"type": "LoadBalancer", "ports": [
            {"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]}});
        assert_eq!(external_ip(&service), "<pending>");
        assert_eq!(service_ports(&service), "80:30080/TCP,443/TCP");
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.2"}]}});
        assert_eq!(external_ip(&service), "10.0.0.2");
    }

    #[test]
    fn only_the_first_three_endpoints_are_shown() {
        let addresses: Vec<Value> = (1..6).map(|last| json!({"ip": format!("10.0.0.{last}")})).collect();
        let object = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        assert_eq!(endpoints(&object), "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
    }
}
