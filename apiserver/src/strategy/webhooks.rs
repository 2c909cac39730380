//! Mutating and validating webhook configurations.
//!
//! Upstream: pkg/registry/admissionregistration/{mutating,validating}webhookconfiguration/strategy.go,
//!   pkg/apis/admissionregistration/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{Fields, fill, fill_number, object_in, objects_in},
};

pub(crate) struct Mutating;
pub(crate) struct Validating;

impl Strategy for Mutating {
    fn defaults(&self, object: &mut Value) {
        for hook in object.as_object_mut().into_iter().flat_map(|fields| objects_in(fields, "webhooks")) {
            hook_defaults(hook);
            fill(hook, "reinvocationPolicy", "Never");
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::configuration(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}

impl Strategy for Validating {
    fn defaults(&self, object: &mut Value) {
        for hook in object.as_object_mut().into_iter().flat_map(|fields| objects_in(fields, "webhooks")) {
            hook_defaults(hook);
        }
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::configuration(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}

fn hook_defaults(hook: &mut Fields) {
    fill(hook, "failurePolicy", "Fail");
    match_defaults(hook);
    fill(hook, "timeoutSeconds", 10);
    if let Some(service) = object_in(hook, "clientConfig").and_then(|config| object_in(config, "service")) {
        fill(service, "port", 443);
    }
    for rule in objects_in(hook, "rules") {
        fill(rule, "scope", "*");
    }
}

/// What a webhook or policy is about, where nothing is said: everything, also in its other versions.
pub(super) fn match_defaults(fields: &mut Fields) {
    fill(fields, "matchPolicy", "Equivalent");
    fill(fields, "namespaceSelector", json!({}));
    fill(fields, "objectSelector", json!({}));
}

/// The port of a service that serves an extension.
pub(super) fn service_port_default(spec: &mut Fields) {
    if let Some(service) = object_in(spec, "service") {
        fill_number(service, "port", 443);
    }
}
