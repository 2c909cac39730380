//! Ingresses and IngressClasses.
//!
//! Upstream: pkg/registry/networking/{ingress,ingressclass}/strategy.go, pkg/apis/networking/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, object_in, spec},
    keep_status,
};
use crate::row::Subresource;

pub(crate) struct Ingresses;

impl Strategy for Ingresses {
    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"loadBalancer": {}});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::create(object)
    }

    fn validate_update(&self, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::ingress(object)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

pub(crate) struct IngressClasses;

impl Strategy for IngressClasses {
    fn defaults(&self, object: &mut Value) {
        if let Some(parameters) = spec(object).and_then(|spec| object_in(spec, "parameters")) {
            fill(parameters, "scope", "Cluster");
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::class(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::class_update(object, current)
    }
}
