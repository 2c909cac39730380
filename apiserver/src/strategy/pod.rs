//! Pods.
//!
//! Upstream: pkg/registry/core/pod/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: gates that are off at 1.35.

mod app_armor;
pub(crate) mod defaults;
mod label_keys;
mod qos;
mod resize;
mod resources;
mod status;
pub(crate) mod validation;

use serde_json::{Map, Value, json};

use api::field::{Field, FieldError};

use super::{Generation, Strategy, keep, keep_all_but, keep_status};
use crate::row::Subresource;

pub(crate) struct Pods;

impl Strategy for Pods {
    fn defaults(&self, object: &mut Value) {
        defaults::pod(object);
    }

    /// Nothing is missing: a test of admission looks at that.
    fn complete(&self, _object: &mut Value) {}

    fn prepare_for_create(&self, object: &mut Value) {
        let qos_class = qos::class(&object["spec"]);
        let mut status = json!({"phase": "Pending", "qosClass": qos_class});
        if object["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            status["conditions"] = json!([{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null, "lastTransitionTime": null,
            }]);
        }
        object["status"] = status;
        label_keys::merge(object);
        app_armor::fields_from_annotations(object);
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, subresource: Subresource, object: &mut Value, current: &Value) {
        match subresource {
            Subresource::Status => {
                keep_all_but(object, current, &["status", "metadata"]);
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    keep_entry(metadata, &current["metadata"], "ownerReferences");
                }
                if let Some(status) = object["status"].as_object_mut()
                    && !status.contains_key("qosClass")
                {
                    keep_entry(status, &current["status"], "qosClass");
                }
                status::keep_observed_generations(&mut object["status"], &current["status"]);
            }
            Subresource::EphemeralContainers => {
                let containers = object["spec"].get_mut("ephemeralContainers").map(Value::take);
                keep_all_but(object, current, &["metadata"]);
                set_in_spec(object, "ephemeralContainers", containers);
            }
            Subresource::Resize => {
                let containers = object["spec"].get_mut("containers").map(Value::take);
                let init_containers = object["spec"].get_mut("initContainers").map(Value::take);
                keep_all_but(object, current, &["metadata"]);
                for (name, sent) in [("containers", containers), ("initContainers", init_containers)] {
                    set_in_spec(object, name, sent.map(|sent| resize::resized(&current["spec"][name], &sent)));
                }
            }
            // What a binding writes is made by the server itself.
            Subresource::Binding => {}
            _ => keep(object, current, "status"),
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::create(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, subresource: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        match subresource {
            Subresource::EphemeralContainers => validation::ephemeral_containers(object, current),
            Subresource::Resize => resize::validate(object, current),
            // A binding is checked by what makes it.
            Subresource::Binding => Vec::new(),
            _ => status::validate(object, current),
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }
}

fn keep_entry(fields: &mut Map<String, Value>, current: &Value, name: &str) {
    match current.get(name) {
        Some(value) => fields.insert(name.to_owned(), value.clone()),
        None => fields.remove(name),
    };
}

fn set_in_spec(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(spec) = object["spec"].as_object_mut() else { return };
    match value {
        Some(value) => spec.insert(name.to_owned(), value),
        None => spec.remove(name),
    };
}
