//! What roles and bindings may be, and what of them may change.
//!
//! Upstream: pkg/apis/rbac/validation/validation.go
//! Left out: nothing.

use api::{field::Field, names, object::Object as _};
use serde_json::Value;

use crate::strategy::validation::{Errors, looks_like, required, same, selectors::label_selector, unsupported};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Whether the object lives in a namespace: Roles and RoleBindings do.
fn is_namespaced(object: &Field<'_>) -> bool {
    !object.value.namespace().is_empty()
}

/// The mistakes of a Role or ClusterRole.
pub(super) fn role(role: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    for rule in role.child("rules").items() {
        rule_mistakes(&rule, is_namespaced(role), &mut errors);
    }
    let aggregation = role.child("aggregationRule");
    if !aggregation.is_absent() {
        let selectors = aggregation.child("clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(selectors.required(detail));
        }
        for selector in selectors.items() {
            label_selector(&selector, &mut errors);
        }
    }
    errors
}

fn rule_mistakes(rule: &Field<'_>, namespaced: bool, errors: &mut Errors) {
    let (verbs, groups, resources) = (rule.child("verbs"), rule.child("apiGroups"), rule.child("resources"));
    if verbs.is_empty() {
        errors.push(verbs.required("verbs must contain at least one value"));
    }
    let urls = rule.child("nonResourceURLs");
    if !urls.is_empty() {
        if namespaced {
            errors.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
        }
        if !groups.is_empty() || !resources.is_empty() || !rule.child("resourceNames").is_empty() {
            errors.push(urls.invalid("rules cannot apply to both regular resources and non-resource URLs"));
        }
        return;
    }
    if groups.is_empty() {
        errors.push(groups.required("resource rules must supply at least one api group"));
    }
    if resources.is_empty() {
        errors.push(resources.required("resource rules must supply at least one resource"));
    }
}

/// The mistakes of a RoleBinding or ClusterRoleBinding.
pub(super) fn binding(binding: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let namespaced = is_namespaced(binding);
    let role = binding.child("roleRef");
    let (group, kind, name) = (role.child("apiGroup"), role.child("kind"), role.child("name"));
    if group.str() != GROUP {
        errors.push(unsupported(&group, &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind.str()) {
        errors.push(unsupported(&kind, kinds));
    }
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        looks_like(&name, names::is_path_segment_name, &mut errors);
    }
    for subject in binding.child("subjects").items() {
        subject_mistakes(&subject, namespaced, &mut errors);
    }
    errors
}

fn subject_mistakes(subject: &Field<'_>, namespaced: bool, errors: &mut Errors) {
    let (group, kind, name) = (subject.child("apiGroup"), subject.child("kind"), subject.child("name"));
    required(&name, errors);
    match kind.str() {
        "ServiceAccount" => {
            if !name.is_empty() {
                looks_like(&name, names::is_dns1123_subdomain, errors);
            }
            if !group.is_empty() {
                errors.push(group.not_supported(&[""]));
            }
            let namespace = subject.child("namespace");
            if !namespaced && namespace.is_empty() {
                errors.push(namespace.required(""));
            }
        }
        "User" | "Group" => {
            if group.str() != GROUP {
                errors.push(unsupported(&group, &[GROUP]));
            }
        }
        _ => errors.push(unsupported(&kind, &["ServiceAccount", "User", "Group"])),
    }
}

/// The mistakes in a change of a binding: what it binds stays.
pub(super) fn binding_update(object: &Field<'_>, current: &Value) -> Errors {
    let mut errors = binding(object);
    let role = object.child("roleRef");
    if !same(role.value, &current["roleRef"]) {
        errors.push(role.invalid("cannot change roleRef"));
    }
    errors
}
