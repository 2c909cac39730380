//! Decides what the API server is told about a pod: phase, conditions and the state of each container.
//!
//! Upstream: pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase), pkg/kubelet/status/generate.go
//! Left out: resize status, resource claims.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::{Container, PodRuntime};
use crate::plan::Progress;
use crate::pod_spec;
use crate::probes::Verdicts;

pub mod conditions;
pub mod containers;
pub mod resources;

/// The node as its pods' statuses name it.
#[derive(Debug, Clone, Default)]
pub struct HostAddresses {
    pub ips: Vec<String>,
}

/// The status of a pod, from what it should be and what runs.
///
/// Fields that others own (nominated node, readiness gates, resize) are not in it: the caller patches.
pub fn pod_status(
    pod: &Pod,
    runtime: &PodRuntime,
    progress: &Progress,
    probes: &Verdicts,
    host: &HostAddresses,
    now: Timestamp,
) -> PodStatus {
    let view = View { pod, runtime, progress, probes };
    let before = pod.status.clone().unwrap_or_default();
    let init_statuses: Vec<_> = pod_spec::init_containers(pod).iter().map(|spec| view.container(spec)).collect();
    let statuses: Vec<_> = pod_spec::containers(pod).iter().map(|spec| view.container(spec)).collect();

    let mut status = PodStatus {
        observed_generation: pod.metadata.generation,
        start_time: before.start_time.clone().or(Some(Time(now))),
        host_ip: host.ips.first().cloned(),
        host_ips: host_ips(host),
        qos_class: before.qos_class.clone().or_else(|| Some(crate::resources::qos_class(pod).as_str().into())),
        ..Default::default()
    };
    let ips = pod_ips(pod, runtime, host);
    status.pod_ip = ips.first().cloned();
    status.pod_ips = (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect());

    let phase = match progress.verdict.as_ref() {
        _ if pod_spec::is_terminal(pod) => before.phase.clone().unwrap_or_default(),
        Some(_) => "Failed".into(),
        None => phase(pod, &init_statuses, &statuses, view.is_ending()).to_string(),
    };
    if let Some((reason, message)) = &progress.verdict {
        status.reason = Some(reason.clone());
        status.message = Some(message.clone());
    } else if pod_spec::is_terminal(pod) {
        status.reason = before.reason.clone();
        status.message = before.message.clone();
    }
    status.conditions = Some(conditions::conditions(pod, runtime, &phase, &init_statuses, &statuses, now));
    status.phase = Some(phase);
    let added: Vec<_> = pod_spec::ephemeral_containers(pod).iter().map(|spec| view.container(spec)).collect();
    status.ephemeral_container_statuses = (!added.is_empty()).then_some(added);
    status.init_container_statuses = (!init_statuses.is_empty()).then_some(init_statuses);
    status.container_statuses = (!statuses.is_empty()).then_some(statuses);
    status
}

/// What the pieces of one pod's status are made from.
pub struct View<'a> {
    pub pod: &'a Pod,
    pub runtime: &'a PodRuntime,
    pub progress: &'a Progress,
    pub probes: &'a Verdicts,
}

impl View<'_> {
    pub fn is_ending(&self) -> bool {
        self.progress.forgotten || self.progress.finishing || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// A container's own record of its newest run, when it is not being deleted before anything ran.
    fn newest(&self, name: &str) -> Option<&Container> {
        self.runtime.container(name)
    }
}

/// The phase, from the states of the containers.
fn phase(pod: &Pod, init: &[ContainerStatus], containers: &[ContainerStatus], ending: bool) -> &'static str {
    let sidecars: BTreeMap<&str, bool> = pod_spec::init_containers(pod)
        .iter()
        .map(|spec| (spec.name.as_str(), pod_spec::restarts_always(spec)))
        .collect();
    let mut initializing = false;
    for status in init {
        let is_sidecar = sidecars.get(status.name.as_str()).copied().unwrap_or(false);
        let done = if is_sidecar { status.started == Some(true) || ending } else { exit_code(status) == Some(0) };
        let failed = !is_sidecar && exit_code(status).is_some_and(|code| code != 0);
        if failed && !comes_back(pod, status) {
            return "Failed";
        }
        initializing |= !done;
    }
    let has_run = |status: &&ContainerStatus| is_running(status) || exit_code(status).is_some();
    let any_begun = containers.iter().any(|status| has_run(&status));
    if initializing && !any_begun {
        let over = ending && !init.iter().any(is_running);
        return if over { ended(init.iter().chain(containers)) } else { "Pending" };
    }
    if containers.iter().any(is_running) {
        let waiting = containers.iter().any(|status| !has_run(&status));
        return if waiting && !ending { "Pending" } else { "Running" };
    }
    if !ending && !containers.iter().all(|status| exit_code(status).is_some()) {
        return "Pending";
    }
    let succeeded = containers.iter().all(|status| exit_code(status) == Some(0));
    match succeeded {
        _ if ending => ended(containers.iter()),
        _ if containers.iter().any(|status| comes_back(pod, status)) => "Running",
        true => "Succeeded",
        false => "Failed",
    }
}

/// It has ended and will be started again.
fn comes_back(pod: &Pod, status: &ContainerStatus) -> bool {
    let restarts =
        |code| pod_spec::container(pod, &status.name).is_some_and(|spec| pod_spec::restarts(pod, spec, code));
    exit_code(status).is_some_and(restarts)
}

/// How a pod that is being deleted ends: well, if everything in it did.
fn ended<'a>(mut statuses: impl Iterator<Item = &'a ContainerStatus>) -> &'static str {
    if statuses.all(|status| exit_code(status) == Some(0)) { "Succeeded" } else { "Failed" }
}

pub fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// The code of the last exit, also while the container waits to be restarted.
pub fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let terminated = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let waiting = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).filter(|_| waiting);
    terminated.or(last).map(|terminated| terminated.exit_code)
}

fn pod_ips(pod: &Pod, runtime: &PodRuntime, host: &HostAddresses) -> Vec<String> {
    if pod.spec.as_ref().is_some_and(pod_spec::is_host_network) {
        return host.ips.clone();
    }
    let current = runtime.sandbox().filter(|sandbox| sandbox.ready).map(|sandbox| sandbox.ips.clone());
    current.unwrap_or_else(|| {
        let before = pod.status.as_ref().and_then(|status| status.pod_ips.clone()).unwrap_or_default();
        before.into_iter().map(|address| address.ip).collect()
    })
}

fn host_ips(host: &HostAddresses) -> Option<Vec<HostIP>> {
    (!host.ips.is_empty()).then(|| host.ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect())
}

#[cfg(test)]
mod tests;
