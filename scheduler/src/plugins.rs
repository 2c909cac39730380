//! The rules of scheduling, one per file, each a pure function of pod, node and snapshot.
//!
//! A filter says why a node is impossible; a score says how good a possible node is.
//!
//! Upstream: pkg/scheduler/framework/plugins
//! Left out: PodTopologySpread's own constraints, InterPodAffinity, ImageLocality, NodeVolumeLimits, VolumeZone,
//! DynamicResources.

pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod selector_spread;
pub mod taint_toleration;
pub mod volume_binding;

/// Why a node cannot take a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    pub plugin: &'static str,
    pub reasons: Vec<String>,
    /// Whether removing pods from the node could help.
    pub resolvable: bool,
}

impl Rejection {
    /// Removing pods would help.
    pub fn resolvable(plugin: &'static str, reason: &str) -> Rejection {
        Rejection { plugin, reasons: vec![reason.to_owned()], resolvable: true }
    }

    /// The node itself is the obstacle.
    pub fn final_for_node(plugin: &'static str, reason: &str) -> Rejection {
        Rejection { resolvable: false, ..Rejection::resolvable(plugin, reason) }
    }
}

/// Brings raw scores to 0..=100, the largest becoming 100.
pub fn normalized(raw: &mut [i64]) {
    let largest = raw.iter().copied().max().unwrap_or(0);
    for score in raw {
        *score = if largest == 0 { 0 } else { *score * 100 / largest };
    }
}

/// As [`normalized`], for counts of something unwelcome: none is 100.
pub fn normalized_reversed(raw: &mut [i64]) {
    normalized(raw);
    raw.iter_mut().for_each(|score| *score = 100 - *score);
}
