//! "May I?", asked over the API: the access reviews.
//!
//! Upstream: pkg/registry/authorization, pkg/apis/authorization/validation
//! Left out: label selectors and field selectors as part of the question.
//!
//! Reviews are created and answered, never stored. Each function takes the object sent and gives it back with `status`.

use api::{
    field::{Field, FieldError},
    status::Status,
};
use serde_json::{Value, json};

use super::{Attributes, Authorizer, rule::Rule};
use crate::attributes::{Decision, UserInfo};

const GROUP: &str = "authorization.k8s.io";

/// May this user? Create of a SubjectAccessReview.
///
/// # Errors
/// 422 when the question is not one.
pub fn subject_access_review(authorizer: &Authorizer, review: &Value) -> Result<Value, Status> {
    let mut errors = question_errors(review);
    errors.extend(subject_errors(review));
    errors.extend(metadata_errors(review, &[], "must be empty"));
    refuse(&errors)?;
    Ok(answer("SubjectAccessReview", authorizer, review, &subject(&review["spec"])))
}

/// May I? Create of a SelfSubjectAccessReview.
///
/// # Errors
/// 422 when the question is not one.
pub fn self_subject_access_review(authorizer: &Authorizer, user: &UserInfo, review: &Value) -> Result<Value, Status> {
    let mut errors = question_errors(review);
    errors.extend(metadata_errors(review, &[], "must be empty"));
    refuse(&errors)?;
    Ok(answer("SelfSubjectAccessReview", authorizer, review, user))
}

/// May this user, in this namespace? Create of a LocalSubjectAccessReview.
///
/// # Errors
/// 422 when the question is not one, or not about the namespace; 400 when it names no namespace.
pub fn local_subject_access_review(authorizer: &Authorizer, namespace: &str, review: &Value) -> Result<Value, Status> {
    let mut errors = question_errors(review);
    errors.extend(subject_errors(review));
    let root = Field::root(review);
    let (metadata, spec) = (root.child("metadata"), root.child("spec"));
    let (resource, path) = (spec.child("resourceAttributes"), spec.child("nonResourceAttributes"));
    let asked_namespace = resource.child("namespace");
    let own = metadata.child("namespace");
    if !own.is_empty() && own.str() != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(message));
    }
    errors.extend(metadata_errors(review, &["namespace"], "must be empty except for namespace"));
    if !resource.is_absent() && asked_namespace.str() != namespace {
        errors.push(asked_namespace.invalid("must match metadata.namespace"));
    }
    if !path.is_absent() {
        errors.push(path.invalid("disallowed on this kind of request"));
    }
    refuse(&errors)?;
    Ok(answer("LocalSubjectAccessReview", authorizer, review, &subject(&review["spec"])))
}

/// What may I? Create of a SelfSubjectRulesReview.
///
/// # Errors
/// 400 when no namespace is given.
pub fn self_subject_rules_review(authorizer: &Authorizer, user: &UserInfo, review: &Value) -> Result<Value, Status> {
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (rules, missing) = authorizer.rbac.rules_for(user, namespace);
    let (mut of_resources, mut of_paths) = (Vec::new(), Vec::new());
    for rule in &rules {
        if rule.resources.is_empty() {
            of_paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
        } else {
            of_resources.push(resource_rule(rule));
        }
    }
    let mut status = json!({"resourceRules": of_resources, "nonResourceRules": of_paths, "incomplete": false});
    let is_node = super::node::node_name(user).is_some();
    if is_node || !missing.is_empty() {
        let mut errors = missing;
        if is_node {
            errors.insert(0, "node authorizer does not support user rule resolution".to_owned());
        }
        status["incomplete"] = true.into();
        status["evaluationError"] = errors.join(", ").into();
    }
    Ok(with_status("SelfSubjectRulesReview", review, status))
}

fn resource_rule(rule: &Rule) -> Value {
    let mut shown = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
    if !rule.resource_names.is_empty() {
        shown["resourceNames"] = json!(rule.resource_names);
    }
    shown
}

fn question_errors(review: &Value) -> Vec<FieldError> {
    let root = Field::root(review);
    let spec = root.child("spec");
    let (resource, path) = (spec.child("resourceAttributes"), spec.child("nonResourceAttributes"));
    match (resource.is_absent(), path.is_absent()) {
        (false, false) => vec![path.invalid("cannot be specified in combination with resourceAttributes")],
        (true, true) => {
            vec![
                resource.invalid_value(
                    "null",
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified",
                ),
            ]
        }
        _ => Vec::new(),
    }
}

fn subject_errors(review: &Value) -> Vec<FieldError> {
    let root = Field::root(review);
    let spec = root.child("spec");
    let user = spec.child("user");
    let nobody = user.is_empty() && spec.child("groups").is_empty();
    if nobody { vec![user.invalid_value("", "at least one of user or group must be specified")] } else { Vec::new() }
}

/// A review is never stored: it is no object with a name.
fn metadata_errors(review: &Value, allowed: &[&str], detail: &str) -> Option<FieldError> {
    let root = Field::root(review);
    let metadata = root.child("metadata");
    let mut given = metadata.value.as_object().into_iter().flatten();
    let is_given =
        given.any(|(name, value)| name != "managedFields" && !value.is_null() && !allowed.contains(&name.as_str()));
    is_given.then(|| metadata.invalid(detail))
}

/// As upstream's, the refusal does not say which kind was refused.
fn refuse(errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, "", "", errors)) }
}

/// The user that a review asks about.
fn subject(spec: &Value) -> UserInfo {
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let extra = spec["extra"].as_object().into_iter().flatten();
    UserInfo {
        name: text("user"),
        uid: text("uid"),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.to_lowercase(), texts(values))).collect(),
    }
}

fn answer(kind: &str, authorizer: &Authorizer, review: &Value, user: &UserInfo) -> Value {
    let spec = &review["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value[field].as_str().unwrap_or_default()
    }
    let asked = if resource.is_object() {
        Attributes {
            is_resource: true,
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            namespace: text(resource, "namespace"),
            name: text(resource, "name"),
            ..Attributes::default()
        }
    } else {
        Attributes { verb: text(path, "verb"), path: text(path, "path"), ..Attributes::default() }
    };
    let (status, reason) = match authorizer.decide(user, &asked) {
        Decision::Allow { reason } => (json!({"allowed": true}), reason),
        Decision::Deny { reason } => (json!({"allowed": false, "denied": true}), reason),
        Decision::NoOpinion { reason } => (json!({"allowed": false}), reason),
    };
    let mut status = status;
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    with_status(kind, review, status)
}

fn with_status(kind: &str, review: &Value, status: Value) -> Value {
    let mut answered = review.clone();
    answered["kind"] = kind.into();
    answered["apiVersion"] = "authorization.k8s.io/v1".into();
    answered["status"] = status;
    answered
}

#[cfg(test)]
mod tests;
