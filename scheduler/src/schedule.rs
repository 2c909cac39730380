//! The decision: which node for this pod, or why none.
//!
//! Filters leave the possible nodes, scores rank them, the best wins. Upstream looks at a sample of a large cluster and
//! throws dice among equals; we look at every node and take the first by name, so the same world gives the same answer.
//!
//! Upstream: pkg/scheduler/schedule_one.go, pkg/scheduler/framework/types.go (FitError)
//! Left out: preemption (its words in the message are those of a preemption that finds no victims), extenders.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node;

use crate::plugins::{
    Rejection, node_affinity, node_name, node_ports, node_resources_fit, node_unschedulable, normalized,
    normalized_reversed, selector_spread, taint_toleration, volume_binding,
};
use crate::snapshot::{NodeState, PodInfo, Snapshot};

/// What becomes of a pod.
#[derive(Debug, PartialEq)]
pub enum Decision {
    Bind {
        node: String,
    },
    /// Nowhere now. `rejected_by` names the plugins whose part of the world has to change first.
    Unschedulable {
        message: String,
        rejected_by: BTreeSet<&'static str>,
    },
}

/// Decides where the pod goes. Ties go to the first node by name.
pub fn schedule(pod: &PodInfo, snapshot: &Snapshot) -> Decision {
    if snapshot.nodes().next().is_none() {
        let message = "no nodes available to schedule pods".to_owned();
        return Decision::Unschedulable { message, rejected_by: BTreeSet::new() };
    }
    if let Err(rejection) = volume_binding::pre_filter(&pod.pod, snapshot) {
        let nodes = snapshot.nodes().count();
        let message = format!("0/{nodes} nodes are available: {}. {}", rejection.reasons[0], preemption(0, nodes));
        return Decision::Unschedulable { message, rejected_by: BTreeSet::from([rejection.plugin]) };
    }
    let mut possible = Vec::new();
    let mut rejections = Vec::new();
    for (name, state, node) in snapshot.nodes() {
        match filter(pod, name, state, node, snapshot) {
            Ok(()) => possible.push((name, state, node)),
            Err(rejection) => rejections.push(rejection),
        }
    }
    match best(pod, &possible) {
        Some(node) => Decision::Bind { node: node.to_owned() },
        None => unschedulable(&rejections),
    }
}

/// The first reason, in upstream's order of plugins, why the node cannot take the pod.
fn filter(pod: &PodInfo, name: &str, state: &NodeState, node: &Node, snapshot: &Snapshot) -> Result<(), Rejection> {
    node_unschedulable::filter(&pod.pod, node)?;
    node_name::filter(&pod.pod, name)?;
    taint_toleration::filter(&pod.pod, node)?;
    node_affinity::filter(&pod.pod, node)?;
    node_ports::filter(&pod.pod, state)?;
    node_resources_fit::filter(pod, state)?;
    volume_binding::filter(&pod.pod, node, snapshot)
}

/// The node with the highest sum of weighted scores.
fn best<'a>(pod: &PodInfo, possible: &[(&'a str, &NodeState, &Node)]) -> Option<&'a str> {
    if let [(only, ..)] = possible {
        return Some(only);
    }
    let raw = |score: &dyn Fn(&NodeState, &Node) -> i64| -> Vec<i64> {
        possible.iter().map(|(_, state, node)| score(state, node)).collect()
    };
    let mut taints = raw(&|_, node| taint_toleration::score(&pod.pod, node));
    normalized_reversed(&mut taints);
    let mut affinity = raw(&|_, node| node_affinity::score(&pod.pod, node));
    normalized(&mut affinity);
    let mut spread = raw(&|state, _| selector_spread::siblings(&pod.pod, state));
    normalized_reversed(&mut spread);
    let emptiness = raw(&|state, _| node_resources_fit::least_allocated(pod, state));
    let balance = raw(&|state, _| node_resources_fit::balanced_allocation(pod, state));
    // Upstream's default weights.
    let total = |i: usize| 3 * taints[i] + 2 * affinity[i] + 2 * spread[i] + emptiness[i] + balance[i];
    let first_best = (0..possible.len()).max_by_key(|&i| (total(i), std::cmp::Reverse(i)))?;
    Some(possible[first_best].0)
}

fn unschedulable(rejections: &[Rejection]) -> Decision {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in rejections.iter().flat_map(|rejection| &rejection.reasons) {
        *counts.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    let nodes = rejections.len();
    let resolvable = rejections.iter().filter(|rejection| rejection.resolvable).count();
    let message = format!(
        "0/{nodes} nodes are available: {}. {}",
        reasons.join(", "),
        preemption(resolvable, nodes - resolvable)
    );
    let rejected_by = rejections.iter().map(|rejection| rejection.plugin).collect();
    Decision::Unschedulable { message, rejected_by }
}

/// The second sentence of the message: what preemption would say of the nodes.
fn preemption(no_victims: usize, not_helpful: usize) -> String {
    let mut reasons = Vec::new();
    for (count, reason) in [
        (no_victims, "No preemption victims found for incoming pod"),
        (not_helpful, "Preemption is not helpful for scheduling"),
    ] {
        if count > 0 {
            reasons.push(format!("{count} {reason}"));
        }
    }
    reasons.sort();
    let nodes = no_victims + not_helpful;
    format!("no new claims to deallocate, preemption: 0/{nodes} nodes are available: {}.", reasons.join(", "))
}

#[cfg(test)]
mod tests;
