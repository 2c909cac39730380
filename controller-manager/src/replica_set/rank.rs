//! Which of a ReplicaSet's pods go first when there are too many.
//!
//! Upstream: pkg/controller/controller_utils.go (ActivePodsWithRanks)
//! Left out: comparing ready times and ages on a logarithmic scale, which spreads the choice over pods of similar
//! age: here the same snapshot always gives the same answer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::pods;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Chooses which surplus pods to delete, cheapest loss first.
///
/// `surplus` is a count of pods; fewer are returned when fewer exist. `related` are the active pods of all ReplicaSets
/// of the same Deployment: a node that has many of them can better spare one. Order: unassigned, pending, not ready,
/// lower deletion cost, most crowded node, latest ready, most restarts, youngest; ties break by name.
pub fn rank_for_deletion(candidates: &[Arc<Pod>], related: &[Arc<Pod>], surplus: usize) -> Vec<Arc<Pod>> {
    let mut crowd: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related {
        *crowd.entry(pods::node_name(pod)).or_default() += 1;
    }
    let on_node = |pod: &Pod| crowd.get(pods::node_name(pod)).copied().unwrap_or(0);
    let mut ranked = candidates.to_vec();
    ranked.sort_by(|a, b| {
        assigned(a)
            .cmp(&assigned(b))
            .then_with(|| phase_order(a).cmp(&phase_order(b)))
            .then_with(|| pods::is_ready(a).cmp(&pods::is_ready(b)))
            .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
            .then_with(|| on_node(b).cmp(&on_node(a)))
            .then_with(|| later_first(pods::ready_since(a), pods::ready_since(b)))
            .then_with(|| restarts(b).cmp(&restarts(a)))
            .then_with(|| later_first(created(a), created(b)))
            .then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
    ranked.truncate(surplus);
    ranked
}

fn assigned(pod: &Pod) -> bool {
    !pods::node_name(pod).is_empty()
}

fn phase_order(pod: &Pod) -> u8 {
    match pods::phase(pod) {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    let cost = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).max().unwrap_or(0)
}

fn created(pod: &Pod) -> Option<jiff::Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// A pod without the time counts as the latest: it has the least to lose.
fn later_first(a: Option<jiff::Timestamp>, b: Option<jiff::Timestamp>) -> Ordering {
    let key = |time: Option<jiff::Timestamp>| (time.is_none(), time);
    key(b).cmp(&key(a))
}
