//! APIServices: which server answers for a group-version.
//!
//! Upstream: kube-aggregator/pkg/registry/apiservice/strategy.go, kube-aggregator/pkg/apis/apiregistration/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    NameRule, Strategy,
    filling::{drop_false, spec},
    keep_all_but, keep_metadata, keep_status,
    webhooks::service_port_default,
};
use crate::row::Subresource;

pub(crate) struct ApiServices;

impl Strategy for ApiServices {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn defaults(&self, object: &mut Value) {
        if let Some(spec) = spec(object) {
            service_port_default(spec);
            drop_false(spec, "insecureSkipTLSVerify");
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
        if !object["spec"]["service"].is_object() {
            let condition = json!({
                "type": "Available", "status": "True", "lastTransitionTime": object["metadata"]["creationTimestamp"],
                "reason": "Local", "message": "Local APIServices are always available",
            });
            object["status"]["conditions"] = json!([condition]);
        }
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::api_service(object)
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Field<'_>, _current: &Value) -> Vec<FieldError> {
        validation::status(object)
    }
}
