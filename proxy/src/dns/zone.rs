//! What the cluster's DNS knows: namespaces, Services and their endpoints, by name and by address.
//!
//! Upstream: CoreDNS plugin/kubernetes/{controller.go,object}
//! Left out: IPv6.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use client::ObjectKey;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::service::{Protocol, cluster_ip};

/// All names of the cluster.
#[derive(Debug)]
pub struct Zone {
    /// `cluster.local`, in lower case and without a final dot.
    pub domain: String,
    /// The address of the DNS itself.
    pub cluster_ip: Ipv4Addr,
    /// Addresses of which nobody outside of the cluster knows a name.
    pub networks: Vec<Ipv4Net>,
    namespaces: FxHashSet<String>,
    services: FxHashMap<ObjectKey, Entry>,
    by_address: FxHashMap<Ipv4Addr, BTreeSet<Owner>>,
}

/// A name that an address has: of a Service, or of an endpoint below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// A Service's own address has `None`, which goes first.
    pub endpoint: Option<String>,
    pub service: ObjectKey,
}

/// One Service.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub target: Target,
    pub endpoints: Vec<Host>,
}

/// Where the name of a Service leads.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    ClusterIp {
        address: Ipv4Addr,
        ports: Vec<Port>,
    },
    /// To the endpoints.
    Headless,
    /// To another name.
    External(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    pub name: String,
    pub protocol: Protocol,
    pub number: u16,
}

/// An endpoint with its name below the Service's.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
    pub ports: Vec<Port>,
}

impl Zone {
    pub fn new(domain: &str, cluster_ip: Ipv4Addr, networks: Vec<Ipv4Net>) -> Zone {
        Zone {
            domain: domain.trim_end_matches('.').to_ascii_lowercase(),
            cluster_ip,
            networks,
            namespaces: FxHashSet::default(),
            services: FxHashMap::default(),
            by_address: FxHashMap::default(),
        }
    }

    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.insert(name.to_owned());
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    pub fn service(&self, namespace: &str, name: &str) -> Option<&Entry> {
        self.services.get(&ObjectKey::new(namespace, name))
    }

    /// The names of an address, a Service's own before an endpoint's.
    pub fn names_of(&self, address: Ipv4Addr) -> impl Iterator<Item = &Owner> {
        self.by_address.get(&address).into_iter().flatten()
    }

    /// Takes what a Service is now; `None` when it is gone.
    pub fn set(&mut self, key: &ObjectKey, entry: Option<Entry>) {
        let before = match entry.clone() {
            Some(entry) => self.services.insert(key.clone(), entry),
            None => self.services.remove(key),
        };
        for (address, owner) in before.iter().flat_map(|entry| owners(key, entry)) {
            let Some(names) = self.by_address.get_mut(&address) else { continue };
            names.remove(&owner);
            if names.is_empty() {
                self.by_address.remove(&address);
            }
        }
        for (address, owner) in entry.iter().flat_map(|entry| owners(key, entry)) {
            self.by_address.entry(address).or_default().insert(owner);
        }
    }
}

fn owners(key: &ObjectKey, entry: &Entry) -> Vec<(Ipv4Addr, Owner)> {
    let own = match &entry.target {
        Target::ClusterIp { address, .. } => Some((*address, Owner { service: key.clone(), endpoint: None })),
        Target::Headless | Target::External(_) => None,
    };
    let of_host = |host: &Host| (host.address, Owner { service: key.clone(), endpoint: Some(host.name.clone()) });
    own.into_iter().chain(entry.endpoints.iter().map(of_host)).collect()
}

/// What the DNS knows of a Service; `None` when it has neither an address nor a name.
pub fn entry(service: &Service, slices: &[Arc<EndpointSlice>]) -> Option<Entry> {
    let spec = service.spec.as_ref()?;
    let target = if spec.type_.as_deref() == Some("ExternalName") {
        let name = spec.external_name.as_deref().filter(|name| name.parse::<std::net::IpAddr>().is_err())?;
        Target::External(name.trim_end_matches('.').to_owned())
    } else if spec.cluster_ip.as_deref() == Some("None") {
        Target::Headless
    } else {
        let ports = spec.ports.iter().flatten();
        let ports = ports.filter_map(|port| port_of(port.name.as_deref(), port.protocol.as_deref(), Some(port.port)));
        Target::ClusterIp { address: cluster_ip(spec)?, ports: ports.collect() }
    };
    let slices = slices.iter().filter(|slice| slice.address_type == "IPv4");
    Some(Entry { target, endpoints: slices.flat_map(|slice| hosts(slice)).collect() })
}

/// The ready endpoints of a slice. Where a Service publishes all of them, its slices call all of them ready.
fn hosts(slice: &EndpointSlice) -> Vec<Host> {
    let ports = slice.ports.iter().flatten();
    let ports: Vec<Port> =
        ports.filter_map(|port| port_of(port.name.as_deref(), port.protocol.as_deref(), port.port)).collect();
    let is_ready = |endpoint: &&Endpoint| endpoint.conditions.as_ref().and_then(|it| it.ready).unwrap_or(true);
    let host = |endpoint: &Endpoint| {
        let address: Ipv4Addr = endpoint.addresses.first()?.parse().ok()?;
        let name = endpoint.hostname.clone().filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| address.to_string().replace('.', "-"));
        Some(Host { name: name.to_ascii_lowercase(), address, ports: ports.clone() })
    };
    slice.endpoints.iter().filter(is_ready).filter_map(host).collect()
}

fn port_of(name: Option<&str>, protocol: Option<&str>, number: Option<i32>) -> Option<Port> {
    let number = number?.try_into().ok()?;
    Some(Port { name: name.unwrap_or_default().to_owned(), protocol: Protocol::parse(protocol)?, number })
}
