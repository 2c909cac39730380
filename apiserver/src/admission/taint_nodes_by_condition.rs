//! A new node gets no pods before it has said that it is ready.
//!
//! Upstream: plugin/pkg/admission/nodetaint/admission.go
//! Left out: nothing.

use api::status::Status;
use serde_json::json;

use super::{Admission, Operation, Request};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) struct TaintNodesByCondition;

impl Admission for TaintNodesByCondition {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let Some(node) = request.object_of(Operation::Create, "", "nodes") else { return Ok(()) };
        let taint = json!({"key": NOT_READY, "effect": "NoSchedule"});
        match node["spec"]["taints"].as_array_mut() {
            Some(taints) if taints.iter().any(|each| each["key"] == NOT_READY && each["effect"] == "NoSchedule") => {}
            Some(taints) => taints.push(taint),
            None => node["spec"]["taints"] = json!([taint]),
        }
        Ok(())
    }
}
