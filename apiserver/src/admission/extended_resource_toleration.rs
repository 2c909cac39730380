//! A pod that asks for a vendor's resource tolerates the taint of the nodes that are kept for it.
//!
//! Upstream: plugin/pkg/admission/extendedresourcetoleration/admission.go
//! Left out: nothing. Off unless asked for.

use std::collections::BTreeSet;

use api::status::Status;
use serde_json::{Value, json};

use super::{Admission, Operation, Request};

pub(super) struct ExtendedResourceToleration;

impl Admission for ExtendedResourceToleration {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let operation = request.operation;
        if !matches!(operation, Operation::Create | Operation::Update) {
            return Ok(());
        }
        let Some(pod) = request.object_of(operation, "", "pods") else { return Ok(()) };
        let resources: BTreeSet<String> = ["containers", "initContainers"]
            .into_iter()
            .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
            .flat_map(|container| container["resources"]["requests"].as_object().into_iter().flatten())
            .map(|(name, _)| name.clone())
            .filter(|name| is_extended(name))
            .collect();
        let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        for resource in resources {
            let toleration = json!({"key": resource, "operator": "Exists"});
            let same = |each: &Value| each["key"] == toleration["key"] && each["operator"] == "Exists";
            if !tolerations.iter().any(same) {
                tolerations.push(toleration);
            }
        }
        if !tolerations.is_empty() {
            pod["spec"]["tolerations"] = tolerations.into();
        }
        Ok(())
    }
}

fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}
