//! A pod that already names a node goes nowhere else.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodename/node_name.go

use k8s_openapi::api::core::v1::Pod;

use super::Rejection;

pub const NAME: &str = "NodeName";

pub fn filter(pod: &Pod, node_name: &str) -> Result<(), Rejection> {
    let wanted = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    if wanted.is_empty() || wanted == node_name {
        return Ok(());
    }
    Err(Rejection::final_for_node(NAME, "node(s) didn't match the requested node name"))
}
