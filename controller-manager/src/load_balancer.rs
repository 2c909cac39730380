//! Gives LoadBalancer Services a node's address.
//!
//! One address, port and protocol has one owner: the oldest Service that asked. Another one that wants the same stays
//! without an address and is told why. Ports that a node itself listens on are never given away: a Service could
//! otherwise take over ssh or the API server.
//!
//! Upstream: cloud-provider/controllers/service/controller.go (with a cloud behind it)
//! Left out: clouds, and with them the clean-up finalizer: an address that nobody uses needs no clean-up.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use client::{Cache, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Node, Service, ServicePort, ServiceStatus};

use crate::actions::{self, Action, Plan};
use crate::nodes;

/// Ports of a node that are no Service's: ssh, etcd, the API server, and the components' own.
const RESERVED: [(i32, &str); 16] = [
    (22, "ssh"),
    (53, "DNS"),
    (2379, "etcd"),
    (2380, "etcd"),
    (6443, "the API server"),
    (9153, "the cluster's DNS"),
    (10053, "the cluster's DNS"),
    (10248, "the kubelet"),
    (10249, "the proxy"),
    (10250, "the kubelet"),
    (10255, "the kubelet"),
    (10256, "the proxy"),
    (10257, "the controller manager"),
    (10259, "the scheduler"),
    (111, "rpcbind"),
    (179, "BGP"),
];
/// A node may name more ports that it listens on itself: numbers with commas between.
pub const LISTENING_PORTS: &str = "skiff.dev/listening-ports";
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What is decided from: all Services, because they compete.
pub struct Input {
    /// Those of type LoadBalancer, and those that still have an address from when they were.
    pub services: Vec<Arc<Service>>,
    pub nodes: Vec<Arc<Node>>,
}

/// Who has which port of which address.
type Owners = BTreeMap<(IpAddr, i32, String), ObjectKey>;

/// Goes through the Services, oldest first, and gives each the first address whose ports are free.
pub fn plan(input: &Input) -> Plan {
    let mut services: Vec<&Arc<Service>> = input.services.iter().collect();
    services.sort_by_key(|service| (service.metadata.creation_timestamp.clone(), ObjectKey::of(service.as_ref())));
    let mut owners = Owners::new();
    let mut actions = Vec::new();
    for service in services {
        let wanted = match wants_address(service) {
            Wants::Nothing => None,
            Wants::OtherController => continue,
            Wants::Address => match choose(service, &input.nodes, &owners) {
                Ok(address) => {
                    let key = ObjectKey::of(service.as_ref());
                    owners.extend(ports(service).map(|port| ((address, port.port, protocol(port)), key.clone())));
                    Some(address)
                }
                Err(why) => {
                    let message = format!("Error syncing load balancer: failed to ensure load balancer: {why}");
                    actions.push(actions::warning(service.as_ref(), "SyncLoadBalancerFailed", message));
                    None
                }
            },
        };
        actions.extend(set_address(service, wanted));
    }
    actions.into()
}

enum Wants {
    Address,
    Nothing,
    /// It names a class: another controller looks after it.
    OtherController,
}

fn wants_address(service: &Service) -> Wants {
    let Some(spec) = service.spec.as_ref() else { return Wants::Nothing };
    match spec.type_.as_deref() {
        Some("LoadBalancer") if spec.load_balancer_class.is_some() => Wants::OtherController,
        Some("LoadBalancer") if service.metadata.deletion_timestamp.is_none() => Wants::Address,
        _ => Wants::Nothing,
    }
}

fn ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.spec.iter().flat_map(|spec| spec.ports.iter().flatten())
}

fn protocol(port: &ServicePort) -> String {
    port.protocol.clone().unwrap_or_else(|| "TCP".into())
}

/// The addresses that a Service has now.
pub fn current(service: &Service) -> Vec<LoadBalancerIngress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    status.and_then(|status| status.ingress.clone()).unwrap_or_default()
}

/// The address for a Service: the one that it has if that is still good, else that of the oldest node with free ports.
///
/// # Errors
/// Says, for the user, why there is none.
fn choose(service: &Service, nodes: &[Arc<Node>], owners: &Owners) -> Result<IpAddr, String> {
    let mut usable: Vec<&Arc<Node>> = nodes.iter().filter(|node| takes_traffic(node)).collect();
    usable.sort_by_key(|node| (node.metadata.creation_timestamp.clone(), node.metadata.name.clone()));
    let has: Vec<IpAddr> = current(service).iter().filter_map(|it| it.ip.as_ref()?.parse().ok()).collect();
    let asked = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.as_deref()).filter(|ip| !ip.is_empty());
    let offers = usable.iter().flat_map(|node| nodes::addresses(node).into_iter().take(1).map(move |ip| (*node, ip)));
    let mut offers: Vec<(&Arc<Node>, IpAddr)> = offers.collect();
    offers.sort_by_key(|(_, address)| !has.contains(address));
    let mut why = "no node is ready to take its traffic".to_owned();
    for (node, address) in offers {
        if asked.is_some_and(|asked| asked.parse() != Ok(address)) {
            why = format!("no node has the address {}", asked.unwrap_or_default());
            continue;
        }
        match taken(service, node, address, owners) {
            None => return Ok(address),
            Some(reason) => why = reason,
        }
    }
    Err(why)
}

fn takes_traffic(node: &Node) -> bool {
    let excluded = node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED));
    nodes::is_ready(node) && node.metadata.deletion_timestamp.is_none() && !excluded
}

/// Who has one of the Service's ports at this address already.
fn taken(service: &Service, node: &Node, address: IpAddr, owners: &Owners) -> Option<String> {
    ports(service).find_map(|port| {
        let protocol = protocol(port);
        let text = format!("port {}/{protocol} of {address}", port.port);
        if let Some((_, who)) = RESERVED.iter().find(|(reserved, _)| *reserved == port.port) {
            return Some(format!("{text} is reserved for {who}"));
        }
        if listens(node, port.port) {
            return Some(format!("node {} itself listens on {text}", nodes::name(node)));
        }
        let owner = owners.get(&(address, port.port, protocol))?;
        Some(format!("{text} belongs to Service {owner}, which is older"))
    })
}

fn listens(node: &Node, port: i32) -> bool {
    let named = node.metadata.annotations.as_ref().and_then(|annotations| annotations.get(LISTENING_PORTS));
    named.is_some_and(|named| named.split(',').any(|number| number.trim().parse() == Ok(port)))
}

fn set_address(service: &Service, address: Option<IpAddr>) -> Vec<Action> {
    let before: Vec<Option<IpAddr>> =
        current(service).iter().map(|it| it.ip.as_ref().and_then(|ip| ip.parse().ok())).collect();
    if before == address.map(Some).into_iter().collect::<Vec<_>>() {
        return Vec::new();
    }
    let ingress = address.map(|address| {
        vec![LoadBalancerIngress {
            ip: Some(address.to_string()),
            ip_mode: Some("VIP".into()),
            ..LoadBalancerIngress::default()
        }]
    });
    let status = ServiceStatus {
        load_balancer: Some(LoadBalancerStatus { ingress }),
        ..service.status.clone().unwrap_or_default()
    };
    let mut actions: Vec<Action> =
        actions::patch_status(service, service.status.as_ref(), &status).into_iter().collect();
    if address.is_some() {
        actions.push(actions::normal(service, "EnsuredLoadBalancer", "Ensured load balancer".into()));
    }
    actions
}

/// All Services at once: there is one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllServices;

impl fmt::Display for AllServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all load balancers")
    }
}

pub struct LoadBalancers {
    services: Cache<Service>,
    nodes: Cache<Node>,
}

impl LoadBalancers {
    pub fn new(informers: &Informers) -> Self {
        Self { services: informers.of(), nodes: informers.of() }
    }
}

/// Does the Service have a load balancer, or what is left of one?
fn concerns(service: &Service) -> bool {
    let is_one = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    is_one || !current(service).is_empty()
}

/// What of a node decides whether Services get its address.
fn offer(node: &Node) -> (bool, Vec<IpAddr>, Option<String>) {
    let listening = node.metadata.annotations.as_ref().and_then(|map| map.get(LISTENING_PORTS).cloned());
    (takes_traffic(node), nodes::addresses(node), listening)
}

impl Controller for LoadBalancers {
    const NAME: &'static str = "service-lb";
    type Key = AllServices;
    type Input = Input;

    fn service_account() -> String {
        "service-controller".into()
    }

    fn watches(&self) -> Watches<AllServices> {
        Watches::new()
            .map(&self.services, |change| {
                let concerned = change.before.iter().chain(&change.after).any(|service| concerns(service));
                concerned.then_some(AllServices)
            })
            .map(&self.nodes, |change| {
                let same =
                    change.before.as_ref().map(|node| offer(node)) == change.after.as_ref().map(|node| offer(node));
                (!same).then_some(AllServices)
            })
    }

    async fn gather(&self, _: &AllServices) -> Result<Option<Input>, kube::Error> {
        let mut services = self.services.list();
        services.retain(|service| concerns(service));
        Ok(Some(Input { services, nodes: self.nodes.list() }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests;
