//! Decides what a question is answered with.
//!
//! Upstream: the Kubernetes DNS specification 1.1.0; CoreDNS plugin/kubernetes/{kubernetes,reverse,ns,parse}.go
//! Left out: IPv6 addresses (an AAAA question about a name that exists is answered with nothing), wildcards.

use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::{A, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::zone::{Entry, Host, Owner, Port, Target, Zone};

/// Seconds that an answer may be kept: kubeadm's Corefile says 30.
const TTL: u32 = 30;
/// Seconds that the absence of a name may be kept: the plugin's default. A Service that was just made is soon found.
const NEGATIVE_TTL: u32 = 5;
/// The version of the specification, under `dns-version`.
const SPECIFICATION: &str = "1.1.0";

/// What is answered.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The name exists. Without records it has none of the kind that was asked for.
    Records { answers: Vec<Record>, additionals: Vec<Record> },
    /// The name is ours and does not exist.
    NoSuchName,
    /// The name stands for another one, whose records belong to the answer too.
    Alias { record: Box<Record>, target: Name },
    /// Others know.
    NotOurs,
}

impl Answer {
    fn nothing() -> Answer {
        Answer::Records { answers: Vec::new(), additionals: Vec::new() }
    }

    fn of(answers: Vec<Record>) -> Answer {
        Answer::Records { answers, additionals: Vec::new() }
    }
}

/// The answer to a question. Names are compared without regard to case; records carry the name as it was asked.
pub fn answer(zone: &Zone, name: &Name, kind: RecordType) -> Answer {
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    if let Some(reversed) = text.strip_suffix(".in-addr.arpa") {
        return reverse(zone, name, reversed, kind);
    }
    let below = match text.strip_suffix(zone.domain.as_str()) {
        Some("") => return apex(zone, name, kind),
        Some(below) => below.strip_suffix('.'),
        None => None,
    };
    let Some(below) = below else { return Answer::NotOurs };
    let labels: Vec<&str> = below.split('.').collect();
    match labels.as_slice() {
        ["dns-version"] => match kind {
            RecordType::TXT => Answer::of(vec![record(name, RData::TXT(TXT::new(vec![SPECIFICATION.to_owned()])))]),
            _ => Answer::nothing(),
        },
        ["ns", "dns"] => addresses(name, kind, [zone.cluster_ip]),
        ["svc" | "pod" | "dns"] => Answer::nothing(),
        [namespace, "svc" | "pod"] if zone.has_namespace(namespace) => Answer::nothing(),
        [pod, namespace, "pod"] => match pod_address(pod) {
            Some(address) if zone.has_namespace(namespace) => addresses(name, kind, [address]),
            _ => Answer::NoSuchName,
        },
        [below @ .., service, namespace, "svc"] => match zone.service(namespace, service) {
            Some(entry) => of_service(zone, entry, &Asked { name, kind, service, namespace }, below),
            None => Answer::NoSuchName,
        },
        _ => Answer::NoSuchName,
    }
}

/// The record that goes with an answer that says "no": who says so, and for how long that may be kept.
pub fn authority(zone: &Zone) -> Option<Record> {
    let apex = Name::from_ascii(format!("{}.", zone.domain)).ok()?;
    Some(Record::from_rdata(apex, NEGATIVE_TTL, RData::SOA(soa(zone)?)))
}

fn soa(zone: &Zone) -> Option<SOA> {
    let server = Name::from_ascii(format!("ns.dns.{}.", zone.domain)).ok()?;
    let master = Name::from_ascii(format!("hostmaster.{}.", zone.domain)).ok()?;
    Some(SOA::new(server, master, 1, 7200, 1800, 86400, NEGATIVE_TTL))
}

/// A question about a Service's name or one below it.
struct Asked<'a> {
    name: &'a Name,
    kind: RecordType,
    service: &'a str,
    namespace: &'a str,
}

fn apex(zone: &Zone, name: &Name, kind: RecordType) -> Answer {
    let data = match kind {
        RecordType::SOA => soa(zone).map(RData::SOA),
        RecordType::NS => Name::from_ascii(format!("ns.dns.{}.", zone.domain)).ok().map(|name| RData::NS(NS(name))),
        _ => None,
    };
    Answer::of(data.map(|data| record(name, data)).into_iter().collect())
}

/// `below` are the labels in front of the Service's: none, an endpoint's name, or `_port._protocol`.
fn of_service(zone: &Zone, entry: &Entry, asked: &Asked, below: &[&str]) -> Answer {
    if let Target::External(target) = &entry.target {
        return if below.is_empty() { external(asked, target) } else { Answer::NoSuchName };
    }
    let wanted = match below {
        [] => Wanted::default(),
        [protocol] if protocol.starts_with('_') => {
            // Names of ports exist below it, but it has no records itself.
            let wanted = Wanted { protocol: protocol.strip_prefix('_'), ..Wanted::default() };
            return if places(entry, &wanted).is_empty() { Answer::NoSuchName } else { Answer::nothing() };
        }
        [endpoint] => Wanted { endpoint: Some(endpoint), ..Wanted::default() },
        [port, protocol] => match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
            (Some(port), Some(protocol)) => Wanted { port: Some(port), protocol: Some(protocol), endpoint: None },
            _ => return Answer::NoSuchName,
        },
        _ => return Answer::NoSuchName,
    };
    let places = places(entry, &wanted);
    if places.is_empty() {
        return Answer::NoSuchName;
    }
    match asked.kind {
        RecordType::SRV => servers(zone, asked, &places),
        kind => addresses(asked.name, kind, places.iter().map(|place| place.address)),
    }
}

fn external(asked: &Asked, target: &str) -> Answer {
    let Ok(target) = Name::from_ascii(format!("{target}.")) else { return Answer::NoSuchName };
    let record = record(asked.name, RData::CNAME(CNAME(target.clone())));
    match asked.kind {
        RecordType::CNAME => Answer::of(vec![record]),
        _ => Answer::Alias { record: Box::new(record), target },
    }
}

/// Which ports or endpoints are asked about; `None` means any.
#[derive(Default)]
struct Wanted<'a> {
    port: Option<&'a str>,
    protocol: Option<&'a str>,
    endpoint: Option<&'a str>,
}

/// One address with one port, and the endpoint's name when it is an endpoint's.
struct Place<'a> {
    address: Ipv4Addr,
    port: Option<&'a Port>,
    endpoint: Option<&'a str>,
}

fn places<'a>(entry: &'a Entry, wanted: &Wanted) -> Vec<Place<'a>> {
    let of_ports = |address: Ipv4Addr, ports: &'a [Port], endpoint: Option<&'a str>| -> Vec<Place<'a>> {
        if ports.is_empty() && wanted.port.is_none() && wanted.protocol.is_none() {
            // A headless Service may have no ports at all; its endpoints have addresses all the same.
            return vec![Place { address, port: None, endpoint }];
        }
        let matching = ports.iter().filter(|port| {
            wanted.port.is_none_or(|name| port.name.eq_ignore_ascii_case(name))
                && wanted.protocol.is_none_or(|name| port.protocol.name() == name)
        });
        matching.map(|port| Place { address, port: Some(port), endpoint }).collect()
    };
    let of_host = |host: &'a Host| of_ports(host.address, &host.ports, Some(host.name.as_str()));
    match (&entry.target, wanted.endpoint) {
        (Target::ClusterIp { address, ports }, None) => of_ports(*address, ports, None),
        (_, Some(name)) => entry.endpoints.iter().filter(|host| host.name == name).flat_map(of_host).collect(),
        (_, None) => entry.endpoints.iter().flat_map(of_host).collect(),
    }
}

/// SRV records, with the addresses of what they name. All are equally good: they share a hundred.
fn servers(zone: &Zone, asked: &Asked, places: &[Place]) -> Answer {
    let with_port: Vec<(&Place, &Port)> = places.iter().filter_map(|place| Some((place, place.port?))).collect();
    let weight = u16::try_from(100 / with_port.len().max(1)).unwrap_or(1).max(1);
    let (mut answers, mut additionals): (Vec<Record>, Vec<Record>) = (Vec::new(), Vec::new());
    for (place, port) in with_port {
        let host = place.endpoint.map(|endpoint| format!("{endpoint}.")).unwrap_or_default();
        let target = format!("{host}{}.{}.svc.{}.", asked.service, asked.namespace, zone.domain);
        let Ok(target) = Name::from_ascii(target) else { continue };
        let address = record(&target, RData::A(A(place.address)));
        if !additionals.contains(&address) {
            additionals.push(address);
        }
        answers.push(record(asked.name, RData::SRV(SRV::new(0, weight, port.number, target))));
    }
    Answer::Records { answers, additionals }
}

/// Each address once, when addresses are what is asked for.
fn addresses(name: &Name, kind: RecordType, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Answer {
    if kind != RecordType::A {
        return Answer::nothing();
    }
    let mut all: Vec<Ipv4Addr> = addresses.into_iter().collect();
    all.sort();
    all.dedup();
    Answer::of(all.into_iter().map(|address| record(name, RData::A(A(address)))).collect())
}

/// `10-244-0-5` is the name of the pod with that address, whether there is one or not, as upstream's `pods insecure`.
fn pod_address(label: &str) -> Option<Ipv4Addr> {
    label.replace('-', ".").parse().ok()
}

fn reverse(zone: &Zone, name: &Name, reversed: &str, kind: RecordType) -> Answer {
    let octets: Vec<&str> = reversed.rsplit('.').collect();
    let Ok(address) = octets.join(".").parse::<Ipv4Addr>() else { return Answer::NotOurs };
    let names: Vec<Name> = zone.names_of(address).filter_map(|owner| name_of(zone, owner)).collect();
    if names.is_empty() {
        let ours = zone.networks.iter().any(|network| network.contains(&address));
        return if ours { Answer::NoSuchName } else { Answer::NotOurs };
    }
    match kind {
        RecordType::PTR => Answer::of(names.into_iter().map(|of| record(name, RData::PTR(PTR(of)))).collect()),
        _ => Answer::nothing(),
    }
}

fn name_of(zone: &Zone, owner: &Owner) -> Option<Name> {
    let host = owner.endpoint.as_ref().map(|endpoint| format!("{endpoint}.")).unwrap_or_default();
    let service = &owner.service;
    Name::from_ascii(format!("{host}{}.{}.svc.{}.", service.name, service.namespace, zone.domain)).ok()
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

#[cfg(test)]
mod tests;
