//! A tainted node takes only pods that tolerate the taint.
//!
//! Upstream: pkg/scheduler/framework/plugins/tainttoleration, component-helpers/scheduling/corev1/helpers.go
//! Left out: the Lt and Gt operators of tolerations (alpha).

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use super::Rejection;

pub const NAME: &str = "TaintToleration";

pub fn filter(pod: &Pod, node: &Node) -> Result<(), Rejection> {
    let repels = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    if taints(node).filter(repels).all(|taint| tolerates(pod, taint)) {
        return Ok(());
    }
    Err(Rejection::final_for_node(NAME, "node(s) had untolerated taint(s)"))
}

/// How many taints ask the pod, without forcing it, to stay away.
pub fn score(pod: &Pod, node: &Node) -> i64 {
    taints(node).filter(|taint| taint.effect == "PreferNoSchedule" && !tolerates(pod, taint)).count() as i64
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten())
}

/// Whether one of the pod's tolerations matches the taint.
pub fn tolerates(pod: &Pod, taint: &Taint) -> bool {
    pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten()).any(|toleration| matches(toleration, taint))
}

fn matches(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let effect = text(&toleration.effect);
    let key = text(&toleration.key);
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}
