//! What is given out only once: the cluster IPs and node ports of Services, and what a node has for pods.
//!
//! Upstream: pkg/registry/core/service/storage/alloc.go, pkg/registry/core/service/{ipallocator,portallocator}
//! Left out: several ranges, IPv6.
//!
//! Each address and port is a key of its own, written in the Service's own transaction and only if it is absent: two
//! Services can't get the same one, on any number of API servers. A candidate that turns out taken is tried again.
//! Beside the key of an address stands its IPAddress object, for people: nothing is decided by it.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use api::{
    field::{ErrorType, FieldError},
    object::Object as _,
    status::Status,
};
use serde_json::{Value, json};
use store::{Compare, Op, Txn};

use crate::{
    capacity,
    core::Core,
    memory::{Observer, store_key},
    object::{Draft, Object, ObjectKey},
    row::Row,
    strategy::service::families,
};

/// Upstream's default of `--service-node-port-range`.
const NODE_PORTS: std::ops::Range<u64> = 30_000..32_768;

/// What Services hold, as far as memory knows. Candidates are chosen by it; the keys decide.
#[derive(Default)]
pub struct Held(Mutex<Holdings>);

#[derive(Default)]
struct Holdings {
    addresses: HashSet<String>,
    ports: HashSet<u64>,
}

impl Held {
    fn now(&self) -> MutexGuard<'_, Holdings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Held {
    fn observe(&self, row: &Row, before: Option<&Object>, after: Option<&Object>) {
        if row.kind != "Service" || !row.group.is_empty() {
            return;
        }
        let mut held = self.now();
        if let Some(service) = before.map(Object::value) {
            if let Some(ip) = held_ip(&service) {
                held.addresses.remove(&ip);
            }
            for port in node_ports(&service) {
                held.ports.remove(&port);
            }
        }
        if let Some(service) = after.map(Object::value) {
            held.addresses.extend(held_ip(&service));
            held.ports.extend(node_ports(&service));
        }
    }
}

/// Additional compares and writes for one object's write.
#[derive(Default)]
pub struct Allocation {
    pub txn: Txn,
}

impl Allocation {
    fn take(&mut self, key: String, holder: &str) {
        let key: store::Key = key.into();
        self.txn.compares.push(Compare::Absent(key.clone()));
        self.txn.ops.push(Op::Put { key, value: holder.to_owned().into(), ttl: None });
    }

    fn free(&mut self, key: String) {
        self.txn.ops.push(Op::Delete { key: key.into() });
    }

    fn take_address(&mut self, core: &Core, ip: &str, service: &Value) {
        let holder = format!("{}/{}", service.namespace(), service.name());
        self.take(ip_key(ip), &holder);
        if let Some(row) = core.registry.resource("networking.k8s.io", "ipaddresses") {
            let value = Draft::of(row, &address_object(ip, service)).stored;
            self.txn.ops.push(Op::Put { key: store_key(row, &ObjectKey::new("", ip)), value, ttl: None });
        }
    }

    fn free_address(&mut self, core: &Core, ip: &str) {
        self.free(ip_key(ip));
        if let Some(row) = core.registry.resource("networking.k8s.io", "ipaddresses") {
            self.txn.ops.push(Op::Delete { key: store_key(row, &ObjectKey::new("", ip)) });
        }
    }
}

/// The IPAddress of a Service's address, as upstream's allocator makes it.
fn address_object(ip: &str, service: &Value) -> Value {
    let parent = json!({"resource": "services", "namespace": service.namespace(), "name": service.name()});
    json!({
        "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": ip, "uid": uuid::Uuid::new_v4().to_string(),
            "creationTimestamp": api::time::to_seconds(jiff::Timestamp::now()),
            "labels": {
                "ipaddress.kubernetes.io/ip-family": "IPv4",
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": parent},
    })
}

fn ip_key(ip: &str) -> String {
    format!("/allocations/service-ips/{ip}")
}

fn port_key(port: u64) -> String {
    format!("/allocations/node-ports/{port}")
}

/// Gives the object what it needs and does not have yet, and frees what it no longer uses. `random` picks candidates.
///
/// # Errors
/// 422 for an address or port out of range.
pub fn for_write(
    core: &Core,
    row: &Row,
    object: &mut Value,
    current: Option<&Value>,
    random: u64,
) -> Result<Allocation, Status> {
    let mut allocation = Allocation::default();
    if row.kind != "Service" {
        allocation.txn = capacity::for_write(core, row, current, Some(object));
        return Ok(allocation);
    }
    let mistakes = families::initialise(object, current);
    if !mistakes.is_empty() {
        return Err(Status::invalid("", "Service", object.name(), &mistakes));
    }
    let holder = format!(
        "{}/{}",
        object["metadata"]["namespace"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    );
    let kind = object["spec"]["type"].as_str().unwrap_or("ClusterIP").to_owned();
    let held_ip = current.and_then(held_ip);
    let asked = object["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        if asked.is_empty() {
            let ip = held_ip.clone().unwrap_or_else(|| candidate_ip(core, random));
            object["spec"]["clusterIP"] = ip.as_str().into();
            object["spec"]["clusterIPs"] = vec![ip].into();
        } else if object["spec"]["clusterIPs"].as_array().is_none_or(Vec::is_empty) {
            object["spec"]["clusterIPs"] = vec![asked.as_str()].into();
        }
    }
    let wanted_ip = self::held_ip(object);
    if wanted_ip != held_ip {
        if let Some(ip) = &wanted_ip {
            if !asked.is_empty() {
                check_ip(core, object, ip)?;
            }
            allocation.take_address(core, ip, object);
        }
        if let Some(ip) = &held_ip {
            allocation.free_address(core, ip);
        }
    }
    let held_ports = current.map(node_ports).unwrap_or_default();
    let wants_ports =
        kind == "NodePort" || (kind == "LoadBalancer" && object["spec"]["allocateLoadBalancerNodePorts"] != false);
    let mut taken: Vec<u64> = Vec::new();
    let mut refused: Vec<FieldError> = Vec::new();
    if wants_ports && let Some(ports) = object["spec"]["ports"].as_array_mut() {
        for (at, port) in ports.iter_mut().enumerate() {
            let given = port["nodePort"].as_i64().filter(|port| *port != 0);
            let number = match given {
                None => candidate_port(core, random.wrapping_add(at as u64 * 7919), &taken),
                Some(number) => number.try_into().unwrap_or_default(),
            };
            port["nodePort"] = given.map_or_else(|| number.into(), Value::from);
            if !held_ports.contains(&number) && !taken.contains(&number) {
                let place = format!("spec.ports[{at}].nodePort");
                refused.extend(check_port(core, given, &place));
                allocation.take(port_key(number), &holder);
            }
            taken.push(number);
        }
    }
    if kind == "LoadBalancer" && object["spec"]["externalTrafficPolicy"] == "Local" {
        let given = object["spec"]["healthCheckNodePort"].as_i64().filter(|port| *port != 0);
        let number = given.map_or_else(
            || candidate_port(core, random.wrapping_add(104_729), &taken),
            |number| number.try_into().unwrap_or_default(),
        );
        object["spec"]["healthCheckNodePort"] = given.map_or_else(|| number.into(), Value::from);
        if !held_ports.contains(&number) && !taken.contains(&number) {
            refused.extend(check_port(core, given, "spec.healthCheckNodePort"));
            allocation.take(port_key(number), &holder);
        }
        taken.push(number);
    }
    if !refused.is_empty() {
        return Err(Status::invalid("", "Service", object.name(), &refused));
    }
    for port in held_ports {
        if !taken.contains(&port) {
            allocation.free(port_key(port));
        }
    }
    Ok(allocation)
}

/// Refuses an address that the client asked for and can't have. One that can't be read is left to validation.
fn check_ip(core: &Core, object: &Value, ip: &str) -> Result<(), Status> {
    let Ok(address) = ip.parse::<Ipv4Addr>() else { return Ok(()) };
    let range = core.service_range;
    let usable = range.contains(&address) && address != range.network() && address != range.broadcast();
    let why = if !usable {
        format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}", range.trunc())
    } else if core.held.now().addresses.contains(ip) {
        "provided IP is already allocated".to_owned()
    } else {
        return Ok(());
    };
    let value = vec![ip].into();
    let detail = format!("failed to allocate IP {ip}: {why}");
    let error = FieldError { kind: ErrorType::Invalid, field: "spec.clusterIPs".into(), value, detail };
    Err(Status::invalid("", "Service", object.name(), &[error]))
}

/// The mistake in a port that the client asked for and can't have.
fn check_port(core: &Core, asked: Option<i64>, place: &str) -> Option<FieldError> {
    let asked = asked?;
    let number = u64::try_from(asked).unwrap_or_default();
    let detail = if !NODE_PORTS.contains(&number) {
        format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            NODE_PORTS.start,
            NODE_PORTS.end - 1
        )
    } else if core.held.now().ports.contains(&number) {
        "provided port is already allocated".to_owned()
    } else {
        return None;
    };
    Some(FieldError { kind: ErrorType::Invalid, field: place.into(), value: asked.into(), detail })
}

/// Frees everything that a deleted object held.
pub fn release(core: &Core, row: &Row, object: &Value) -> Txn {
    let mut allocation = Allocation { txn: capacity::for_write(core, row, Some(object), None) };
    if row.kind == "Service" {
        if let Some(ip) = held_ip(object) {
            allocation.free_address(core, &ip);
        }
        for port in node_ports(object) {
            allocation.free(port_key(port));
        }
    }
    allocation.txn
}

/// 500, in upstream's words, when every candidate was taken.
pub fn exhausted(row: &Row, name: &str) -> Status {
    Status::internal(format!("failed to allocate what {} {name:?} needs: range is full", row.plural))
}

fn held_ip(object: &Value) -> Option<String> {
    let ip = object["spec"]["clusterIP"].as_str().filter(|ip| !ip.is_empty() && *ip != "None")?;
    (object["spec"]["type"] != "ExternalName").then(|| ip.to_owned())
}

fn node_ports(object: &Value) -> Vec<u64> {
    let ports = object["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let health_check = object["spec"]["healthCheckNodePort"].as_u64();
    let numbers = ports.iter().filter_map(|port| port["nodePort"].as_u64()).chain(health_check);
    numbers.filter(|port| *port != 0).collect()
}

/// A free address of the range as far as memory knows. The first is the API server's own; upstream leaves the lower
/// part of a range for addresses that are asked for by name.
fn candidate_ip(core: &Core, random: u64) -> String {
    let first = u64::from(u32::from(core.service_range.network()));
    let size = 1u64 << (32 - core.service_range.prefix_len());
    let reserved = (size / 16).clamp(16, 256).min(size / 2);
    let held = core.held.now();
    let span = (size - 1).saturating_sub(reserved).max(1);
    let at = |step: u64| {
        let number = first + reserved + (random % span + step) % span;
        Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).to_string()
    };
    (0..span).map(at).find(|ip| !held.addresses.contains(ip)).unwrap_or_else(|| at(0))
}

fn candidate_port(core: &Core, random: u64, taken: &[u64]) -> u64 {
    let held = core.held.now();
    let span = NODE_PORTS.end - NODE_PORTS.start;
    let at = |step: u64| NODE_PORTS.start + (random % span + step) % span;
    (0..span).map(at).find(|port| !held.ports.contains(port) && !taken.contains(port)).unwrap_or_else(|| at(0))
}
