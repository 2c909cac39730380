//! CertificateSigningRequests.
//!
//! Upstream: pkg/registry/certificates/certificates/strategy.go
//! Left out: the requestor's identity in the spec: admission writes it, since it knows who asks.

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
            if let Some(conditions) = conditions {
                object["status"]["conditions"] = conditions;
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }
}
