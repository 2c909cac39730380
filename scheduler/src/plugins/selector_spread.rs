//! Pods of one owner rather go to different nodes.
//!
//! Upstream: pkg/scheduler/framework/plugins/podtopologyspread (its default constraints, as scores)
//! Left out: zones, and the pod's own topologySpreadConstraints. Upstream finds siblings by the selectors of Services
//! and owners; we by the controlling owner, which is the same for pods that a controller made.

use k8s_openapi::api::core::v1::Pod;

use crate::snapshot::NodeState;

/// How many pods of the same owner the node has.
pub fn siblings(pod: &Pod, node: &NodeState) -> i64 {
    let Some(owner) = controller_uid(pod) else { return 0 };
    let others = node.pods.values().filter(|other| other.pod.metadata.deletion_timestamp.is_none());
    others.filter(|other| controller_uid(&other.pod) == Some(owner)).count() as i64
}

fn controller_uid(pod: &Pod) -> Option<&str> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}
