//! Golden rules: what one Service adds to the rules that are always there.
//!
//! Upstream: pkg/proxy/iptables/proxier_test.go

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::*;
use crate::{endpoint, service};

pub fn settings() -> Settings {
    Settings {
        place: Place { node_name: "n1".into(), zone: None },
        node_ip: Some(Ipv4Addr::new(192, 168, 0, 1)),
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

/// The ports of Service shop/web, at 10.96.0.7 unless its spec says otherwise.
///
/// An endpoint is an address, and words about it: `local` is on this node, `draining` terminates but still serves,
/// `unready` does not take traffic.
fn web(spec: Value, endpoints: &[&str]) -> Vec<ServiceWithEndpoints> {
    let addresses = spec["status"].clone();
    let mut service = json!({"metadata": {"namespace": "shop", "name": "web"}, "spec": spec,
        "status": {"loadBalancer": {"ingress": addresses}}});
    let spec = service["spec"].as_object_mut().unwrap();
    spec.remove("status");
    spec.entry("clusterIP").or_insert("10.96.0.7".into());
    spec.entry("ports").or_insert(json!([{"port": 80, "nodePort": 30080}]));
    let service: Service = serde_json::from_value(service).unwrap();
    let of_port = |port: ServicePort| {
        let slices: Vec<_> = endpoints.iter().map(|words| Arc::new(slice(&port, words))).collect();
        let endpoints = endpoint::endpoints(&port, &slices, "n1");
        ServiceWithEndpoints { port, endpoints }
    };
    service::ports(&service).into_iter().map(of_port).collect()
}

fn slice(port: &ServicePort, words: &str) -> EndpointSlice {
    let words: Vec<&str> = words.split(' ').collect();
    let (address, number) = words[0].split_once(':').unwrap();
    let (ready, draining) = (!words.contains(&"unready"), words.contains(&"draining"));
    let slice = json!({"addressType": "IPv4",
        "ports": [{"name": port.name, "port": number.parse::<u16>().unwrap(), "protocol": port.protocol.name().to_uppercase()}],
        "endpoints": [{"addresses": [address], "nodeName": if words.contains(&"local") { "n1" } else { "n2" },
            "conditions": {"ready": ready && !draining, "serving": ready, "terminating": draining}}]});
    serde_json::from_value(slice).unwrap()
}

/// Every rule, as `iptables-save` would print it.
fn lines(ruleset: &Ruleset) -> Vec<String> {
    let of_table = |name: &'static str, table: &Table| -> Vec<String> {
        let hooks = table.hooks.iter().map(|hook| format!("{name} -A {} {}", hook.chain, hook.rule));
        let of_chain = |(chain, rules): (&String, &Chain)| {
            rules.iter().map(|rule| format!("{name} -A {chain} {rule}")).collect::<Vec<_>>()
        };
        hooks.chain(table.chains.iter().flat_map(of_chain)).collect()
    };
    [of_table("nat", &ruleset.nat), of_table("filter", &ruleset.filter)].concat()
}

/// The rules that these Services add.
fn added(settings: &Settings, services: &[ServiceWithEndpoints]) -> Vec<String> {
    let always: BTreeSet<String> = lines(&Ruleset::build(settings, &[])).into_iter().collect();
    lines(&Ruleset::build(settings, services)).into_iter().filter(|line| !always.contains(line)).collect()
}

/// What is added but for the steps of the address tree, of which one test shows all.
fn check_with(settings: &Settings, services: &[ServiceWithEndpoints], expected: Expect) {
    let added = added(settings, services).into_iter().filter(|line| !line.contains("-j KUBE-IP-"));
    expected.assert_eq(&added.map(|line| line + "\n").collect::<String>());
}

fn check(spec: Value, endpoints: &[&str], expected: Expect) {
    check_with(&settings(), &web(spec, endpoints), expected);
}

#[test]
fn the_rules_that_are_always_there() {
    expect![[r#"
        nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        nat -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        nat -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
        nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
        nat -A KUBE-POSTROUTING -s 192.168.0.1/32 -m comment --comment "the source is this node already" -j RETURN
        nat -A KUBE-POSTROUTING -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "between pods" -j RETURN
        nat -A KUBE-POSTROUTING -s 10.244.0.0/16 -d 224.0.0.0/4 -j RETURN
        nat -A KUBE-POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment "pods leaving the cluster" -j MASQUERADE --random-fully
        nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
        nat -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
        nat -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
        nat -A KUBE-SERVICES ! -s 10.244.0.0/16 -d 10.96.0.0/16 -m comment --comment "kubernetes service traffic from outside of the pods" -j KUBE-MARK-MASQ
        nat -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
        filter -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        filter -A INPUT -j KUBE-FIREWALL
        filter -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
        filter -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        filter -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
        filter -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
        filter -A OUTPUT -j KUBE-FIREWALL
        filter -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
        filter -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
        filter -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
        filter -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        filter -A KUBE-FORWARD -s 10.244.0.0/16 -m comment --comment "kubernetes pods" -j ACCEPT
        filter -A KUBE-FORWARD -d 10.244.0.0/16 -m comment --comment "kubernetes pods" -j ACCEPT
        filter -A KUBE-SERVICES -d 10.96.0.0/16 -m comment --comment "no such kubernetes service" -j REJECT --reject-with icmp-port-unreachable
    "#]].assert_eq(&(lines(&Ruleset::build(&settings(), &[])).join("\n") + "\n"));
}

#[test]
fn an_address_is_found_in_two_steps() {
    let at = |address: &str, endpoints: &[&str]| web(json!({"clusterIP": address}), endpoints);
    let one: &[&str] = &["10.244.1.5:80"];
    let services = [at("10.96.0.7", one), at("10.96.3.200", one), at("10.96.4.1", one), at("10.96.4.2", &[])].concat();
    let steps = added(&settings(), &services).into_iter().filter(|line| line.contains("-j KUBE-IP-"));
    expect![[r#"
        nat -A KUBE-IP-10.96.0.0-22 -d 10.96.0.0/26 -j KUBE-IP-10.96.0.0-26
        nat -A KUBE-IP-10.96.0.0-22 -d 10.96.3.192/26 -j KUBE-IP-10.96.3.192-26
        nat -A KUBE-IP-10.96.4.0-22 -d 10.96.4.0/26 -j KUBE-IP-10.96.4.0-26
        nat -A KUBE-SERVICES -d 10.96.0.0/22 -j KUBE-IP-10.96.0.0-22
        nat -A KUBE-SERVICES -d 10.96.4.0/22 -j KUBE-IP-10.96.4.0-22
        filter -A KUBE-IP-10.96.4.0-22 -d 10.96.4.0/26 -j KUBE-IP-10.96.4.0-26
        filter -A KUBE-SERVICES -d 10.96.4.0/22 -j KUBE-IP-10.96.4.0-22
    "#]]
    .assert_eq(&steps.map(|line| line + "\n").collect::<String>());
}

#[test]
fn a_service_without_endpoints_is_refused() {
    check(
        json!({}),
        &[],
        expect![[r#"
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
    check(
        json!({}),
        &["10.244.0.5:8080 local unready"],
        expect![[r#"
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
}

#[test]
fn one_endpoint_gets_all_connections() {
    check(
        json!({}),
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
}

#[test]
fn three_endpoints_are_equally_likely_and_those_of_this_node_may_meet_themselves() {
    check(
        json!({}),
        &["10.244.0.5:8080 local", "10.244.0.6:8080 local", "10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.0.5:8080
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.6:8080
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-POSTROUTING -s 10.244.0.5/32 -d 10.244.0.5/32 -m comment --comment "a pod that meets itself" -j MASQUERADE --random-fully
        nat -A KUBE-POSTROUTING -s 10.244.0.6/32 -d 10.244.0.6/32 -m comment --comment "a pod that meets itself" -j MASQUERADE --random-fully
    "#]],
    );
}

#[test]
fn an_endpoint_at_the_nodes_own_address_is_not_masqueraded() {
    check(
        json!({}),
        &["192.168.0.1:6443 local"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 192.168.0.1:6443
    "#]],
    );
}

#[test]
fn many_endpoints_have_a_chain() {
    let endpoints = ["10.244.1.1:80", "10.244.1.2:80", "10.244.1.3:80", "10.244.1.4:80", "10.244.1.5:80"];
    check(
        json!({}),
        &endpoints,
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.1:80" -m statistic --mode random --probability 0.20000000019 -j DNAT --to-destination 10.244.1.1:80
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.2:80" -m statistic --mode random --probability 0.25000000000 -j DNAT --to-destination 10.244.1.2:80
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.3:80" -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.1.3:80
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.4:80" -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.4:80
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:80" -j DNAT --to-destination 10.244.1.5:80
    "#]],
    );
}

#[test]
fn a_headless_service_has_no_rules() {
    check(json!({"clusterIP": "None"}), &["10.244.0.5:8080 local"], expect![[""]]);
}

#[test]
fn a_node_port_is_masqueraded_but_not_for_this_nodes_own_pods() {
    check(
        json!({"type": "NodePort"}),
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
    check(
        json!({"type": "NodePort"}),
        &[],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-SERVICES -p tcp -m comment --comment "shop/web has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
}

#[test]
fn a_load_balancers_address_leads_where_its_node_port_leads() {
    let spec = json!({"type": "LoadBalancer", "status": [{"ip": "198.51.100.9"}]});
    check(
        spec,
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
}

#[test]
fn external_ips_are_answered_or_refused() {
    let spec = json!({"externalIPs": ["198.51.100.9", "198.51.100.10"]});
    check(
        spec.clone(),
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.10/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
    check(
        spec,
        &[],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.10/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.10/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
}

#[test]
fn an_external_local_policy_keeps_the_clients_address_and_uses_this_nodes_endpoint() {
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "status": [{"ip": "198.51.100.9"}]});
    check(
        spec,
        &["10.244.0.5:8080 local", "10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -s 10.244.0.0/16 -m comment --comment "pod traffic for shop/web external destinations" -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "masquerade LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "route LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVL-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.5:8080
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-POSTROUTING -s 10.244.0.5/32 -d 10.244.0.5/32 -m comment --comment "a pod that meets itself" -j MASQUERADE --random-fully
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.0.5:8080" -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.5:8080
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-SVL-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.0.5:8080" -j DNAT --to-destination 10.244.0.5:8080
    "#]],
    );
}

#[test]
fn an_external_local_policy_without_an_endpoint_here_drops_what_is_not_from_pods_or_the_node() {
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "status": [{"ip": "198.51.100.9"}]});
    check(
        spec,
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -s 10.244.0.0/16 -m comment --comment "pod traffic for shop/web external destinations" -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "masquerade LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "route LOCAL traffic for shop/web external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web has no local endpoints" -m tcp --dport 80 -j DROP
        filter -A KUBE-SERVICES -p tcp -m comment --comment "shop/web has no local endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP
    "#]],
    );
}

#[test]
fn an_internal_local_policy_uses_only_this_nodes_endpoints_and_drops_when_others_have_them() {
    let spec = json!({"internalTrafficPolicy": "Local"});
    check(
        spec.clone(),
        &["10.244.0.5:8080 local", "10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.0.5:8080
        nat -A KUBE-POSTROUTING -s 10.244.0.5/32 -d 10.244.0.5/32 -m comment --comment "a pod that meets itself" -j MASQUERADE --random-fully
    "#]],
    );
    check(
        spec.clone(),
        &["10.244.1.5:8080"],
        expect![[r#"
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no local endpoints" -m tcp --dport 80 -j DROP
    "#]],
    );
    check(
        spec,
        &[],
        expect![[r#"
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
}

#[test]
fn a_client_that_is_known_goes_back_to_its_endpoint() {
    let spec = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    check(
        spec,
        &["10.244.0.5:8080 local", "10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-POSTROUTING -s 10.244.0.5/32 -d 10.244.0.5/32 -m comment --comment "a pod that meets itself" -j MASQUERADE --random-fully
        nat -A KUBE-SEP-4PCKNL7CLNOJZMVX -p tcp -m recent --set --name KUBE-SEP-4PCKNL7CLNOJZMVX --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.5:8080
        nat -A KUBE-SEP-JEWKWDKY4ODQIXQB -p tcp -m recent --set --name KUBE-SEP-JEWKWDKY4ODQIXQB --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -m comment --comment "shop/web -> 10.244.0.5:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-4PCKNL7CLNOJZMVX --mask 255.255.255.255 --rsource -j KUBE-SEP-4PCKNL7CLNOJZMVX
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -m comment --comment "shop/web -> 10.244.1.5:8080" -m recent --rcheck --seconds 60 --reap --name KUBE-SEP-JEWKWDKY4ODQIXQB --mask 255.255.255.255 --rsource -j KUBE-SEP-JEWKWDKY4ODQIXQB
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -m comment --comment "shop/web -> 10.244.0.5:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-4PCKNL7CLNOJZMVX
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -m comment --comment "shop/web -> 10.244.1.5:8080" -j KUBE-SEP-JEWKWDKY4ODQIXQB
    "#]],
    );
}

#[test]
fn endpoints_that_terminate_but_serve_are_used_when_none_is_ready() {
    check(
        json!({}),
        &["10.244.1.5:8080 draining", "10.244.1.6:8080 unready"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
    check(
        json!({}),
        &["10.244.1.5:8080 draining", "10.244.1.6:8080"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.6:8080
    "#]],
    );
}

#[test]
fn a_load_balancer_lets_in_only_its_source_ranges() {
    let spec = json!({"type": "LoadBalancer", "status": [{"ip": "198.51.100.9"}],
        "loadBalancerSourceRanges": ["203.0.113.0/24", "203.0.114.0/24"]});
    check(
        spec.clone(),
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -s 203.0.113.0/24 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-198.51.100.0-26 -s 203.0.114.0/24 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DROP
    "#]],
    );
    // Where there are no endpoints all are refused at once.
    check(
        spec,
        &[],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-IP-198.51.100.0-26 -s 203.0.113.0/24 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-198.51.100.0-26 -s 203.0.114.0/24 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-SERVICES -p tcp -m comment --comment "shop/web has no endpoints" -m addrtype --dst-type LOCAL -m tcp --dport 30080 -j REJECT --reject-with icmp-port-unreachable
    "#]],
    );
}

#[test]
fn a_node_that_a_source_range_lets_in_may_come_from_the_load_balancers_own_address() {
    let spec = json!({"type": "LoadBalancer", "status": [{"ip": "198.51.100.9"}],
        "loadBalancerSourceRanges": ["192.168.0.0/24"]});
    check(
        spec,
        &["10.244.1.5:8080"],
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-198.51.100.0-26 -s 192.168.0.0/24 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-198.51.100.0-26 -s 198.51.100.9/32 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
        filter -A KUBE-IP-198.51.100.0-26 -d 198.51.100.9/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DROP
    "#]],
    );
}

#[test]
fn health_checks_of_a_load_balancer_are_let_in_once_for_all_ports() {
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
        "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]});
    check(
        spec,
        &[],
        expect![[r#"
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:https has no endpoints" -m tcp --dport 443 -j REJECT --reject-with icmp-port-unreachable
        filter -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web health check node port" -m tcp --dport 32000 -j ACCEPT
    "#]],
    );
}

#[test]
fn rules_of_many_endpoints_say_nothing_of_whose_they_are() {
    check_with(
        &Settings { comments: false, ..settings() },
        &web(json!({"type": "NodePort"}), &["10.244.0.5:8080", "10.244.1.5:8080"]),
        expect![[r#"
            nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV ! -s 10.244.0.0/24 -j KUBE-MARK-MASQ
            nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
            nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.5:8080
            nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
            nat -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
            nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.5:8080
            nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -j DNAT --to-destination 10.244.1.5:8080
        "#]],
    );
}

#[test]
fn everything_is_masqueraded_where_the_configuration_says_so() {
    let settings = Settings { masquerade_all: true, ..settings() };
    check_with(
        &settings,
        &web(json!({"type": "NodePort"}), &["10.244.1.5:8080"]),
        expect![[r#"
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -m comment --comment "masquerade traffic for shop/web external destinations" -j KUBE-MARK-MASQ
        nat -A KUBE-EXT-E3PXEPMWAWIUT6ZV -j KUBE-SVC-E3PXEPMWAWIUT6ZV
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j KUBE-MARK-MASQ
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-NODEPORTS -p tcp -m comment --comment "shop/web" -m tcp --dport 30080 -j KUBE-EXT-E3PXEPMWAWIUT6ZV
        nat -A KUBE-SVC-E3PXEPMWAWIUT6ZV -p tcp -m comment --comment "shop/web -> 10.244.1.5:8080" -j DNAT --to-destination 10.244.1.5:8080
    "#]],
    );
    let postrouting = &Ruleset::build(&settings, &[]).nat.chains[names::POSTROUTING];
    expect![[r#"
        -s 192.168.0.1/32 -m comment --comment "the source is this node already" -j RETURN
        -s 10.244.0.0/16 -d 224.0.0.0/4 -j RETURN
        -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment "pods leaving the cluster" -j MASQUERADE --random-fully
        -m mark ! --mark 0x4000/0x4000 -j RETURN
        -j MARK --set-xmark 0x4000/0x0
        -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
    "#]]
    .assert_eq(&(postrouting.join("\n") + "\n"));
}

#[test]
fn a_udp_port_and_a_tcp_port_of_one_number_are_two() {
    let spec = json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]});
    check(
        spec,
        &["10.244.1.5:5353"],
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p udp -m comment --comment "shop/web:dns" -m udp --dport 53 -j DNAT --to-destination 10.244.1.5:5353
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:dns-tcp" -m tcp --dport 53 -j DNAT --to-destination 10.244.1.5:5353
    "#]],
    );
}

#[test]
fn a_named_port_goes_where_each_pod_has_that_name() {
    let spec = json!({"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]});
    let mut services = web(spec, &[]);
    let slice = |address: &str, http: u16, admin: u16| -> Arc<EndpointSlice> {
        let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": [address]}],
            "ports": [{"name": "http", "port": http}, {"name": "admin", "port": admin}]});
        Arc::new(serde_json::from_value(slice).unwrap())
    };
    let slices = [slice("10.244.1.5", 8080, 8081), slice("10.244.1.6", 9090, 9091)];
    services.iter_mut().for_each(|service| service.endpoints = endpoint::endpoints(&service.port, &slices, "n1"));
    check_with(
        &settings(),
        &services,
        expect![[r#"
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:http" -m tcp --dport 80 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.5:8080
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:http" -m tcp --dport 80 -j DNAT --to-destination 10.244.1.6:9090
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:admin" -m tcp --dport 81 -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.1.5:8081
        nat -A KUBE-IP-10.96.0.0-26 -d 10.96.0.7/32 -p tcp -m comment --comment "shop/web:admin" -m tcp --dport 81 -j DNAT --to-destination 10.244.1.6:9091
    "#]],
    );
}

#[test]
fn node_ports_answer_only_where_the_configuration_says() {
    let entries = |settings: &Settings| -> String {
        let entries = &Ruleset::build(settings, &[]).nat.chains[names::SERVICES];
        entries.iter().skip(1).map(|rule| format!("{rule}\n")).collect()
    };
    expect![[r#"
        ! -d 127.0.0.0/8 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
    "#]].assert_eq(&entries(&Settings { localhost_node_ports: false, ..settings() }));
    let node_port_addresses = vec!["192.168.0.0/24".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
    expect![[r#"
        -d 192.168.0.0/24 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
        -d 127.0.0.0/8 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
    "#]].assert_eq(&entries(&Settings { node_port_addresses, ..settings() }));
}
