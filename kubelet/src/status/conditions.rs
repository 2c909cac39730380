//! Decides a pod's conditions.
//!
//! Upstream: pkg/kubelet/status/generate.go
//! Left out: resize and disruption conditions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::exit_code;
use crate::observed::PodRuntime;
use crate::pod_spec;

const INITIALIZED: &str = "Initialized";
const READY: &str = "Ready";
const CONTAINERS_READY: &str = "ContainersReady";
const READY_TO_START: &str = "PodReadyToStartContainers";
const SCHEDULED: &str = "PodScheduled";

/// The conditions that the kubelet owns, each with the time of its last change.
pub fn conditions(
    pod: &Pod,
    runtime: &PodRuntime,
    phase: &str,
    init: &[ContainerStatus],
    containers: &[ContainerStatus],
    now: Timestamp,
) -> Vec<PodCondition> {
    let initialized = initialized(pod, phase, init, containers);
    let containers_ready = containers_ready(phase, init, containers, pod);
    let ready = if containers_ready.is_true { readiness_gates(pod) } else { containers_ready.clone() };
    let sandbox = runtime.sandbox().is_some_and(|sandbox| sandbox.ready);
    let owned = [
        (READY_TO_START, if sandbox { Verdict::yes() } else { Verdict::no("", String::new()) }),
        (INITIALIZED, initialized),
        (READY, ready),
        (CONTAINERS_READY, containers_ready),
        (SCHEDULED, Verdict::yes()),
    ];
    owned.into_iter().map(|(kind, verdict)| condition(pod, kind, verdict, now)).collect()
}

#[derive(Debug, Clone)]
struct Verdict {
    is_true: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self { is_true: true, reason: String::new(), message: String::new() }
    }

    fn no(reason: &str, message: String) -> Self {
        Self { is_true: false, reason: reason.into(), message }
    }
}

fn initialized(pod: &Pod, phase: &str, init: &[ContainerStatus], containers: &[ContainerStatus]) -> Verdict {
    if init.is_empty() {
        return Verdict::yes();
    }
    if phase == "Succeeded" {
        return Verdict { reason: "PodCompleted".into(), ..Verdict::yes() };
    }
    let begun = containers.iter().any(|status| super::is_running(status) || exit_code(status).is_some());
    let incomplete = init.iter().filter(|status| {
        if pod_spec::is_sidecar(pod, &status.name) { status.started != Some(true) } else { !status.ready }
    });
    let incomplete: Vec<_> = incomplete.map(|status| status.name.as_str()).collect();
    if begun || incomplete.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotInitialized", format!("containers with incomplete status: [{}]", incomplete.join(" ")))
}

fn containers_ready(phase: &str, init: &[ContainerStatus], containers: &[ContainerStatus], pod: &Pod) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::no("PodCompleted", String::new()),
        "Failed" => return Verdict::no("PodFailed", String::new()),
        _ => {}
    }
    let sidecars = init.iter().filter(|status| pod_spec::is_sidecar(pod, &status.name));
    let unready = sidecars.chain(containers).filter(|status| !status.ready);
    let unready: Vec<_> = unready.map(|status| status.name.as_str()).collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    Verdict::no("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
}

/// With its containers ready, a pod is ready when the conditions that it names are true.
fn readiness_gates(pod: &Pod) -> Verdict {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or(&[]);
    let messages = gates.iter().filter_map(|gate| match existing(pod, &gate.condition_type) {
        None => {
            Some(format!("corresponding condition of pod readiness gate \"{}\" does not exist.", gate.condition_type))
        }
        Some(found) if found.status != "True" => Some(format!(
            "the status of pod readiness gate \"{}\" is not \"True\", but {}",
            gate.condition_type, found.status
        )),
        Some(_) => None,
    });
    let messages: Vec<_> = messages.collect();
    if messages.is_empty() { Verdict::yes() } else { Verdict::no("ReadinessGatesNotReady", messages.join(", ")) }
}

fn existing<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn condition(pod: &Pod, kind: &str, verdict: Verdict, now: Timestamp) -> PodCondition {
    let status = if verdict.is_true { "True" } else { "False" };
    let before = existing(pod, kind).filter(|before| before.status == status);
    let since = before.and_then(|before| before.last_transition_time.clone());
    PodCondition {
        type_: kind.into(),
        status: status.into(),
        reason: (!verdict.reason.is_empty()).then_some(verdict.reason),
        message: (!verdict.message.is_empty()).then_some(verdict.message),
        last_transition_time: since.or(Some(Time(now))),
        last_probe_time: None,
        observed_generation: pod.metadata.generation,
    }
}
