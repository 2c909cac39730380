//! Ingresses and IngressClasses.
//!
//! Upstream: pkg/registry/networking/{ingress,ingressclass}/strategy.go, pkg/apis/networking/v1/defaults.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, object_in, spec},
    keep_status,
};

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
}
