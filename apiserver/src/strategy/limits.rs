//! LimitRanges and ResourceQuotas.
//!
//! Upstream: pkg/registry/core/{limitrange,resourcequota}/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{Fields, canonical_quantities, lacks, object_in, object_or_empty, objects_in, spec},
    keep_status,
};

use crate::row::Subresource;

pub(crate) struct LimitRanges;

impl Strategy for LimitRanges {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        if lacks(spec, "limits") {
            spec.insert("limits".to_owned(), Value::Null);
        }
        for item in objects_in(spec, "limits") {
            for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                canonical_quantities(item, list);
            }
            if item.get("type").is_some_and(|kind| kind == "Container") {
                // What is not said follows from its neighbour: the default limit from the maximum, the default
                // request from the default limit, or else from the minimum.
                copy_missing(item, "max", "default");
                copy_missing(item, "default", "defaultRequest");
                copy_missing(item, "min", "defaultRequest");
            }
        }
    }

    fn is_named_by_server(&self) -> bool {
        true
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::limit_range(object)
    }
}

fn copy_missing(item: &mut Fields, from: &str, to: &str) {
    let Some(Value::Object(source)) = item.get(from).cloned() else { return };
    let target = object_or_empty(item, to);
    for (resource, quantity) in source {
        target.entry(resource).or_insert(quantity);
    }
}

pub(crate) struct ResourceQuotas;

impl Strategy for ResourceQuotas {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        canonical_quantities(object_or_empty(fields, "spec"), "hard");
        if let Some(status) = object_in(fields, "status") {
            canonical_quantities(status, "hard");
            canonical_quantities(status, "used");
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::quota(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::quota_update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}
