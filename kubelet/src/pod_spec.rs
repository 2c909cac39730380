//! Questions about a pod's spec that several decisions ask.
//!
//! Upstream: pkg/api/v1/pod, pkg/kubelet/container/helpers.go
//! Left out: the action RestartAllContainers of restart rules, whose gate is off by default.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod, PodSpec};

/// Whether a container that ended with this code is started again: the first of its rules that knows the code says so,
/// then its own policy, then the pod's.
///
/// An init container that succeeded has done its work and an ephemeral one runs once, whatever the policies say.
pub fn restarts(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    let is_init = init_containers(pod).iter().any(|init| init.name == container.name);
    let is_done = is_init && exit_code == 0 && !restarts_always(container);
    if is_done || is_ephemeral(pod, &container.name) {
        return false;
    }
    let own = container.restart_policy.as_deref();
    let mut rules = container.restart_policy_rules.iter().flatten().filter(|_| own.is_some());
    if rules.find(|rule| knows(rule, exit_code)).is_some_and(|rule| rule.action == "Restart") {
        return true;
    }
    match own.or_else(|| pod.spec.as_ref()?.restart_policy.as_deref()) {
        Some("Never") => false,
        Some("OnFailure") => exit_code != 0,
        _ => true,
    }
}

fn knows(rule: &ContainerRestartRule, exit_code: i32) -> bool {
    let Some(codes) = &rule.exit_codes else { return false };
    let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
    match codes.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

pub fn containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map_or(&[], |spec| &spec.containers)
}

pub fn init_containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or(&[])
}

/// The containers that were added to look into the running pod, as containers: nothing more is known of them.
pub fn ephemeral_containers(pod: &Pod) -> Vec<Container> {
    let list = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    // An ephemeral container has the fields of a container, and the name of another one.
    list.filter_map(|each| serde_json::from_value(serde_json::to_value(each).ok()?).ok()).collect()
}

pub fn is_ephemeral(pod: &Pod, name: &str) -> bool {
    let mut list = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    list.any(|each| each.name == name)
}

/// The container whose processes an ephemeral container sees, if it names one.
pub fn target_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let mut list = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    list.find(|each| each.name == name)?.target_container_name.as_deref().filter(|target| !target.is_empty())
}

/// The container of that name, an ephemeral one too.
pub fn any_container<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let added = || ephemeral_containers(pod).into_iter().find(|each| each.name == name).map(Cow::Owned);
    container(pod, name).map(Cow::Borrowed).or_else(added)
}

/// Init containers first, then the containers.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(containers(pod))
}

pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    all_containers(pod).find(|container| container.name == name)
}

/// An init container that keeps running beside the others.
pub fn restarts_always(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub fn is_sidecar(pod: &Pod, name: &str) -> bool {
    init_containers(pod).iter().any(|container| container.name == name && restarts_always(container))
}

pub fn is_host_network(spec: &PodSpec) -> bool {
    spec.host_network == Some(true)
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// The API server already calls it over: nothing of it may run again.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// How long its containers have between the stop signal and the kill. A pod that was deleted by force has no time left.
pub fn grace_seconds(pod: &Pod, forgotten: bool) -> i64 {
    let asked = pod.metadata.deletion_grace_period_seconds;
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    match (asked, forgotten) {
        (Some(seconds), _) => seconds.max(0),
        (None, true) => 1, // upstream's minimum for pods that vanished
        (None, false) => own.unwrap_or(30).max(0),
    }
}

/// When `activeDeadlineSeconds` ends.
pub fn deadline(pod: &Pod) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let started = pod.status.as_ref()?.start_time.as_ref()?.0;
    started.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// A fingerprint of what can't change without a new container: its name and image.
pub fn hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    // FNV-1a, 32 bits, as upstream's.
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}
