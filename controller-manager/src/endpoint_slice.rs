//! Writes a Service's EndpointSlices: its pods in pieces of at most 100, so that one pod's change is one small write.
//!
//! Upstream: pkg/controller/endpointslice/endpointslice_controller.go, k8s.io/endpointslice/reconciler.go
//! Left out: hints by the share of CPUs per zone, which upstream replaced by `trafficDistribution`.

mod slices;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use client::{Action, Cache, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointSlice, ForNode, ForZone};

use crate::actions::Plan;
use crate::service_pods::{self, Port, ServicesAndPods};
use crate::trigger_time::TriggerTimes;
use crate::{pods, waking};

pub use slices::{MANAGED_BY, SERVICE_NAME};

const ZONE: &str = "topology.kubernetes.io/zone";

/// What is decided from.
pub struct Input {
    /// `None` when the Service is gone; the garbage collector then takes its slices.
    pub service: Option<Arc<Service>>,
    /// The pods that its selector matches.
    pub pods: Vec<Arc<Pod>>,
    /// The nodes of these pods.
    pub nodes: Vec<Arc<Node>>,
    /// The slices that this controller wrote for the Service.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// When the change happened that this is looked at for.
    pub triggered: Option<Timestamp>,
}

/// Changes as few slices as will say what the pods are now.
pub fn plan(input: &Input) -> Plan {
    let Some(service) = input.service.as_deref() else { return Plan::default() };
    if !service_pods::selects_pods(service) || service.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    let families = if families.is_empty() { vec!["IPv4".to_owned()] } else { families };
    let mut actions = Vec::new();
    for family in &families {
        let current = input.slices.iter().filter(|slice| slice.address_type == *family).cloned().collect();
        actions.extend(slices::plan(service, family, wanted(input, service, family), current, input.triggered));
    }
    let dropped = input.slices.iter().filter(|slice| !families.contains(&slice.address_type));
    actions.extend(dropped.map(|slice| Action::delete(slice.as_ref())));
    Plan { actions, ..Plan::default() }
}

/// The endpoints by the ports that they have: pods may differ in what a named port means.
fn wanted(input: &Input, service: &Service, family: &str) -> BTreeMap<Vec<Port>, Vec<Endpoint>> {
    let is_in_family: fn(&IpAddr) -> bool = if family == "IPv6" { IpAddr::is_ipv6 } else { IpAddr::is_ipv4 };
    let mut wanted: BTreeMap<Vec<Port>, Vec<Endpoint>> = BTreeMap::new();
    for pod in input.pods.iter().filter(|pod| service_pods::is_reachable(pod)) {
        let Some(address) = service_pods::address(pod, is_in_family) else { continue };
        let node = input.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(pods::node_name(pod)));
        let endpoint = endpoint(service, pod, node.map(Arc::as_ref), address);
        wanted.entry(service_pods::ports(service, pod)).or_default().push(endpoint);
    }
    wanted
}

fn endpoint(service: &Service, pod: &Pod, node: Option<&Node>, address: String) -> Endpoint {
    let (serving, terminating) = (pods::is_ready(pod), pods::is_terminating(pod));
    let ready = service_pods::publishes_not_ready(service) || (serving && !terminating);
    let zone = node.and_then(|node| node.metadata.labels.as_ref()?.get(ZONE).cloned());
    let node_name = Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty());
    Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hints: hints(service, ready, node_name.as_ref(), zone.as_ref()),
        hostname: service_pods::hostname(service, pod),
        node_name,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        zone,
        deprecated_topology: None,
    }
}

/// Who should use the endpoint, where the Service prefers what is near.
fn hints(service: &Service, ready: bool, node: Option<&String>, zone: Option<&String>) -> Option<EndpointHints> {
    let preference = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    let for_zones = zone.map(|zone| vec![ForZone { name: zone.clone() }]);
    let for_nodes = node.map(|node| vec![ForNode { name: node.clone() }]);
    let hints = match preference {
        "PreferClose" | "PreferSameZone" => EndpointHints { for_zones, for_nodes: None },
        "PreferSameNode" => EndpointHints { for_zones, for_nodes },
        _ => return None,
    };
    (ready && hints != EndpointHints::default()).then_some(hints)
}

pub struct EndpointSlices {
    sources: ServicesAndPods,
    nodes: Cache<Node>,
    slices: Cache<EndpointSlice>,
    trigger_times: TriggerTimes,
}

impl EndpointSlices {
    pub fn new(informers: &Informers) -> Self {
        Self {
            sources: ServicesAndPods::new(informers),
            nodes: informers.of(),
            slices: informers.of(),
            trigger_times: TriggerTimes::default(),
        }
    }
}

/// The Service that this controller wrote a slice for.
fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    let ours = labels.get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1);
    let name = labels.get(SERVICE_NAME).filter(|_| ours)?;
    Some(ObjectKey::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
}

impl Controller for EndpointSlices {
    const NAME: &'static str = "endpointslice";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        // A node's zone is in the endpoints of its pods.
        let services = self.sources.services.clone();
        let zone = |node: &Node| node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE).cloned());
        let all_services = move |change: &client::Change<Node>| -> Vec<ObjectKey> {
            let moved =
                change.before.as_ref().and_then(|node| zone(node)) != change.after.as_ref().and_then(|node| zone(node));
            let all = if moved { services.list() } else { Vec::new() };
            all.iter().map(|service| ObjectKey::of(service.as_ref())).collect()
        };
        self.sources
            .watches()
            .map(&self.slices, waking::both(|slice| service_of(slice).into_iter().collect()))
            .map(&self.nodes, all_services)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let (service, pods) = self.sources.gather(key);
        self.slices.index("service", |slice| service_of(slice).iter().map(ObjectKey::to_string).collect());
        let slices = self.slices.by_index("service", &key.to_string());
        let triggered = self.trigger_times.see(key, service.as_deref(), &pods);
        Ok(Some(Input { service, pods, nodes: self.nodes.list(), slices, triggered }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests;
