//! What a ValidatingAdmissionPolicy and its binding may be.
//!
//! Upstream: pkg/apis/admissionregistration/validation/validation.go
//! Left out: what type checking finds out about the kinds that a policy is about, which a controller writes into its
//!   status; whether a place there is a JSON path.

use std::collections::BTreeSet;

use ::expressions::{Environment, Type, is_reserved};
use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::{
    validation::{
        Errors,
        conditions::conditions,
        expressions::{self, Variables, admission, evaluates_to, with_authorizer},
        looks_like, optional_one_of, required, required_one_of,
        selectors::label_selector,
        unsupported,
    },
    webhooks::validation::{match_conditions, rule_with_operations},
};

const MAX_AUDIT_ANNOTATIONS: usize = 20;
const MAX_AUDIT_EXPRESSION_BYTES: usize = 5 << 10;

/// The mistakes of a new ValidatingAdmissionPolicy.
pub(super) fn policy(policy: &Field<'_>) -> Errors {
    check(policy, None)
}

/// The mistakes in a change of a ValidatingAdmissionPolicy.
pub(super) fn policy_update(policy: &Field<'_>, current: &Value) -> Errors {
    check(policy, Some(current))
}

fn check(policy: &Field<'_>, current: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let spec = policy.child("spec");
    required_one_of(&spec.child("failurePolicy"), &["Fail", "Ignore"], &mut errors);
    let kind = spec.child("paramKind");
    if !kind.is_absent() {
        parameters_kind(&kind, &mut errors);
    }
    let constraints = spec.child("matchConstraints");
    if constraints.is_absent() {
        errors.push(constraints.required(""));
    } else {
        match_resources(&constraints, &mut errors);
        let rules = constraints.child("resourceRules");
        if rules.is_empty() {
            errors.push(rules.required(""));
        }
    }
    let environment = if kind.is_absent() { admission() } else { admission().with("params", Type::Dyn) };
    // Conditions that were fine stay so, unless what they may refer to changes.
    let conditions_stay = current.is_some_and(|current| {
        ["paramKind", "matchConditions"].iter().all(|field| spec.value[field] == current["spec"][field])
    });
    if !conditions_stay {
        match_conditions(&spec.child("matchConditions"), &with_authorizer(environment.clone()), &mut errors);
    }
    let environment = with_variables(&spec.child("variables"), environment, &mut errors);
    let (validations, audits) = (spec.child("validations"), spec.child("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(validations.required(detail));
        errors.push(audits.required(detail));
    }
    for validation in validations.items() {
        one_validation(&validation, &environment, &mut errors);
    }
    if audits.len() > MAX_AUDIT_ANNOTATIONS {
        errors.push(audits.invalid(format!("must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations")));
    }
    let mut keys = BTreeSet::new();
    for audit in audits.items() {
        audit_annotation(&audit, policy.child("metadata").child("name").str(), &environment, &mut errors);
        let key = audit.child("key");
        if !keys.insert(key.str().to_owned()) {
            errors.push(key.duplicate_value(key.str()));
        }
    }
    errors
}

/// The mistakes of a policy's status.
pub(super) fn policy_status(policy: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = policy.child("status");
    for warning in status.child("typeChecking").child("expressionWarnings").items() {
        required(&warning.child("warning"), &mut errors);
        let place = warning.child("fieldRef");
        if place.str().trim().is_empty() {
            errors.push(place.required(""));
        }
    }
    conditions(&status.child("conditions"), &mut errors);
    errors
}

/// A group, if it is not the core's, a version, and a kind.
fn parameters_kind(of: &Field<'_>, errors: &mut Errors) {
    let (version, kind) = (of.child("apiVersion"), of.child("kind"));
    let text = version.str();
    if text.is_empty() {
        errors.push(version.required(""));
    } else if text.matches('/').count() > 1 {
        errors.push(version.invalid(format!("unexpected GroupVersion string: {text}")));
    } else {
        let (group, number) = text.split_once('/').unwrap_or(("", text));
        let mistakes = names::is_dns1123_subdomain(group);
        if !group.is_empty() && !mistakes.is_empty() {
            errors.push(version.invalid_value(group, mistakes.join(",")));
        }
        let mistakes = names::is_dns1035_label(number);
        if number.is_empty() {
            errors.push(version.invalid("version must be specified"));
        } else if !mistakes.is_empty() {
            errors.push(version.invalid_value(number, mistakes.join(",")));
        }
    }
    let mistakes = names::is_dns1035_label(&kind.str().to_lowercase());
    if kind.is_empty() {
        errors.push(kind.required(""));
    } else if !mistakes.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", mistakes.join(","));
        errors.push(kind.invalid(detail));
    }
}

/// Checks the variables and lets expressions refer to them. Each may refer to those above it.
fn with_variables(list: &Field<'_>, environment: Environment, errors: &mut Errors) -> Environment {
    if list.is_empty() {
        return environment;
    }
    let mut variables = Variables::default();
    for variable in list.items() {
        let (name, expression) = (variable.child("name"), variable.child("expression"));
        if name.str().trim().is_empty() {
            errors.push(name.required("name is not specified"));
        } else if !names::is_c_identifier(name.str()).is_empty() || is_reserved(name.str()) {
            errors.push(name.invalid("name is not a valid CEL identifier"));
        }
        if expression.str().trim().is_empty() {
            errors.push(expression.required("expression is not specified"));
            continue;
        }
        let known = with_authorizer(variables.to(environment.clone()));
        let compiled = expressions::variable(&expression, expression.str(), &known, errors);
        variables.add(name.str(), compiled.as_ref().map(|checked| checked.result()));
    }
    variables.to(environment)
}

fn one_validation(validation: &Field<'_>, environment: &Environment, errors: &mut Errors) {
    let (expression, explained) = (validation.child("expression"), validation.child("messageExpression"));
    if expression.str().trim().is_empty() {
        errors.push(expression.required("expression is not specified"));
    } else {
        let known = with_authorizer(environment.clone());
        evaluates_to(&[Type::Bool], &expression, expression.str(), &known, errors);
    }
    if !explained.is_empty() {
        if explained.str().trim().is_empty() {
            errors.push(explained.invalid("must be non-empty if specified"));
        } else {
            evaluates_to(&[Type::String], &explained, explained.str(), environment, errors);
        }
    }
    let message = validation.child("message");
    if !message.is_empty() && message.str().trim().is_empty() {
        errors.push(message.invalid("message must be non-empty if specified"));
    } else if message.str().trim().contains(['\n', '\r']) {
        errors.push(message.invalid("message must not contain line breaks"));
    }
    optional_one_of(&validation.child("reason"), &["Forbidden", "Invalid", "RequestEntityTooLarge"], errors);
}

fn audit_annotation(audit: &Field<'_>, policy: &str, environment: &Environment, errors: &mut Errors) {
    let (key, value) = (audit.child("key"), audit.child("valueExpression"));
    if policy.is_empty() {
        errors.push(key.invalid_value(key.str(), "requires metadata.name be non-empty"));
    } else {
        let whole = format!("{policy}/{}", key.str());
        let mistakes = names::is_qualified_name(&whole).into_iter();
        errors.extend(mistakes.map(|mistake| key.invalid_value(whole.as_str(), mistake)));
    }
    let trimmed = value.str().trim();
    if trimmed.is_empty() {
        errors.push(value.required("valueExpression is not specified"));
    } else if trimmed.len() > MAX_AUDIT_EXPRESSION_BYTES {
        errors.push(value.required(format!("must not exceed {MAX_AUDIT_EXPRESSION_BYTES} bytes in length")));
    } else {
        let known = with_authorizer(environment.clone());
        evaluates_to(&[Type::String, Type::Null], &value, trimmed, &known, errors);
    }
}

fn match_resources(resources: &Field<'_>, errors: &mut Errors) {
    required_one_of(&resources.child("matchPolicy"), &["Equivalent", "Exact"], errors);
    for name in ["namespaceSelector", "objectSelector"] {
        let selector = resources.child(name);
        if selector.is_absent() {
            errors.push(selector.required(""));
        } else {
            label_selector(&selector, errors);
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in resources.child(list).items() {
            let mut seen = BTreeSet::new();
            for name in rule.child("resourceNames").items() {
                looks_like(&name, names::is_path_segment_name, errors);
                if !seen.insert(name.str().to_owned()) {
                    errors.push(name.duplicate());
                }
            }
            rule_with_operations(&rule, errors);
        }
    }
}

/// The mistakes of a ValidatingAdmissionPolicyBinding.
pub(super) fn binding(binding: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = binding.child("spec");
    let policy = spec.child("policyName");
    if policy.is_empty() {
        errors.push(policy.required(""));
    } else {
        looks_like(&policy, names::is_dns1123_subdomain, &mut errors);
    }
    parameter(&spec.child("paramRef"), &mut errors);
    let resources = spec.child("matchResources");
    if !resources.is_absent() {
        match_resources(&resources, &mut errors);
    }
    actions(&spec.child("validationActions"), &mut errors);
    errors
}

fn parameter(reference: &Field<'_>, errors: &mut Errors) {
    if reference.is_absent() {
        return;
    }
    let (name, selector) = (reference.child("name"), reference.child("selector"));
    let are_both = !name.is_empty() && !selector.is_absent();
    if !name.is_empty() {
        looks_like(&name, names::is_path_segment_name, errors);
    }
    if are_both {
        errors.push(name.forbidden("name and selector are mutually exclusive"));
    }
    label_selector(&selector, errors);
    if are_both {
        errors.push(selector.forbidden("name and selector are mutually exclusive"));
    }
    if name.is_empty() && selector.is_absent() {
        errors.push(reference.required("one of name or selector must be specified"));
    }
    let action = reference.child("parameterNotFoundAction");
    if action.is_empty() {
        errors.push(action.required(""));
    } else {
        optional_one_of(&action, &["Deny", "Allow"], errors);
    }
}

fn actions(actions: &Field<'_>, errors: &mut Errors) {
    let known = ["Audit", "Deny", "Warn"];
    let mut seen = BTreeSet::new();
    for action in actions.items() {
        if !known.contains(&action.str()) {
            errors.push(unsupported(&action, &known));
        }
        if !seen.insert(action.str().to_owned()) {
            errors.push(action.duplicate());
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        errors.push(actions.invalid(
            "must not contain both Deny and Warn (repeating the same validation failure information in the API \
             response and headers serves no purpose)",
        ));
    }
    if actions.is_empty() {
        errors.push(actions.required("at least one validation action is required"));
    }
}
