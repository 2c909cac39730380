//! Endpoints and EndpointSlices.
//!
//! Upstream: pkg/registry/core/endpoint/strategy.go, pkg/registry/discovery/endpointslice/strategy.go,
//!   pkg/apis/{core,discovery}/v1/defaults.go
//! Left out: nothing. The topology of endpoints is of the beta version; no slice has it, so none keeps it.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{
    Generation, Strategy,
    filling::{fill, fill_text, object_or_empty, objects_in},
};

pub(crate) struct Endpoints;

impl Strategy for Endpoints {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        for subset in objects_in(fields, "subsets") {
            for port in objects_in(subset, "ports") {
                fill_text(port, "protocol", "TCP");
            }
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::endpoints(object)
    }
}

pub(crate) struct EndpointSlices;

impl Strategy for EndpointSlices {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        for endpoint in objects_in(fields, "endpoints") {
            object_or_empty(endpoint, "conditions");
        }
        for port in objects_in(fields, "ports") {
            fill(port, "name", "");
            fill(port, "protocol", "TCP");
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        drop_topology(object);
    }

    fn prepare_for_update(&self, object: &mut Value, _: &Value) {
        drop_topology(object);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::slice(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::slice_update(object, current)
    }
}

fn drop_topology(slice: &mut Value) {
    let Some(fields) = slice.as_object_mut() else { return };
    for endpoint in objects_in(fields, "endpoints") {
        endpoint.remove("deprecatedTopology");
    }
}
