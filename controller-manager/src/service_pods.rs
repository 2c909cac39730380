//! The pods behind a Service, as both of its endpoint controllers see them.
//!
//! Upstream: pkg/controller/util/endpoint, k8s.io/endpointslice/util, pkg/api/v1/pod/util.go (FindPort)
//! Left out: nothing that either controller reads.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use client::{Cache, Informers, ObjectKey, Watches};
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{pods, waking};

pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// Does the Service choose its pods by labels, so that endpoints are made for it?
pub fn selects_pods(service: &Service) -> bool {
    let Some(spec) = service.spec.as_ref() else { return false };
    spec.type_.as_deref() != Some("ExternalName") && spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())
}

pub fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selects_pods(service) && selector.is_some_and(|selector| is_subset(selector, pod.metadata.labels.as_ref()))
}

fn is_subset(selector: &BTreeMap<String, String>, labels: Option<&BTreeMap<String, String>>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// The name by which the pod is found below a headless Service: only where it names that Service as its subdomain.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let same = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    spec.hostname.clone().filter(|hostname| same && !hostname.is_empty())
}

/// The pod's address in the family of `is_in_family`.
pub fn address(pod: &Pod, is_in_family: fn(&IpAddr) -> bool) -> Option<String> {
    let status = pod.status.as_ref()?;
    let mut all = status.pod_ips.iter().flatten().map(|pod_ip| &pod_ip.ip).chain(&status.pod_ip);
    all.find(|ip| ip.parse::<IpAddr>().is_ok_and(|ip| is_in_family(&ip))).cloned()
}

/// One port of a Service as it is on one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub name: String,
    pub port: i32,
    pub protocol: String,
    pub app_protocol: Option<String>,
}

/// The ports of the Service on this pod. A named target port that the pod lacks is left out.
pub fn ports(service: &Service, pod: &Pod) -> Vec<Port> {
    let declared = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let mut found: Vec<Port> = declared
        .filter_map(|declared| {
            Some(Port {
                name: declared.name.clone().unwrap_or_default(),
                port: target_port(declared, pod)?,
                protocol: protocol(declared).to_owned(),
                app_protocol: declared.app_protocol.clone(),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn target_port(declared: &ServicePort, pod: &Pod) -> Option<i32> {
    match &declared.target_port {
        None => Some(declared.port),
        Some(IntOrString::Int(0)) => Some(declared.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let restarts = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
            let sidecars = spec.init_containers.iter().flatten().filter(restarts);
            let mut ports =
                spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
            let same = ports.find(|port| {
                port.name.as_ref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol(declared)
            });
            same.map(|port| port.container_port)
        }
    }
}

/// Can traffic ever reach the pod: it has an address and has not ended for good?
pub fn is_reachable(pod: &Pod) -> bool {
    !pods::is_finished(pod)
        && pod.status.as_ref().is_some_and(|status| status.pod_ip.as_ref().is_some_and(|ip| !ip.is_empty()))
}

/// What makes a Service's endpoints: the Services, the pods, and which Services a pod is behind.
#[derive(Clone)]
pub struct ServicesAndPods {
    pub services: Cache<Service>,
    pub pods: Cache<Pod>,
}

impl ServicesAndPods {
    pub fn new(informers: &Informers) -> Self {
        Self { services: informers.of(), pods: informers.of() }
    }

    /// Wakes a Service by its own changes and by those of the pods that it selects or selected.
    pub fn watches(&self) -> Watches<ObjectKey> {
        let services = self.services.clone();
        let behind = move |pod: &Pod| {
            let services = services.in_namespace(pod.metadata.namespace.as_deref().unwrap_or(""));
            let selecting = services.iter().filter(|service| selects(service, pod));
            selecting.map(|service| ObjectKey::of(service.as_ref())).collect()
        };
        Watches::new().objects(&self.services).map(&self.pods, waking::both(behind))
    }

    /// The Service of this name with the pods that it selects.
    pub fn gather(&self, key: &ObjectKey) -> (Option<Arc<Service>>, Vec<Arc<Pod>>) {
        let Some(service) = self.services.get(key) else { return (None, Vec::new()) };
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selects(&service, pod));
        (Some(service), pods)
    }
}
