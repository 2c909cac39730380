//! PersistentVolumeClaims.
//!
//! Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go, pkg/apis/core/v1/defaults.go
//! Left out: the gates of volume populators across namespaces.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Strategy,
    filling::{Fields, canonical_quantities, fill, fill_condition_times, fill_text, object_in, object_or_empty, spec},
    keep_status,
};

use crate::row::Subresource;

pub(crate) struct Claims;

impl Strategy for Claims {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastProbeTime", "lastTransitionTime"]);
        claim(object);
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({"phase": "Pending"});
        if let Some(spec) = spec(object) {
            same_data_source(spec);
        }
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
        if let Some(spec) = spec(object) {
            same_data_source(spec);
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::claim(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}

/// Fills in a claim, be it an object or a StatefulSet's template.
pub(crate) fn claim(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    let status = object_or_empty(fields, "status");
    fill_text(status, "phase", "Pending");
    canonical_quantities(status, "capacity");
    let spec = object_or_empty(fields, "spec");
    fill(spec, "volumeMode", "Filesystem");
    if let Some(resources) = object_in(spec, "resources") {
        canonical_quantities(resources, "limits");
        canonical_quantities(resources, "requests");
    }
}

/// `dataSource` is the older form of `dataSourceRef`; a client may know only one of the two.
fn same_data_source(spec: &mut Fields) {
    let given = |name: &str| spec.get(name).filter(|source| source.is_object()).cloned();
    match (given("dataSource"), given("dataSourceRef")) {
        (Some(source), None) => spec.insert("dataSourceRef".to_owned(), source),
        (None, Some(source)) if source.get("namespace").is_none_or(Value::is_null) => {
            let group = source["apiGroup"].as_str().unwrap_or_default();
            let known = matches!(
                (group, source["kind"].as_str().unwrap_or_default()),
                ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
            );
            if known { spec.insert("dataSource".to_owned(), source) } else { None }
        }
        _ => None,
    };
}
