//! The rules of the proxy in a real kernel: who reaches what, seen by whom.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "network/lab.rs"]
mod lab;

use std::fmt::Debug;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use client::Cache;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use lab::*;
use proxy::categories::Place;
use proxy::conntrack::{self, Fronts};
use proxy::iptables::Iptables;
use proxy::observed::Observed;
use proxy::ruleset::{Ruleset, ServiceWithEndpoints, Settings};
use proxy::serve::Progress;
use proxy::service_health::{self, HealthChecks};
use proxy::{endpoint, restore, routes, saved, service, sync};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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
        comments: true,
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
    apply_with(lab, &settings(), services)
}

fn apply_with(lab: &Lab, settings: &Settings, services: &[ServiceWithEndpoints]) -> String {
    let (desired, routes) = (Ruleset::build(settings, services), routes::wanted(settings, &[]));
    block_on(&lab.node(), async move {
        proxy::sysctl::prepare(&proxy::Config::new("n1"));
        let iptables = Iptables::detect().await;
        let current = saved::parse(&iptables.save().await.unwrap());
        let input = restore::input(&current, &desired).unwrap_or_default();
        iptables.restore(&input).await.unwrap();
        routes::set(&routes).await.unwrap();
        conntrack::let_go(&Fronts::of(services)).await.unwrap();
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

#[test]
fn a_pod_on_the_hosts_network_is_an_endpoint_for_pods_for_the_node_and_for_what_is_outside() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    let node = lab.node();
    serve(&node, SocketAddrV4::new(NODE_IP, 8080), "host");
    let spec = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    apply(&lab, &web(spec, &["192.168.77.1:8080"]));
    assert_eq!(ask(&a, "10.96.0.7:80").as_deref(), Ok("host sees 10.244.0.5"));
    assert_eq!(ask(&node, "10.96.0.7:80").as_deref(), Ok("host sees 192.168.77.1"));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:30080").as_deref(), Ok("host sees 192.168.77.100"));
}

#[test]
fn what_leaves_or_enters_the_pod_network_is_seen_as_the_node() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    let outside = lab.outside();
    serve(&outside, SocketAddrV4::new(OUTSIDE_IP, 8080), "outside");
    apply(&lab, &web(json!({}), &["10.244.0.5:8080"]));
    assert_eq!(ask(&a, "192.168.77.100:8080").as_deref(), Ok("outside sees 192.168.77.1"));
    // Who has a route to the cluster IPs may use them, and cannot know the way back from another node's pod.
    ip(&format!("-n {outside} route add 10.96.0.0/16 via {NODE_IP}"));
    assert_eq!(ask(&outside, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.1"));
}

#[test]
fn an_external_ip_that_is_no_address_of_the_node_is_answered_for_whoever_sends_it_here() {
    let mut lab = Lab::new();
    let (a, b) = two_pods(&mut lab);
    let (node, outside) = (lab.node(), lab.outside());
    apply(&lab, &web(json!({"spec": {"externalIPs": ["198.51.100.9"]}}), &["10.244.0.5:8080"]));
    ip(&format!("-n {outside} route add 198.51.100.9/32 via {NODE_IP}"));
    ip(&format!("-n {node} route add default via {OUTSIDE_IP}"));
    assert_eq!(ask(&outside, "198.51.100.9:80").as_deref(), Ok("a sees 10.244.0.1"));
    assert_eq!(ask(&node, "198.51.100.9:80").as_deref(), Ok("a sees 192.168.77.1"));
    assert_eq!(ask(&b, "198.51.100.9:80").as_deref(), Ok("a sees 10.244.0.6"));
    assert_eq!(ask(&a, "198.51.100.9:80").as_deref(), Ok("a sees 10.244.0.1"));
}

#[test]
fn under_an_external_local_policy_the_client_is_seen_with_its_own_address() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let spec = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.77.1"}]}}});
    ip(&format!("-n {} route add 10.244.0.0/16 via {NODE_IP}", lab.outside()));
    apply(&lab, &web(spec, &["10.244.0.5:8080"]));
    for address in ["192.168.77.1:30080", "192.168.77.1:80"] {
        assert_eq!(ask(&lab.outside(), address).as_deref(), Ok("a sees 192.168.77.100"), "{address}");
        assert_eq!(ask(&b, address).as_deref(), Ok("a sees 10.244.0.6"), "{address}");
    }
}

#[test]
fn only_source_ranges_reach_the_load_balancers_address_but_everybody_the_node_port() {
    let mut lab = Lab::new();
    let _pods = two_pods(&mut lab);
    let balanced = |range: &str| {
        let spec = json!({"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": [range],
            "ports": [{"port": 80, "nodePort": 30080}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.168.77.1"}]}}});
        web(spec, &["10.244.0.5:8080"])
    };
    apply(&lab, &balanced("192.168.77.100/32"));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:80").as_deref(), Ok("a sees 10.244.0.1"));
    apply(&lab, &balanced("192.168.77.101/32"));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:80"), Err(ErrorKind::TimedOut));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:30080").as_deref(), Ok("a sees 10.244.0.1"));
}

/// What Docker has in the kernel with one network and one published port, and a rule of the machine's owner.
const DOCKER: &str = include_str!("network/docker.rules");

#[test]
fn pods_are_reached_past_dockers_rules_which_stay_as_they_are() {
    let mut lab = Lab::new();
    let (a, b) = two_pods(&mut lab);
    let node = lab.node();
    run(&node, &["iptables-restore"], DOCKER);
    let before = rules(&node);
    let outside = lab.outside();
    serve(&outside, SocketAddrV4::new(OUTSIDE_IP, 8080), "outside");
    let spec = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    let services = web(spec, &["10.244.0.5:8080"]);
    apply(&lab, &services);
    assert_eq!(ask(&b, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.6"));
    assert_eq!(ask(&b, "10.244.0.5:8080").as_deref(), Ok("a sees 10.244.0.6"));
    assert_eq!(ask(&a, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.1"));
    assert_eq!(ask(&outside, "192.168.77.1:30080").as_deref(), Ok("a sees 10.244.0.1"));
    assert_eq!(ask(&a, "192.168.77.100:8080").as_deref(), Ok("outside sees 192.168.77.1"));

    let foreign = |rules: &str| -> String {
        rules.lines().filter(|line| !line.contains("KUBE-")).map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(foreign(&rules(&node)), before);
    assert_eq!(apply(&lab, &services), "", "a second run has nothing to do");
    block_on(&node, proxy::clean_up()).unwrap();
    assert_eq!(rules(&node), before);
    assert_eq!(run(&node, &["ip", "route", "show", "proto", "115"], ""), "");
}

#[test]
fn docker_that_starts_later_is_nothing_to_do() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let spec = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    let services = web(spec, &["10.244.0.5:8080"]);
    apply(&lab, &services);
    // Docker puts itself in front of what is there, and closes what falls through.
    run(&lab.node(), &["iptables-restore", "--noflush"], &DOCKER.replace("-A FORWARD", "-I FORWARD"));
    assert_eq!(ask(&b, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.6"));
    assert_eq!(ask(&lab.outside(), "192.168.77.1:30080").as_deref(), Ok("a sees 10.244.0.1"));
    assert_eq!(apply(&lab, &services), "");
}

#[test]
fn node_ports_on_localhost_do_not_open_localhost_to_the_wire() {
    let mut lab = Lab::new();
    let _pods = two_pods(&mut lab);
    let (node, outside) = (lab.node(), lab.outside());
    serve(&node, SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 5), 9000), "private");
    // A neighbour that sends to 127.0.0.5 over the wire, as no honest one does.
    ip(&format!("-n {outside} route del local 127.0.0.0/8 dev lo table local"));
    ip(&format!("-n {outside} route add 127.0.0.5/32 via {NODE_IP} src {OUTSIDE_IP}"));
    let route_localnet = "net.ipv4.conf.all.route_localnet=1";
    run(&outside, &["sysctl", "-q", "-w", route_localnet], "");
    run(&node, &["sysctl", "-q", "-w", route_localnet], "");
    assert_eq!(ask(&outside, "127.0.0.5:9000").as_deref(), Ok("private sees 192.168.77.100"), "without our rules");
    apply(&lab, &[]);
    assert_eq!(ask(&outside, "127.0.0.5:9000"), Err(ErrorKind::TimedOut));
    assert_eq!(ask(&node, "127.0.0.5:9000").as_deref(), Ok("private sees 127.0.0.1"));
}

#[test]
fn rules_of_ours_that_somebody_changed_are_put_back_and_others_left() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let (node, services) = (lab.node(), web(json!({}), &["10.244.0.5:8080"]));
    apply(&lab, &services);
    let good = rules(&node);
    run(&node, &["iptables", "-t", "nat", "-F", "KUBE-SERVICES"], "");
    run(&node, &["iptables", "-t", "nat", "-D", "OUTPUT", "1"], "");
    run(&node, &["iptables", "-I", "FORWARD", "1", "-s", "203.0.113.9", "-j", "DROP"], "");
    apply(&lab, &services);
    assert_eq!(ask(&b, "10.96.0.7:80").as_deref(), Ok("a sees 10.244.0.6"));
    let theirs = "-A FORWARD -s 203.0.113.9/32 -j DROP\n";
    let now = rules(&node);
    assert!(now.contains(theirs), "{now}");
    assert_eq!(now.replace(theirs, ""), good);
}

#[test]
fn rules_lose_their_comments_and_get_them_back_while_they_serve() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    let spec = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30999,
        "sessionAffinity": "ClientIP", "ports": [{"port": 80, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.168.77.1"}]}}});
    let services = web(spec, &["10.244.0.5:8080", "10.244.0.6:8080"]);
    let bare = Settings { comments: false, ..settings() };
    for settings in [settings(), bare, settings()] {
        apply_with(&lab, &settings, &services);
        assert_eq!(rules(&lab.node()).contains("shop/web"), settings.comments);
        assert_eq!(ask_often(&a, "10.96.0.7:80", 10).len(), 1);
        assert!(ask(&lab.outside(), "192.168.77.1:80").unwrap().ends_with("sees 192.168.77.100"));
    }
}

fn udp(endpoints: &[&str]) -> Vec<ServiceWithEndpoints> {
    let ports = json!([{"port": 53, "nodePort": 30053, "protocol": "UDP"}]);
    web(json!({"spec": {"type": "NodePort", "ports": ports}}), endpoints)
}

#[test]
fn a_udp_client_that_keeps_its_port_reaches_the_new_endpoint_when_the_old_is_gone() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let clients = [UdpClient::new(&lab.pod(Ipv4Addr::new(10, 244, 0, 7))), UdpClient::new(&lab.node())];
    let outside = UdpClient::new(&lab.outside());
    let ask_all = || -> Vec<String> {
        let answers =
            clients.iter().map(|client| client.ask("10.96.0.7:53")).chain([outside.ask("192.168.77.1:30053")]);
        answers.map(|answer| answer.split(' ').next().unwrap().to_owned()).collect()
    };
    apply(&lab, &udp(&["10.244.0.5:8080"]));
    assert_eq!(ask_all(), ["a", "a", "a"]);
    apply(&lab, &udp(&["10.244.0.6:8080"]));
    assert_eq!(ask_all(), ["b", "b", "b"]);
    // The same pod on another port is somebody else.
    serve(&b, "10.244.0.6:9090".parse().unwrap(), "c");
    apply(&lab, &udp(&["10.244.0.6:9090"]));
    assert_eq!(ask_all(), ["c", "c", "c"]);
    // One more endpoint takes nobody away from where he is.
    apply(&lab, &udp(&["10.244.0.5:8080", "10.244.0.6:8080", "10.244.0.6:9090"]));
    assert_eq!(ask_all(), ["c", "c", "c"]);
}

#[test]
fn a_udp_client_is_refused_when_the_last_endpoint_is_gone_or_the_service() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let services = udp(&["10.244.0.5:8080"]);
    let (first, second) = (UdpClient::new(&b), UdpClient::new(&b));
    apply(&lab, &services);
    assert_eq!(first.ask("10.96.0.7:53"), "a sees 10.244.0.6");
    apply(&lab, &udp(&[]));
    assert!(first.is_refused("10.96.0.7:53"));

    apply(&lab, &services);
    assert_eq!(second.ask("10.96.0.7:53"), "a sees 10.244.0.6");
    apply(&lab, &[]);
    let gone = Fronts::default().with_gone(&Fronts::of(&services));
    assert_eq!(block_on(&lab.node(), conntrack::let_go(&gone)).unwrap(), 1);
    assert!(second.is_refused("10.96.0.7:53"));
}

#[test]
fn a_udp_client_that_came_too_early_reaches_the_first_endpoint() {
    let mut lab = Lab::new();
    two_pods(&mut lab);
    let outside = UdpClient::new(&lab.outside());
    apply(&lab, &[]);
    assert!(outside.is_refused("192.168.77.1:30053"));
    apply(&lab, &udp(&["10.244.0.5:8080"]));
    assert_eq!(outside.ask("192.168.77.1:30053"), "a sees 10.244.0.1");
}

#[test]
fn flows_that_are_no_services_are_not_forgotten() {
    let mut lab = Lab::new();
    let (a, _) = two_pods(&mut lab);
    apply(&lab, &udp(&["10.244.0.5:8080"]));
    let client = UdpClient::new(&a);
    assert_eq!(client.ask("10.244.0.6:8080"), "b sees 10.244.0.5");
    apply(&lab, &udp(&["10.244.0.6:8080"]));
    let flows = block_on(&lab.node(), conntrack::flows()).unwrap();
    let theirs = flows.iter().filter(|flow| flow.destination == "10.244.0.6:8080".parse().unwrap());
    assert_eq!(theirs.count(), 1, "{flows:?}");
}

#[test]
fn a_load_balancer_is_told_whether_this_node_has_an_endpoint_even_past_a_closed_firewall() {
    let mut lab = Lab::new();
    let _pods = two_pods(&mut lab);
    let (node, outside) = (lab.node(), lab.outside());
    let services = |endpoints: &[&str]| {
        let spec =
            json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000}});
        web(spec, endpoints)
    };
    run(&node, &["iptables", "-P", "INPUT", "DROP"], "");
    apply(&lab, &services(&["10.244.0.5:8080"]));
    let answers = block_on(&node, async {
        let mut checks = HealthChecks::new(Arc::new(Progress::new(Duration::from_secs(30))));
        let mut answers = Vec::new();
        for services in [services(&["10.244.0.5:8080"]), services(&[]), Vec::new()] {
            checks.set(service_health::wanted(&services)).await;
            let outside = outside.clone();
            let answer = tokio::task::spawn_blocking(move || get(&outside, "192.168.77.1:32000")).await.unwrap();
            answers.push(answer.map(|answer| answer.lines().next().unwrap_or_default().to_owned()));
        }
        answers
    });
    let expected = ["HTTP/1.0 200 OK", "HTTP/1.0 503 Service Unavailable"].map(|line| Ok(line.to_owned()));
    assert_eq!(answers[..2], expected);
    // Refused; or reset, while a program that another test just starts still holds the socket too.
    assert!(answers[2].is_err(), "the Service is gone, and nobody answers: {answers:?}");
}

/// Runs the loop on the node, with UDP Service shop/dns of one endpoint in the cluster, until the kernel has what it
/// asks for; and does something then.
fn while_synced<T: Send + 'static>(lab: &Lab, endpoint: &str, then: impl FnOnce() -> T + Send + 'static) -> T {
    fn cache<K>(object: Value) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    {
        Cache::of_objects([serde_json::from_value(object).unwrap()])
    }
    let node = json!({"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.244.0.0/24"},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP}]}});
    let service = json!({"metadata": {"namespace": "shop", "name": "dns"}, "spec": {"type": "LoadBalancer",
        "clusterIP": "10.96.0.10", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
        "ports": [{"port": 53, "protocol": "UDP"}]}});
    let slice = json!({"metadata": {"namespace": "shop", "name": "dns-1", "labels": {"kubernetes.io/service-name": "dns"}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "UDP"}],
        "endpoints": [{"addresses": [endpoint], "nodeName": "n1"}]});
    let observed = Observed::of(cache(service), cache(slice), cache(node));
    let (config, shutdown) = (proxy::Config::new("n1"), CancellationToken::new());
    let progress = Arc::new(Progress::new(config.sync_period));
    block_on(&lab.node(), async {
        let running = sync::run(&config, observed, progress.clone(), Arc::default(), shutdown.clone());
        let (done, ()) = tokio::join!(
            async {
                progress.settled().await;
                let done = tokio::task::spawn_blocking(then).await;
                shutdown.cancel();
                done.unwrap()
            },
            running
        );
        done
    })
}

#[test]
fn the_loop_brings_rules_flows_and_health_checks_to_what_the_cluster_asks_for() {
    let mut lab = Lab::new();
    let (_, b) = two_pods(&mut lab);
    let client = Arc::new(UdpClient::new(&lab.pod(Ipv4Addr::new(10, 244, 0, 7))));
    for (endpoint, name) in [("10.244.0.5", "a"), ("10.244.0.6", "b")] {
        let (client, outside) = (client.clone(), lab.outside());
        let (answer, health) = while_synced(&lab, endpoint, move || {
            (client.ask("10.96.0.10:53"), get(&outside, "192.168.77.1:32000").unwrap())
        });
        assert_eq!(answer, format!("{name} sees 10.244.0.7"));
        assert!(health.starts_with("HTTP/1.0 200 OK"), "{health}");
    }
    // The rules outlive the proxy.
    let later = UdpClient::new(&b);
    assert_eq!(later.ask("10.96.0.10:53"), "b sees 10.244.0.1");
}
