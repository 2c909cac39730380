//! The rules of the proxy in a real kernel: who reaches what, seen by whom.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "network/lab.rs"]
mod lab;

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use lab::*;
use proxy::categories::Place;
use proxy::iptables::Iptables;
use proxy::ruleset::{Ruleset, ServiceWithEndpoints, Settings};
use proxy::{endpoint, restore, routes, saved, service};
use serde_json::{Value, json};

const POD_A: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 5);
const POD_B: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 6);

fn settings() -> Settings {
    Settings {
        place: Place { node_name: "n1".into(), zone: None },
        node_ip: Some(NODE_IP),
        node_cidr: Some("10.244.0.0/24".parse().unwrap()),
        cluster_cidr: "10.244.0.0/16".parse().unwrap(),
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        masquerade_mark: 0x4000,
        masquerade_all: false,
        localhost_node_ports: true,
        node_port_addresses: Vec::new(),
    }
}

/// A Service of one port, with ready endpoints of this node.
fn web(spec: Value, endpoints: &[&str]) -> Vec<ServiceWithEndpoints> {
    let mut service = json!({"metadata": {"namespace": "shop", "name": "web"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}});
    json_patch(&mut service, &spec);
    let service: Service = serde_json::from_value(service).unwrap();
    let ports = service::ports(&service);
    assert!(!ports.is_empty());
    ports.into_iter().map(|port| {
        let endpoints = endpoints.iter().map(|address| {
            let (address, number) = address.split_once(':').unwrap();
            let slice = json!({"addressType": "IPv4",
                "ports": [{"name": port.name, "port": number.parse::<u16>().unwrap(), "protocol": port.protocol.name().to_uppercase()}],
                "endpoints": [{"addresses": [address], "nodeName": "n1"}]});
            Arc::new(serde_json::from_value::<EndpointSlice>(slice).unwrap())
        });
        let slices: Vec<_> = endpoints.collect();
        let endpoints = endpoint::endpoints(&port, &slices, "n1");
        ServiceWithEndpoints { port, endpoints }
    }).collect()
}

fn json_patch(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            patch.iter().for_each(|(key, value)| json_patch(target.entry(key).or_insert(Value::Null), value));
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Brings the node's kernel from whatever it has to the rules for these Services. Returns what was restored.
fn apply(lab: &Lab, services: &[ServiceWithEndpoints]) -> String {
    let desired = Ruleset::build(&settings(), services);
    block_on(&lab.node(), async move {
        proxy::sysctl::prepare(&proxy::Config::new("n1"));
        let iptables = Iptables::detect().await;
        let current = saved::parse(&iptables.save().await.unwrap());
        let input = restore::input(&current, &desired).unwrap_or_default();
        iptables.restore(&input).await.unwrap();
        routes::set(&routes::wanted(&settings(), &[])).await.unwrap();
        let now = saved::parse(&iptables.save().await.unwrap());
        assert_eq!(restore::input(&now, &desired), None, "the kernel has what was wanted, letter by letter");
        input
    })
}

fn two_pods(lab: &mut Lab) -> (String, String) {
    let (a, b) = (lab.pod(POD_A), lab.pod(POD_B));
    serve(&a, "10.244.0.5:8080".parse().unwrap(), "a");
    serve(&b, "10.244.0.6:8080".parse().unwrap(), "b");
    (a, b)
}

#[test]
fn a_pod_reaches_another_and_itself_through_a_service() {
    let mut lab = Lab::new();
    let (a, b) = two_pods(&mut lab);
    apply(&lab, &web(json!({}), &["10.244.0.5:8080"]));
    // The other pod is seen with its own address: nothing is masqueraded inside of the cluster.
    assert_eq!(ask(&b, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.6"));
    // Itself it can only be seen as somebody else.
    assert_eq!(ask(&a, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.1"));
}

#[test]
fn the_node_reaches_a_cluster_ip_without_a_default_route() {
    let mut lab = Lab::new();
    two_pods(&mut lab);
    apply(&lab, &web(json!({}), &["10.244.0.5:8080"]));
    let node = lab.node();
    assert_eq!(run(&node, &["ip", "route", "show", "default"], ""), "");
    assert_eq!(ask(&node, "10.96.0.7:80").as_deref(), Ok(&*format!("a sees {NODE_IP}")));
    // What belongs to no Service is refused at once and does not go round in circles.
    assert_eq!(ask(&node, "10.96.0.8:80"), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn without_endpoints_a_connection_is_refused_at_once() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    let spec = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    apply(&lab, &web(spec, &[]));
    assert_eq!(ask(&a, "10.96.0.7:80"), Err(ErrorKind::ConnectionRefused));
    assert_eq!(ask(&lab.node(), "10.96.0.7:80"), Err(ErrorKind::ConnectionRefused));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:30080"), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn connections_are_spread_evenly_over_five_endpoints() {
    let mut lab = Lab::new();
    let names = ["one", "two", "three", "four", "five"];
    let addresses: Vec<String> = (0..5).map(|number| format!("10.244.0.{}:8080", number + 10)).collect();
    for (address, name) in addresses.iter().zip(names) {
        let address: std::net::SocketAddrV4 = address.parse().unwrap();
        let pod = lab.pod(*address.ip());
        serve(&pod, address, name);
    }
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    apply(&lab, &web(json!({}), &addresses));
    let client = lab.pod(POD_A);
    let answered = ask_often(&client, "10.96.0.7:80", 1000);
    assert_eq!(answered.len(), 5, "{answered:?}");
    assert!(answered.values().all(|count| (140..=260).contains(count)), "{answered:?}");
    // One that is taken away takes nobody else's connections with it.
    apply(&lab, &web(json!({}), &addresses[1..]));
    let answered = ask_often(&client, "10.96.0.7:80", 200);
    assert!(answered.len() == 4 && !answered.contains_key("one"), "{answered:?}");
}

#[test]
fn a_client_keeps_its_endpoint_when_the_service_says_so() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let spec = json!({"spec": {"sessionAffinity": "ClientIP"}});
    apply(&lab, &web(spec, &["10.244.0.5:8080", "10.244.0.6:8080"]));
    assert_eq!(ask_often(&b, "10.96.0.7:80", 30).len(), 1);
    assert_eq!(ask_often(&lab.node(), "10.96.0.7:80", 30).len(), 1);
}

#[test]
fn what_is_outside_reaches_the_node_port_and_the_load_balancers_address() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    let spec = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.77.1"}]}}});
    apply(&lab, &web(spec, &["10.244.0.5:8080"]));
    for address in ["192.168.77.1:30080", "192.168.77.1:80"] {
        // Masqueraded: the endpoint could be on another node, and would answer past this one.
        assert_eq!(ask(&lab.outside(), address).as_deref(), Ok("a sees 10.244.0.1"), "{address}");
        assert_eq!(ask(&lab.node(), address).as_deref(), Ok(&*format!("a sees {NODE_IP}")), "{address}");
        assert_eq!(ask(&a, address).as_deref(), Ok("a sees 10.244.0.1"), "{address}");
    }
    assert_eq!(ask(&lab.node(), "127.0.0.1:30080").as_deref(), Ok("a sees 10.244.0.1"));
}
