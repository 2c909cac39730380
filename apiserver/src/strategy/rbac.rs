//! Roles and bindings.
//!
//! Upstream: pkg/registry/rbac/*/strategy.go, pkg/apis/rbac/v1/defaults.go
//! Left out: the escalation check, which authorization does.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{
    NameRule, Strategy,
    filling::{fill_text, object_or_empty, objects_in},
};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles and ClusterRoles.
pub(crate) struct Roles;

impl Strategy for Roles {
    fn defaults(&self, object: &mut Value) {
        if let Some(fields) = object.as_object_mut() {
            fields.entry("rules").or_insert(Value::Null);
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::role(object)
    }
}

/// RoleBindings and ClusterRoleBindings.
pub(crate) struct Bindings;

impl Strategy for Bindings {
    fn defaults(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        fill_text(object_or_empty(fields, "roleRef"), "apiGroup", GROUP);
        for subject in objects_in(fields, "subjects") {
            if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
                fill_text(subject, "apiGroup", GROUP);
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::binding(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::binding_update(object, current)
    }
}
