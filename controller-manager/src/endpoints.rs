//! Writes a Service's Endpoints: the addresses and ports of its pods, in the older of the two forms.
//!
//! Upstream: pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go (RepackSubsets)
//! Left out: nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::{Cache, Controller, Informers, ObjectKey, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::actions::{self, Action, Plan};
use crate::pods;
use crate::service_pods::{self, HEADLESS_LABEL, Port, ServicesAndPods};
use crate::trigger_time::{self, TriggerTimes};

const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses in one object, as upstream: more of them and EndpointSlices are the only truth.
const CAPACITY: usize = 1000;

/// What is decided from.
pub struct Input {
    /// `None` when the Service is gone.
    pub service: Option<Arc<Service>>,
    /// The pods that its selector matches.
    pub pods: Vec<Arc<Pod>>,
    pub endpoints: Option<Arc<Endpoints>>,
    /// When the change happened that this is looked at for.
    pub triggered: Option<Timestamp>,
}

/// Makes the Endpoints what the pods say, and removes them with their Service.
pub fn plan(input: &Input) -> Plan {
    let Some(service) = &input.service else {
        let ours = input.endpoints.iter().filter(|endpoints| is_ours(endpoints));
        return Plan { actions: ours.map(|endpoints| Action::delete(endpoints.as_ref())).collect(), ..Plan::default() };
    };
    if !service_pods::selects_pods(service) || service.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut members: Vec<Member> = input.pods.iter().filter_map(|pod| member(service, pod)).collect();
    let truncated = truncate(&mut members);
    let subsets = subsets(&members, has_ports(service));
    let labels = labels(service);
    let action = match &input.endpoints {
        None => Some(create(service, subsets, labels, annotations(truncated, input.triggered))),
        Some(current) => update(current, &subsets, &labels, truncated, input.triggered),
    };
    Plan { actions: action.into_iter().collect(), ..Plan::default() }
}

fn is_ours(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).is_some_and(|value| value == MANAGED_BY.1)
}

fn has_ports(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).is_some_and(|ports| !ports.is_empty())
}

/// One pod in the Endpoints.
struct Member {
    address: EndpointAddress,
    ready: bool,
    ports: Vec<Port>,
}

fn member(service: &Service, pod: &Pod) -> Option<Member> {
    let publishes_all = service_pods::publishes_not_ready(service);
    if !service_pods::is_reachable(pod) || (pods::is_terminating(pod) && !publishes_all) {
        return None;
    }
    let v6 = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref()?.first()).is_some_and(|f| f == "IPv6");
    let ip = service_pods::address(pod, if v6 { std::net::IpAddr::is_ipv6 } else { std::net::IpAddr::is_ipv4 })?;
    let ports = service_pods::ports(service, pod);
    if ports.is_empty() && has_ports(service) {
        return None;
    }
    let address = EndpointAddress {
        ip,
        hostname: service_pods::hostname(service, pod),
        node_name: Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
    };
    Some(Member { address, ready: publishes_all || pods::is_ready(pod), ports })
}

/// Keeps within the capacity, ready addresses first. Says whether anything was cut.
fn truncate(members: &mut Vec<Member>) -> bool {
    let over = members.len() > CAPACITY;
    members.sort_by(|a, b| b.ready.cmp(&a.ready).then_with(|| a.address.ip.cmp(&b.address.ip)));
    members.truncate(CAPACITY);
    over
}

/// Groups ports that have the same addresses, so that each port is in one subset.
fn subsets(members: &[Member], has_ports: bool) -> Vec<EndpointSubset> {
    let mut behind: BTreeMap<Option<&Port>, BTreeSet<usize>> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for port in &member.ports {
            behind.entry(Some(port)).or_default().insert(index);
        }
        if !has_ports {
            behind.entry(None).or_default().insert(index);
        }
    }
    let mut grouped: BTreeMap<BTreeSet<usize>, Vec<&Port>> = BTreeMap::new();
    for (port, indexes) in behind {
        grouped.entry(indexes).or_default().extend(port);
    }
    let mut subsets: Vec<(Vec<&Port>, EndpointSubset)> = grouped
        .into_iter()
        .map(|(indexes, ports)| {
            let addresses = |ready: bool| -> Option<Vec<EndpointAddress>> {
                let wanted = indexes.iter().map(|index| &members[*index]).filter(|member| member.ready == ready);
                let mut list: Vec<EndpointAddress> = wanted.map(|member| member.address.clone()).collect();
                list.sort_by(|a, b| a.ip.cmp(&b.ip).then_with(|| uid(a).cmp(&uid(b))));
                (!list.is_empty()).then_some(list)
            };
            let endpoint_ports: Vec<EndpointPort> = ports.iter().map(|port| endpoint_port(port)).collect();
            let subset = EndpointSubset {
                addresses: addresses(true),
                not_ready_addresses: addresses(false),
                ports: (!endpoint_ports.is_empty()).then_some(endpoint_ports),
            };
            (ports, subset)
        })
        .collect();
    subsets.sort_by(|a, b| a.0.cmp(&b.0));
    subsets.into_iter().map(|(_, subset)| subset).collect()
}

fn uid(address: &EndpointAddress) -> Option<&String> {
    address.target_ref.as_ref().and_then(|target| target.uid.as_ref())
}

fn endpoint_port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.port,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if service_pods::is_headless(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    labels
}

fn annotations(truncated: bool, triggered: Option<Timestamp>) -> Option<BTreeMap<String, String>> {
    let mark = truncated.then(|| (OVER_CAPACITY.to_owned(), "truncated".to_owned()));
    let all: BTreeMap<String, String> =
        trigger_time::annotations(triggered).into_iter().flatten().chain(mark).collect();
    (!all.is_empty()).then_some(all)
}

fn create(
    service: &Service,
    subsets: Vec<EndpointSubset>,
    labels: BTreeMap<String, String>,
    annotations: Option<BTreeMap<String, String>>,
) -> Action {
    Action::create(&Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            annotations,
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    })
}

fn update(
    current: &Endpoints,
    subsets: &[EndpointSubset],
    labels: &BTreeMap<String, String>,
    truncated: bool,
    triggered: Option<Timestamp>,
) -> Option<Action> {
    let current_labels = current.metadata.labels.clone().unwrap_or_default();
    let marked = current.metadata.annotations.as_ref().is_some_and(|map| map.contains_key(OVER_CAPACITY));
    let same_subsets = current.subsets.as_deref().unwrap_or_default() == subsets;
    if same_subsets && &current_labels == labels && marked == truncated {
        return None;
    }
    let mut patch = json!({"subsets": (!subsets.is_empty()).then_some(subsets)});
    if let Some(change) = actions::merge_difference(&json!(current_labels), &json!(labels)) {
        patch["metadata"]["labels"] = change;
    }
    if let Some(change) = trigger_time::difference(current.metadata.annotations.as_ref(), triggered) {
        patch["metadata"]["annotations"] = change;
    }
    if marked != truncated {
        patch["metadata"]["annotations"][OVER_CAPACITY] = json!(truncated.then_some("truncated"));
    }
    Some(actions::merge_patch_at_version(current, patch))
}

pub struct EndpointsOfServices {
    sources: ServicesAndPods,
    endpoints: Cache<Endpoints>,
    trigger_times: TriggerTimes,
}

impl EndpointsOfServices {
    pub fn new(informers: &Informers) -> Self {
        let trigger_times = TriggerTimes::default();
        Self { sources: ServicesAndPods::new(informers), endpoints: informers.of(), trigger_times }
    }
}

impl Controller for EndpointsOfServices {
    const NAME: &'static str = "endpoint";
    type Key = ObjectKey;
    type Input = Input;

    fn watches(&self) -> Watches<ObjectKey> {
        self.sources.watches().objects(&self.endpoints)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let (service, pods) = self.sources.gather(key);
        let triggered = self.trigger_times.see(key, service.as_deref(), &pods);
        Ok(Some(Input { service, pods, endpoints: self.endpoints.get(key), triggered }))
    }

    fn plan(input: &Input, _now: Timestamp) -> Plan {
        plan(input)
    }
}

#[cfg(test)]
mod tests;
