//! What a pod asks for and what a node has, as whole numbers.
//!
//! Upstream: component-helpers/resource/helpers.go, pkg/scheduler/framework/types.go (Resource)
//! Left out: in-place resize (the larger of asked and allocated), dynamic resource claims.

use std::collections::BTreeMap;

use api::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// What a container that asks for nothing is counted with when nodes are ranked: 0.1 core, 200 MB.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts by resource: thousandths of a core, bytes, and pieces of anything else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a resource list. Amounts that cannot be read count as nothing: the API server has refused them.
    pub fn of_list(list: &BTreeMap<String, Quantity>) -> Resources {
        let mut resources = Resources::default();
        for (name, quantity) in list {
            let amount = Amount::parse(&quantity.0).unwrap_or_default();
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                "pods" => {}
                _ => drop(resources.extended.insert(name.clone(), amount.value())),
            }
        }
        resources
    }

    pub fn add(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_add);
    }

    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_sub);
    }

    /// Raises each amount to at least the other's.
    fn raise_to(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, combine: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = combine(self.milli_cpu, other.milli_cpu);
        self.memory = combine(self.memory, other.memory);
        self.ephemeral_storage = combine(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.extended {
            let mine = self.extended.entry(name.clone()).or_default();
            *mine = combine(*mine, *amount);
        }
    }
}

/// What must be free on a node for the pod: its containers and sidecars together, or, if that is more, what its
/// greediest init container needs beside the sidecars that started before it; plus the overhead of its runtime.
pub fn requests_of(pod: &Pod) -> Resources {
    let mut requests = sum(pod, |container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        requests.map(Resources::of_list).unwrap_or_default()
    });
    let Some(spec) = &pod.spec else { return requests };
    // Requests of the pod as a whole replace what its containers add up to.
    if let Some(list) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        let whole = Resources::of_list(list);
        if list.contains_key("cpu") {
            requests.milli_cpu = whole.milli_cpu;
        }
        if list.contains_key("memory") {
            requests.memory = whole.memory;
        }
    }
    requests.add(&spec.overhead.as_ref().map(Resources::of_list).unwrap_or_default());
    requests
}

/// As [`requests_of`], for cpu and memory only, with every container that asks for nothing counted with a little.
pub fn ranked_requests_of(pod: &Pod) -> Resources {
    sum(pod, |container| {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let listed = requests.map(Resources::of_list).unwrap_or_default();
        let has = |name: &str| requests.is_some_and(|requests| requests.contains_key(name));
        Resources {
            milli_cpu: if has("cpu") { listed.milli_cpu } else { DEFAULT_MILLI_CPU },
            memory: if has("memory") { listed.memory } else { DEFAULT_MEMORY },
            ..Resources::default()
        }
    })
}

fn sum(pod: &Pod, requests_of: impl Fn(&Container) -> Resources) -> Resources {
    let mut together = Resources::default();
    let mut starting = Resources::default();
    let Some(spec) = &pod.spec else { return together };
    for container in spec.init_containers.iter().flatten() {
        let requests = requests_of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            together.add(&requests);
            starting.raise_to(&together);
        } else {
            let mut beside = together.clone();
            beside.add(&requests);
            starting.raise_to(&beside);
        }
    }
    for container in &spec.containers {
        together.add(&requests_of(container));
    }
    together.raise_to(&starting);
    together
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: serde_json::Value, milli_cpu: i64) {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(requests_of(&pod).milli_cpu, milli_cpu);
    }

    fn asks(cpu: &str) -> serde_json::Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu}}})
    }

    #[test]
    fn init_containers_count_only_when_they_need_more_than_the_rest() {
        check(json!({"containers": [asks("100m"), asks("1")], "initContainers": [asks("500m")]}), 1100);
        check(json!({"containers": [asks("100m")], "initContainers": [asks("500m"), asks("400m")]}), 500);
    }

    #[test]
    fn a_sidecar_runs_beside_the_containers_and_the_later_init_containers() {
        let mut sidecar = asks("200m");
        sidecar["restartPolicy"] = "Always".into();
        check(json!({"containers": [asks("100m")], "initContainers": [sidecar, asks("500m")]}), 700);
    }

    #[test]
    fn overhead_is_added_and_requests_of_the_whole_pod_replace_the_sum() {
        check(json!({"containers": [asks("1")], "overhead": {"cpu": "250m"}}), 1250);
        check(json!({"containers": [asks("1")], "resources": {"requests": {"cpu": "2"}}}), 2000);
    }
}
