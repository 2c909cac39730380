//! CertificateSigningRequests.
//!
//! Upstream: pkg/registry/certificates/certificates/strategy.go
//! Left out: the requestor's identity in the spec: admission writes it, since it knows who asks.

mod validation;

use api::field::{Field, FieldError};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{NameRule, Strategy, keep, keep_status};
use crate::{attributes::UserInfo, row::Subresource};

pub(crate) struct CertificateRequests;

impl Strategy for CertificateRequests {
    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn sign(&self, object: &mut Value, user: &UserInfo) {
        let Some(spec) = object["spec"].as_object_mut() else { return };
        for name in ["username", "uid", "groups", "extra"] {
            spec.remove(name);
        }
        spec.insert("username".to_owned(), user.name.as_str().into());
        if !user.uid.is_empty() {
            spec.insert("uid".to_owned(), user.uid.as_str().into());
        }
        spec.insert("groups".to_owned(), user.groups.clone().into());
        if !user.extra.is_empty() {
            spec.insert("extra".to_owned(), json!(user.extra));
        }
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep(object, current, "spec");
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, subresource: Subresource, object: &mut Value, current: &Value) {
        keep(object, current, "spec");
        if subresource == Subresource::Approval {
            // Approving changes conditions alone; the signer's certificate comes through status.
            let conditions = object["status"].get_mut("conditions").map(Value::take);
            keep_status(object, current);
            match conditions {
                Some(conditions) => object["status"]["conditions"] = conditions,
                None => drop(object["status"].as_object_mut().and_then(|status| status.remove("conditions"))),
            }
        }
    }

    /// A condition says when it was last written, and since when it is as it is.
    fn stamp(&self, object: &mut Value, current: &Value, now: Timestamp) {
        let before = current["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let Some(conditions) = object["status"].get_mut("conditions").and_then(Value::as_array_mut) else { return };
        let now = api::time::to_seconds(now);
        for condition in conditions {
            let same =
                before.iter().find(|old| old["type"] == condition["type"] && old["status"] == condition["status"]);
            if condition["lastTransitionTime"].is_null() {
                let since = same.map(|old| old["lastTransitionTime"].clone()).filter(|since| !since.is_null());
                condition["lastTransitionTime"] = since.unwrap_or_else(|| now.as_str().into());
            }
            if condition["lastUpdateTime"].is_null() {
                condition["lastUpdateTime"] = now.as_str().into();
            }
        }
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::request(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current, None)
    }

    fn validate_subresource(&self, subresource: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current, Some(subresource))
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }
}
