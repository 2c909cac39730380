//! A pod that is given a node gets the node's zone and region as labels.
//!
//! Upstream: plugin/pkg/admission/podtopologylabels/admission.go
//! Left out: nothing. A binding changes the pod itself here, so that is what is looked at.

use api::status::Status;

use super::{Admission, Operation, Request};

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub(super) struct PodTopologyLabels;

impl Admission for PodTopologyLabels {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let fits = matches!(
            (request.operation, request.subresource_of("", "pods")),
            (Operation::Create, Some("")) | (Operation::Update, Some("binding"))
        );
        let objects = request.objects;
        let Some(pod) = request.object.as_mut().filter(|_| fits) else { return Ok(()) };
        let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let Some(node) = objects.get("", "nodes", "", name).filter(|_| !name.is_empty()) else { return Ok(()) };
        for label in LABELS {
            if let (Some(value), None) = (node.meta.label(label), pod["metadata"]["labels"].get(label)) {
                pod["metadata"]["labels"][label] = value.into();
            }
        }
        Ok(())
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
        let bind = |labels: serde_json::Value| {
            let old = json!({"metadata": {"name": "x"}, "spec": {}});
            let new = json!({"metadata": {"name": "x", "labels": labels}, "spec": {"nodeName": "n"}});
            let sent = send(&world, &admin(), Operation::Update, "/pods/ns/x/binding", Some(new), Some(&old));
            sent.unwrap()["metadata"]["labels"].clone()
        };
        let all = json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"});
        assert_eq!(bind(json!({})), all);
        let kept = json!({"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "mine"});
        assert_eq!(bind(json!({"topology.kubernetes.io/zone": "mine"})), kept);
    }
}
