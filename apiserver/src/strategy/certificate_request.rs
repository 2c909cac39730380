//! CertificateSigningRequests.
//!
//! Upstream: pkg/registry/certificates/certificates/strategy.go
//! Left out: the requestor's identity in the spec: admission writes it, since it knows who asks.

use serde_json::{Value, json};

use super::{NameRule, Strategy, keep, keep_status};
use crate::row::Subresource;

pub(crate) struct CertificateRequests;

impl Strategy for CertificateRequests {
    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
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
            if let Some(conditions) = conditions {
                object["status"]["conditions"] = conditions;
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }
}
