//! Decides which requests and limits a container is reported to have: those that the runtime says are in force.
//!
//! Upstream: pkg/kubelet/kubelet_pods.go (convertContainerStatusResources),
//!   pkg/kubelet/kuberuntime/kuberuntime_container_linux.go (toKubeContainerResources)
//! Left out: allocatedResources, which 1.35 reports only with a feature that is off.

use std::collections::BTreeMap;

use api::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::{Container as ContainerSpec, ContainerStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WrittenQuantity;
use proto::cri::LinuxContainerResources;

use crate::observed::{Container, State};
use crate::resources;

/// Upstream's least effective amounts (pkg/kubelet/cm): below them what is in force says nothing of what was asked.
const MIN_REQUEST_MILLI: i64 = 2;
const MIN_LIMIT_MILLI: i64 = 10;

type Amounts = BTreeMap<String, WrittenQuantity>;

/// The requirements in force. `before` is the last report of the container: what the runtime does not tell of the same
/// run, as the memory that was requested, stays as it was reported.
pub fn in_force(spec: &ContainerSpec, container: &Container, before: Option<&ContainerStatus>) -> ResourceRequirements {
    let mut reported = spec.resources.clone().unwrap_or_default();
    if !matches!(container.state, State::Running { .. }) {
        return reported;
    }
    let same_run = before.filter(|before| {
        let id = before.container_id.as_deref().and_then(|id| id.split_once("://"));
        super::is_running(before) && id.is_some_and(|(_, id)| id == container.id)
    });
    let known = same_run.and_then(|before| before.resources.as_ref());
    let actual = container.resources.clone().unwrap_or_default();
    if let Some(limits) = &mut reported.limits {
        let known = known.and_then(|known| known.limits.as_ref());
        settle_cpu(limits, cpu_limit(&actual), MIN_LIMIT_MILLI, known);
        let memory = Some(actual.memory_limit_in_bytes).filter(|bytes| *bytes > 0);
        settle(limits, "memory", memory.map(|bytes| Quantity::new(bytes, Format::Binary)), known);
    }
    if let Some(requests) = &mut reported.requests {
        let known = known.and_then(|known| known.requests.as_ref());
        let shares = Some(actual.cpu_shares).filter(|shares| *shares > 0);
        settle_cpu(requests, shares.map(resources::milli_of_shares), MIN_REQUEST_MILLI, known);
        settle(requests, "memory", None, known);
    }
    reported
}

/// In millicores.
fn cpu_limit(actual: &LinuxContainerResources) -> Option<i64> {
    (actual.cpu_quota > 0 && actual.cpu_period > 0).then(|| actual.cpu_quota * 1000 / actual.cpu_period)
}

fn settle_cpu(amounts: &mut Amounts, actual_milli: Option<i64>, least_milli: i64, known: Option<&Amounts>) {
    let asked = amounts.get("cpu").and_then(|written| resources::in_units("cpu", written)).unwrap_or_default();
    match actual_milli {
        Some(actual) if actual <= least_milli && asked <= least_milli => {}
        actual => settle(amounts, "cpu", actual.map(|milli| Quantity::from_milli(milli, Format::Decimal)), known),
    }
}

fn settle(amounts: &mut Amounts, resource: &str, actual: Option<Quantity>, known: Option<&Amounts>) {
    let actual = actual.map(|quantity| WrittenQuantity(quantity.to_string()));
    if let Some(quantity) = actual.or_else(|| known?.get(resource).cloned()) {
        amounts.insert(resource.to_owned(), quantity);
    }
}
