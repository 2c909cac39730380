use std::sync::Arc;

use client::ObjectKey;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dns::zone;

fn add(zone: &mut Zone, name: &str, spec: Value, slices: &[Value]) {
    let service = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
    let service: Service = serde_json::from_value(service).unwrap();
    let slices: Vec<Arc<EndpointSlice>> =
        slices.iter().map(|slice| Arc::new(serde_json::from_value(slice.clone()).unwrap())).collect();
    zone.set(&ObjectKey::of(&service), zone::entry(&service, &slices));
}

/// A shop: `web` with a cluster IP, `db` headless with two pods of which one has a name, `old` elsewhere, `idle` empty.
fn world() -> Zone {
    let networks = vec!["10.96.0.0/16".parse().unwrap(), "10.244.0.0/16".parse().unwrap()];
    let mut zone = Zone::new("cluster.local", Ipv4Addr::new(10, 96, 0, 10), networks);
    zone.add_namespace("shop");
    let ports = json!([{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.244.0.9"]}]});
    add(&mut zone, "web", json!({"clusterIP": "10.96.0.7", "ports": ports}), &[slice]);
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "mysql", "port": 3306}], "endpoints": [
        {"addresses": ["10.244.0.5"], "hostname": "db-0"},
        {"addresses": ["10.244.1.6"], "conditions": {"ready": true}},
        {"addresses": ["10.244.1.7"], "conditions": {"ready": false}}]});
    add(&mut zone, "db", json!({"clusterIP": "None", "ports": [{"name": "mysql", "port": 3306}]}), &[slice]);
    add(&mut zone, "old", json!({"type": "ExternalName", "externalName": "www.example.org"}), &[]);
    add(&mut zone, "idle", json!({"clusterIP": "None"}), &[]);
    zone
}

/// An answer in the words of a zone file.
fn words(answer: Answer) -> String {
    let line = |record: &Record| {
        let data = match &record.data {
            RData::A(A(address)) => address.to_string(),
            RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
            other => other.to_string(),
        };
        format!("{} {} {data}", record.ttl, record.record_type())
    };
    match answer {
        Answer::Records { answers, additionals } if answers.is_empty() && additionals.is_empty() => "nothing".into(),
        Answer::Records { answers, additionals } => {
            let more = additionals.iter().map(|record| format!("+ {} {}", record.name, line(record)));
            answers.iter().map(line).chain(more).collect::<Vec<_>>().join("\n")
        }
        Answer::NoSuchName => "no such name".into(),
        Answer::Alias { record, target } => format!("{} -> {target}", line(&record)),
        Answer::NotOurs => "not ours".into(),
    }
}

fn check(question: &str, expected: &str) {
    let (kind, name) = question.split_once(' ').unwrap();
    let kind: RecordType = kind.parse().unwrap();
    assert_eq!(words(answer(&world(), &Name::from_ascii(name).unwrap(), kind)), expected, "{question}");
}

#[test]
fn a_service_has_its_cluster_ip() {
    check("A web.shop.svc.cluster.local.", "30 A 10.96.0.7");
    check("A WeB.Shop.SVC.cluster.LOCAL.", "30 A 10.96.0.7");
    check("AAAA web.shop.svc.cluster.local.", "nothing");
    check("MX web.shop.svc.cluster.local.", "nothing");
}

#[test]
fn ports_are_found_by_name_and_protocol() {
    let web = "+ web.shop.svc.cluster.local. 30 A 10.96.0.7";
    let target = "web.shop.svc.cluster.local.";
    check("SRV _http._tcp.web.shop.svc.cluster.local.", &format!("30 SRV 0 100 80 {target}\n{web}"));
    let both = format!("30 SRV 0 50 80 {target}\n30 SRV 0 50 53 {target}\n{web}");
    check("SRV web.shop.svc.cluster.local.", &both);
    check("SRV _http._udp.web.shop.svc.cluster.local.", "no such name");
    check("SRV _ftp._tcp.web.shop.svc.cluster.local.", "no such name");
    // A name with names below it exists.
    check("SRV _tcp.web.shop.svc.cluster.local.", "nothing");
    check("SRV _sctp.web.shop.svc.cluster.local.", "no such name");
}

#[test]
fn a_headless_service_has_its_ready_endpoints() {
    check("A db.shop.svc.cluster.local.", "30 A 10.244.0.5\n30 A 10.244.1.6");
    check("A db-0.db.shop.svc.cluster.local.", "30 A 10.244.0.5");
    check("A 10-244-1-6.db.shop.svc.cluster.local.", "30 A 10.244.1.6");
    check("A 10-244-1-7.db.shop.svc.cluster.local.", "no such name");
    check("AAAA db-0.db.shop.svc.cluster.local.", "nothing");
    let (first, second) = ("db-0.db.shop.svc.cluster.local.", "10-244-1-6.db.shop.svc.cluster.local.");
    let servers = format!(
        "30 SRV 0 50 3306 {first}\n30 SRV 0 50 3306 {second}\n+ {first} 30 A 10.244.0.5\n+ {second} 30 A 10.244.1.6"
    );
    check("SRV _mysql._tcp.db.shop.svc.cluster.local.", &servers);
    // Without a ready endpoint the name does not exist, as upstream.
    check("A idle.shop.svc.cluster.local.", "no such name");
}

#[test]
fn an_endpoint_of_a_service_with_a_cluster_ip_has_a_name_too() {
    check("A 10-244-0-9.web.shop.svc.cluster.local.", "30 A 10.244.0.9");
}

#[test]
fn a_name_elsewhere_is_followed() {
    check("A old.shop.svc.cluster.local.", "30 CNAME www.example.org. -> www.example.org.");
    check("AAAA old.shop.svc.cluster.local.", "30 CNAME www.example.org. -> www.example.org.");
    check("CNAME old.shop.svc.cluster.local.", "30 CNAME www.example.org.");
    check("SRV _http._tcp.old.shop.svc.cluster.local.", "no such name");
}

#[test]
fn pods_have_the_name_of_their_address_where_their_namespace_is() {
    check("A 10-244-0-5.shop.pod.cluster.local.", "30 A 10.244.0.5");
    check("A 10-244-0-5.other.pod.cluster.local.", "no such name");
    check("A 10-244-0.shop.pod.cluster.local.", "no such name");
}

#[test]
fn names_between_others_exist_and_have_nothing() {
    for name in ["cluster.local.", "svc.cluster.local.", "shop.svc.cluster.local.", "pod.cluster.local."] {
        check(&format!("A {name}"), "nothing");
    }
    check("A nobody.svc.cluster.local.", "no such name");
}

#[test]
fn what_does_not_exist_is_said_at_once() {
    check("A other.shop.svc.cluster.local.", "no such name");
    check("A www.example.org.shop.svc.cluster.local.", "no such name");
    check("A www.example.org.cluster.local.", "no such name");
    check("A a.b.c.web.shop.svc.cluster.local.", "no such name");
}

#[test]
fn names_of_others_are_not_ours() {
    check("A www.example.org.", "not ours");
    check("A notcluster.local.", "not ours");
    check("A .", "not ours");
}

#[test]
fn the_zone_names_its_server_and_its_specification() {
    check("NS cluster.local.", "30 NS ns.dns.cluster.local.");
    check("A ns.dns.cluster.local.", "30 A 10.96.0.10");
    check("TXT dns-version.cluster.local.", "30 TXT 1.1.0");
    check("SOA cluster.local.", "30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5");
}

#[test]
fn addresses_have_names() {
    check("PTR 7.0.96.10.in-addr.arpa.", "30 PTR web.shop.svc.cluster.local.");
    check("PTR 5.0.244.10.in-addr.arpa.", "30 PTR db-0.db.shop.svc.cluster.local.");
    check("A 7.0.96.10.in-addr.arpa.", "nothing");
    // Nobody else can know the cluster's addresses; all others are the business of others.
    check("PTR 8.0.96.10.in-addr.arpa.", "no such name");
    check("PTR 1.1.168.192.in-addr.arpa.", "not ours");
    check("PTR 96.10.in-addr.arpa.", "not ours");
}

#[test]
fn what_is_gone_leaves_no_name_behind() {
    let mut zone = world();
    zone.set(&ObjectKey::new("shop", "web"), None);
    let ask = |name: &str, kind| words(answer(&zone, &Name::from_ascii(name).unwrap(), kind));
    assert_eq!(ask("web.shop.svc.cluster.local.", RecordType::A), "no such name");
    assert_eq!(ask("7.0.96.10.in-addr.arpa.", RecordType::PTR), "no such name");
    assert_eq!(ask("9.0.244.10.in-addr.arpa.", RecordType::PTR), "no such name");
}

proptest! {
    #[test]
    fn no_name_makes_it_panic(labels in prop::collection::vec("[-_a-zA-Z0-9*.]{1,20}", 0..6), kind in any::<u16>()) {
        for suffix in ["svc.cluster.local.", "cluster.local.", "in-addr.arpa.", ""] {
            if let Ok(name) = Name::from_ascii(format!("{}.{suffix}", labels.join("."))) {
                answer(&world(), &name, RecordType::from(kind));
            }
        }
    }
}
