//! Namespaces.
//!
//! Upstream: pkg/registry/core/namespace/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    NameRule, Strategy,
    filling::{fill_condition_times, object_or_empty},
    keep, keep_all_but, keep_status,
};
use crate::row::Subresource;

/// The label that selects a namespace by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The finalizer that the namespace controller takes away once the namespace is empty.
const FINALIZER: &str = "kubernetes";

pub(crate) struct Namespaces;

impl Strategy for Namespaces {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastTransitionTime"]);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let (false, Some(metadata)) = (name.is_empty(), object["metadata"].as_object_mut()) {
            object_or_empty(metadata, "labels").insert(NAME_LABEL.to_owned(), name.into());
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        self.defaults(object);
        object["status"] = json!({"phase": "Active"});
        let Some(fields) = object.as_object_mut() else { return };
        let finalizers = object_or_empty(fields, "spec").entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut()
            && !finalizers.iter().any(|finalizer| finalizer == FINALIZER)
        {
            finalizers.push(FINALIZER.into());
        }
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep(object, current, "spec");
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, subresource: Subresource, object: &mut Value, current: &Value) {
        match subresource {
            Subresource::Finalize => keep_status(object, current),
            _ => keep_all_but(object, current, &["status", "metadata"]),
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::DnsLabel
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::namespace(object)
    }

    fn validate_update(&self, _object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    fn validate_subresource(&self, subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        match subresource {
            Subresource::Finalize => validation::finalize(object),
            _ => validation::status(object),
        }
    }
}
