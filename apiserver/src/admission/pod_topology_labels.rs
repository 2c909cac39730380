//! A pod that is given a node gets the node's zone and region as labels.
//!
//! Upstream: plugin/pkg/admission/podtopologylabels/admission.go
//! Left out: nothing. What labels a binding has, the pod gets (crate::operations::subresource).

use api::status::Status;

use super::{Admission, Operation, Request};

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub(super) struct PodTopologyLabels;

impl Admission for PodTopologyLabels {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let node = node_of(request).and_then(|name| request.objects.get("", "nodes", "", name));
        let (Some(node), Some(object)) = (node, request.object.as_mut()) else { return Ok(()) };
        for label in LABELS {
            if let (Some(value), None) = (node.meta.label(label), object["metadata"]["labels"].get(label)) {
                object["metadata"]["labels"][label] = value.into();
            }
        }
        Ok(())
    }
}

/// The node that a new pod is on, or that a pod is bound to.
fn node_of<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let object = request.object.as_ref().filter(|_| request.operation == Operation::Create)?;
    match request.subresource_of("", "pods")? {
        "" => object["spec"]["nodeName"].as_str(),
        "binding" => object["target"]["name"].as_str().filter(|_| object["target"]["kind"] == "Node"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{admin, send};
    use super::*;
    use crate::objects::world::World;

    #[test]
    fn a_bound_pod_says_in_which_zone_it_is() {
        let world = World::new([
            json!({"kind": "Namespace", "metadata": {"name": "ns"}}),
            json!({"kind": "Node", "metadata": {"name": "n", "labels": {
                "other": "x", "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}}}),
        ]);
        let send = |path: &str, object| send(&world, &admin(), Operation::Create, path, Some(object), None);
        let bind = |labels: serde_json::Value| {
            let binding = json!({"metadata": {"name": "x", "labels": labels}, "target": {"kind": "Node", "name": "n"}});
            send("/pods/ns/x/binding", binding).unwrap()["metadata"]["labels"].clone()
        };
        let all = json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"});
        assert_eq!(bind(json!({})), all);
        let kept = json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "mine"});
        assert_eq!(bind(json!({"topology.kubernetes.io/zone": "mine"})), kept);
    }
}
