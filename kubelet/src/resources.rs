//! Decides the numbers behind a pod's requests and limits: its quality of service, CPU shares and quota, memory, OOM score.
//!
//! Upstream: pkg/kubelet/cm/helpers_linux.go, pkg/apis/core/v1/helper/qos, pkg/kubelet/qos/policy.go
//! Left out: huge pages, CPU pinning, memory QoS, swap.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WrittenQuantity;
use proto::cri::LinuxContainerResources;

use crate::pod_spec;

/// Upstream's constants (pkg/kubelet/cm): shares of one CPU, the least share, the quota's period.
const SHARES_PER_CPU: i64 = 1024;
const MIN_SHARES: i64 = 2;
const MAX_SHARES: i64 = 262_144;
const PERIOD_US: i64 = 100_000;
const MIN_QUOTA_US: i64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

/// Guaranteed when every container's CPU and memory limits equal its requests, BestEffort when it names neither.
pub fn qos_class(pod: &Pod) -> QosClass {
    let mut named = false;
    let mut guaranteed = true;
    for container in pod_spec::all_containers(pod) {
        for resource in ["cpu", "memory"] {
            let limit = amount(container, resource, Side::Limit).filter(|amount| *amount > 0);
            let request = amount(container, resource, Side::Request).filter(|amount| *amount > 0).or(limit);
            named |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && limit == request;
        }
    }
    match (named, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Request,
    Limit,
}

/// What a container asks of a resource: millicores for `cpu`, else units (bytes). A limit stands in for an absent request
/// only where the API server has defaulted it.
pub fn amount(container: &Container, resource: &str, side: Side) -> Option<i64> {
    let requirements = container.resources.as_ref()?;
    let list = side_of(requirements, side)?;
    list.get(resource).and_then(|written| in_units(resource, written))
}

fn side_of(requirements: &ResourceRequirements, side: Side) -> Option<&BTreeMap<String, WrittenQuantity>> {
    match side {
        Side::Request => requirements.requests.as_ref(),
        Side::Limit => requirements.limits.as_ref(),
    }
}

pub fn in_units(resource: &str, written: &WrittenQuantity) -> Option<i64> {
    let quantity = Quantity::parse(&written.0).ok()?;
    Some(if resource == "cpu" { quantity.milli_value() } else { quantity.value() })
}

/// What a whole pod asks: its containers together, or its hungriest init container if that is more, and the overhead.
pub fn pod_amount(pod: &Pod, resource: &str, side: Side) -> i64 {
    let of = |container: &Container| amount(container, resource, side).unwrap_or(0);
    let mut sidecars = 0;
    let mut initial = 0;
    for container in pod_spec::init_containers(pod) {
        if pod_spec::restarts_always(container) {
            sidecars += of(container);
            initial = initial.max(sidecars);
        } else {
            initial = initial.max(sidecars + of(container));
        }
    }
    let running: i64 = pod_spec::containers(pod).iter().map(of).sum::<i64>() + sidecars;
    let overhead = pod.spec.as_ref().and_then(|spec| spec.overhead.as_ref()?.get(resource));
    running.max(initial) + overhead.and_then(|written| in_units(resource, written)).unwrap_or(0)
}

/// CPU shares (cgroup v1's unit) of a request in millicores.
pub fn cpu_shares(milli: i64) -> i64 {
    (milli * SHARES_PER_CPU / 1000).clamp(MIN_SHARES, MAX_SHARES)
}

/// The request in millicores that so many shares are for, rounded up.
pub fn milli_of_shares(shares: i64) -> i64 {
    (shares * 1000 + SHARES_PER_CPU - 1) / SHARES_PER_CPU
}

/// CPU quota in microseconds per period of a limit in millicores; 0 means no quota.
pub fn cpu_quota(milli: i64) -> i64 {
    if milli == 0 { 0 } else { (milli * PERIOD_US / 1000).max(MIN_QUOTA_US) }
}

/// The period that the quota is counted in.
pub fn cpu_period() -> i64 {
    PERIOD_US
}

/// cgroup v2's weight for a number of shares, as runc converts it.
pub fn cpu_weight(shares: i64) -> i64 {
    1 + (shares.clamp(MIN_SHARES, MAX_SHARES) - 2) * 9999 / 262_142
}

/// What the runtime is to set for one container of a pod on a machine with this much memory.
pub fn container_resources(pod: &Pod, container: &Container, machine_memory: i64) -> LinuxContainerResources {
    let cpu_limit = amount(container, "cpu", Side::Limit).unwrap_or(0);
    let cpu_request = amount(container, "cpu", Side::Request).unwrap_or(cpu_limit);
    LinuxContainerResources {
        cpu_shares: cpu_shares(cpu_request),
        cpu_quota: cpu_quota(cpu_limit),
        cpu_period: PERIOD_US,
        memory_limit_in_bytes: amount(container, "memory", Side::Limit).unwrap_or(0),
        oom_score_adj: oom_score(pod, container, machine_memory),
        ..Default::default()
    }
}

/// Who dies first when memory runs out: upstream's scores, from -997 (Guaranteed) to 1000 (BestEffort).
fn oom_score(pod: &Pod, container: &Container, machine_memory: i64) -> i64 {
    let critical = pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= 2_000_000_000);
    match qos_class(pod) {
        _ if critical => -997,
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request = amount(container, "memory", Side::Request).unwrap_or(0);
            let score = 1000 - (1000 * i128::from(request) / i128::from(machine_memory.max(1))) as i64;
            score.clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: serde_json::Value) -> Pod {
        let container = json!({ "name": "main", "resources": resources });
        serde_json::from_value(json!({ "spec": { "containers": [container] } })).expect("a pod")
    }

    #[test]
    fn limits_equal_to_requests_are_guaranteed() {
        let same = json!({ "cpu": "100m", "memory": "64Mi" });
        assert_eq!(qos_class(&pod(json!({ "limits": same, "requests": same }))), QosClass::Guaranteed);
        assert_eq!(qos_class(&pod(json!({ "requests": same }))), QosClass::Burstable);
        assert_eq!(qos_class(&pod(json!({}))), QosClass::BestEffort);
    }

    #[test]
    fn cpu_becomes_shares_and_quota() {
        let pod = pod(json!({ "limits": { "cpu": "500m", "memory": "64Mi" }, "requests": { "cpu": "250m" } }));
        let resources = container_resources(&pod, &pod_spec::containers(&pod)[0], 8 << 30);
        assert_eq!((resources.cpu_shares, resources.cpu_quota, resources.cpu_period), (256, 50_000, 100_000));
        assert_eq!(resources.memory_limit_in_bytes, 64 << 20);
    }

    #[test]
    fn the_hungriest_init_container_counts_when_it_wants_more_than_the_rest() {
        let pod: Pod = serde_json::from_value(json!({ "spec": {
            "initContainers": [{ "name": "init", "resources": { "requests": { "cpu": "2" } } }],
            "containers": [{ "name": "main", "resources": { "requests": { "cpu": "500m" } } }],
        } }))
        .expect("a pod");
        assert_eq!(pod_amount(&pod, "cpu", Side::Request), 2000);
    }
}
