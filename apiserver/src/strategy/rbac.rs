//! Roles and bindings: their names may be anything that can stand in a path, `system:node` for one.
//!
//! Upstream: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/strategy.go, pkg/apis/rbac/validation
//! Left out: the validation of rules, subjects and role references.

use super::{NameRule, Strategy};

pub struct Rbac;

impl Strategy for Rbac {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }
}
