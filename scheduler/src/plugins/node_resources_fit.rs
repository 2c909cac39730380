//! A pod's requests must be free on its node; emptier and evenly used nodes are better.
//!
//! Upstream: pkg/scheduler/framework/plugins/noderesources/{fit,least_allocated,balanced_allocation}.go
//! Left out: the MostAllocated and RequestedToCapacityRatio strategies.

use super::Rejection;
use crate::snapshot::{NodeState, PodInfo};

pub const NAME: &str = "NodeResourcesFit";

pub fn filter(pod: &PodInfo, node: &NodeState) -> Result<(), Rejection> {
    let mut reasons = Vec::new();
    let mut resolvable = true;
    if node.pods.len() as i64 + 1 > node.max_pods {
        reasons.push("Too many pods".to_owned());
    }
    let mut check = |name: &str, wanted: i64, allocatable: i64, requested: i64| {
        if wanted > 0 && wanted > allocatable - requested {
            reasons.push(format!("Insufficient {name}"));
            resolvable &= wanted <= allocatable;
        }
    };
    let (wanted, has, used) = (&pod.requests, &node.allocatable, &node.requested);
    check("cpu", wanted.milli_cpu, has.milli_cpu, used.milli_cpu);
    check("memory", wanted.memory, has.memory, used.memory);
    check("ephemeral-storage", wanted.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage);
    for (name, amount) in &wanted.extended {
        let of = |resources: &crate::resources::Resources| resources.extended.get(name).copied().unwrap_or(0);
        check(name, *amount, of(has), of(used));
    }
    if reasons.is_empty() { Ok(()) } else { Err(Rejection { plugin: NAME, reasons, resolvable }) }
}

/// 100 for a node that stays empty, 0 for one that is full: the mean of cpu and memory.
pub fn least_allocated(pod: &PodInfo, node: &NodeState) -> i64 {
    let free = |allocatable: i64, requested: i64| {
        if allocatable <= 0 || requested > allocatable { 0 } else { (allocatable - requested) * 100 / allocatable }
    };
    let used = &node.ranked_requested;
    let cpu = free(node.allocatable.milli_cpu, used.milli_cpu + pod.ranked_requests.milli_cpu);
    let memory = free(node.allocatable.memory, used.memory + pod.ranked_requests.memory);
    (cpu + memory) / 2
}

/// 100 when cpu and memory are used in the same proportion.
pub fn balanced_allocation(pod: &PodInfo, node: &NodeState) -> i64 {
    let fraction = |requested: i64, allocatable: i64| {
        if allocatable <= 0 { 1.0 } else { (requested as f64 / allocatable as f64).min(1.0) }
    };
    let cpu = fraction(node.requested.milli_cpu + pod.requests.milli_cpu, node.allocatable.milli_cpu);
    let memory = fraction(node.requested.memory + pod.requests.memory, node.allocatable.memory);
    ((1.0 - (cpu - memory).abs() / 2.0) * 100.0) as i64
}
