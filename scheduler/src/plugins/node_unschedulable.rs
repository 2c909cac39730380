//! A cordoned node takes only pods that tolerate it.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeunschedulable/node_unschedulable.go

use k8s_openapi::api::core::v1::{Node, Pod, Taint};

use super::{Rejection, taint_toleration};

pub const NAME: &str = "NodeUnschedulable";

pub fn filter(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    let taint =
        Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() };
    if !is_cordoned || taint_toleration::tolerates(pod, &taint) {
        return Ok(());
    }
    Err(Rejection::final_for_node(NAME, "node(s) were unschedulable"))
}
