//! ValidatingAdmissionPolicies and their bindings.
//!
//! Upstream: pkg/registry/admissionregistration/validatingadmissionpolicy{,binding}/strategy.go,
//!   pkg/apis/admissionregistration/v1/defaults.go
//! Left out: the check that who writes them may read their parameters, which authorization does.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{
    Generation, Strategy, drop_status,
    filling::{Fields, fill, object_in, objects_in, spec},
    keep_all_but, keep_metadata, keep_status,
    webhooks::match_defaults,
};
use crate::row::Subresource;

pub(crate) struct Policies;

impl Strategy for Policies {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        fill(spec, "failurePolicy", "Fail");
        if let Some(constraints) = object_in(spec, "matchConstraints") {
            constraint_defaults(constraints);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        drop_status(object);
        object["status"] = serde_json::json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::policy(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::policy_update(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _: &Value) -> Vec<FieldError> {
        validation::policy_status(object)
    }
}

pub(crate) struct Bindings;

impl Strategy for Bindings {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        if let Some(resources) = object_in(spec, "matchResources") {
            constraint_defaults(resources);
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::binding(object)
    }
}

fn constraint_defaults(constraints: &mut Fields) {
    match_defaults(constraints);
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in objects_in(constraints, list) {
            fill(rule, "scope", "*");
        }
    }
}
