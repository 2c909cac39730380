//! NetworkPolicies.
//!
//! Upstream: pkg/registry/networking/networkpolicy/strategy.go, pkg/apis/networking/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, lacks, object_or_empty, objects_in, spec},
};

pub(crate) struct NetworkPolicies;

impl Strategy for NetworkPolicies {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        object_or_empty(spec, "podSelector");
        for direction in ["ingress", "egress"] {
            for rule in objects_in(spec, direction) {
                for port in objects_in(rule, "ports") {
                    fill(port, "protocol", "TCP");
                }
            }
        }
        // A policy is about incoming traffic, and about outgoing too when it has rules for that.
        if lacks(spec, "policyTypes") {
            let types = if lacks(spec, "egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
            spec.insert("policyTypes".to_owned(), types);
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::policy(object)
    }
}
