//! Spreads endpoints over slices so that few slices change.
//!
//! Upstream: k8s.io/endpointslice/reconciler.go (reconcileByPortMapping)
//! Left out: moving endpoints between slices only to fill them better.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::actions::{self, Action};
use crate::owner;
use crate::service_pods::{self, HEADLESS_LABEL, Port};
use crate::trigger_time;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
/// Endpoints in one slice: upstream's default of --max-endpoints-per-slice.
const CAPACITY: usize = 100;

/// The changes that make the slices of one address family hold what is wanted, each endpoint once.
///
/// An endpoint stays in the slice that has it. New ones fill slices that change anyway, then others with room, then
/// new slices. A Service without endpoints keeps one empty slice, which says that it has none.
pub fn plan(
    service: &Service,
    family: &str,
    wanted: BTreeMap<Vec<Port>, Vec<Endpoint>>,
    current: Vec<Arc<EndpointSlice>>,
    triggered: Option<Timestamp>,
) -> Vec<Action> {
    let metadata = metadata(service, triggered);
    let wanted = if wanted.is_empty() { BTreeMap::from([(Vec::new(), Vec::new())]) } else { wanted };
    let mut by_ports: BTreeMap<Vec<Port>, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in current {
        by_ports.entry(ports_of(&slice)).or_default().push(slice);
    }
    let mut actions = Vec::new();
    for (ports, endpoints) in wanted {
        let slices = by_ports.remove(&ports).unwrap_or_default();
        actions.extend(plan_ports(&metadata, family, &ports, endpoints, slices, triggered));
    }
    // Ports that no pod has any more: their slices go after those that replace them were made.
    actions.extend(by_ports.into_values().flatten().map(|slice| Action::delete(slice.as_ref())));
    actions
}

/// A slice with the endpoints that it will have.
struct Next {
    slice: Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
    changed: bool,
}

fn plan_ports(
    metadata: &ObjectMeta,
    family: &str,
    ports: &[Port],
    endpoints: Vec<Endpoint>,
    slices: Vec<Arc<EndpointSlice>>,
    triggered: Option<Timestamp>,
) -> Vec<Action> {
    let mut homeless: BTreeMap<Vec<String>, VecDeque<Endpoint>> = BTreeMap::new();
    let is_empty = endpoints.is_empty();
    for endpoint in endpoints {
        homeless.entry(identity(&endpoint)).or_default().push_back(endpoint);
    }
    let mut next: Vec<Next> = slices.into_iter().map(|slice| keep(slice, metadata, &mut homeless)).collect();
    let mut rest: VecDeque<Endpoint> = homeless.into_values().flatten().collect();
    next.sort_by_key(|next| !next.changed);
    for slice in &mut next {
        while slice.endpoints.len() < CAPACITY {
            let Some(endpoint) = rest.pop_front() else { break };
            slice.endpoints.push(endpoint);
            slice.changed = true;
        }
    }
    let (mut actions, mut left) = (Vec::new(), 0);
    for slice in next {
        if slice.endpoints.is_empty() && !(is_empty && left == 0) {
            actions.push(Action::delete(slice.slice.as_ref()));
            continue;
        }
        left += 1;
        if slice.changed {
            actions.push(update(&slice, metadata, triggered));
        }
    }
    if is_empty && left == 0 {
        actions.push(create(metadata, family, ports, Vec::new()));
    }
    while !rest.is_empty() {
        let count = rest.len().min(CAPACITY);
        actions.push(create(metadata, family, ports, rest.drain(..count).collect()));
    }
    actions
}

/// What of a slice is still wanted, as it is now.
fn keep(
    slice: Arc<EndpointSlice>,
    metadata: &ObjectMeta,
    homeless: &mut BTreeMap<Vec<String>, VecDeque<Endpoint>>,
) -> Next {
    let mut kept = Vec::new();
    for endpoint in &slice.endpoints {
        kept.extend(homeless.get_mut(&identity(endpoint)).and_then(VecDeque::pop_front));
    }
    homeless.retain(|_, endpoints| !endpoints.is_empty());
    let changed = kept != slice.endpoints || slice.metadata.labels != metadata.labels;
    Next { slice, endpoints: kept, changed }
}

/// What makes an endpoint the same one when its conditions change.
fn identity(endpoint: &Endpoint) -> Vec<String> {
    let target = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    endpoint.addresses.iter().cloned().chain(target).collect()
}

fn ports_of(slice: &EndpointSlice) -> Vec<Port> {
    let mut ports: Vec<Port> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            port: port.port.unwrap_or(0),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    ports.sort();
    ports
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if service_pods::is_headless(service) {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone().unwrap_or_default());
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    labels
}

/// What slices that are made for a Service say beside its endpoints.
fn metadata(service: &Service, triggered: Option<Timestamp>) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(format!("{}-", service.metadata.name.as_deref().unwrap_or(""))),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels(service)),
        annotations: trigger_time::annotations(triggered),
        owner_references: Some(vec![owner::controller_reference(service)]),
        ..ObjectMeta::default()
    }
}

fn update(next: &Next, metadata: &ObjectMeta, triggered: Option<Timestamp>) -> Action {
    let before = next.slice.metadata.labels.clone().unwrap_or_default();
    let mut patch = json!({"endpoints": next.endpoints});
    if let Some(change) = actions::merge_difference(&json!(before), &json!(metadata.labels)) {
        patch["metadata"]["labels"] = change;
    }
    if let Some(change) = trigger_time::difference(next.slice.metadata.annotations.as_ref(), triggered) {
        patch["metadata"]["annotations"] = change;
    }
    actions::merge_patch_at_version(next.slice.as_ref(), patch)
}

fn create(metadata: &ObjectMeta, family: &str, ports: &[Port], endpoints: Vec<Endpoint>) -> Action {
    let ports = ports.iter().map(|port| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    });
    Action::create(&EndpointSlice {
        metadata: metadata.clone(),
        address_type: family.to_owned(),
        endpoints,
        ports: Some(ports.collect()),
    })
}
