//! What webhook configurations may be; and the rules that say which requests a webhook or policy is about.
//!
//! Upstream: pkg/apis/admissionregistration/validation/validation.go, apiserver/pkg/util/webhook/validation.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
};
use expressions::{Environment, Type};
use serde_json::Value;

use crate::strategy::validation::{
    Errors,
    expressions::{admission, evaluates_to, with_authorizer},
    looks_like, optional_one_of, port_number, required, required_one_of,
    selectors::label_selector,
    unsupported,
};

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const MAX_MATCH_CONDITIONS: usize = 64;

/// The mistakes of a new webhook configuration of either kind.
pub(super) fn configuration(configuration: &Field<'_>) -> Errors {
    check(configuration, Some(&with_authorizer(admission())))
}

/// The mistakes in a change of a webhook configuration. While all match conditions stay, they are not looked at again.
pub(super) fn update(configuration: &Field<'_>, current: &Value) -> Errors {
    let environment = with_authorizer(admission());
    let conditions = |configuration: &Value| -> Vec<Value> {
        let hooks = configuration["webhooks"].as_array().into_iter().flatten();
        hooks.map(|hook| hook["matchConditions"].clone()).collect()
    };
    let stay = conditions(configuration.value) == conditions(current);
    check(configuration, (!stay).then_some(&environment))
}

/// `conditions` is what match conditions may refer to; none if they are not looked at.
fn check(configuration: &Field<'_>, conditions: Option<&Environment>) -> Errors {
    let mut errors = Errors::new();
    let mut names = BTreeSet::new();
    for hook in configuration.child("webhooks").items() {
        webhook(&hook, conditions, &mut errors);
        review_versions(&hook.child("admissionReviewVersions"), &mut errors);
        let name = hook.child("name");
        if !name.is_empty() && !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
    }
    errors
}

fn webhook(hook: &Field<'_>, conditions: Option<&Environment>, errors: &mut Errors) {
    fully_qualified_name(&hook.child("name"), errors);
    for rule in hook.child("rules").items() {
        rule_with_operations(&rule, errors);
    }
    optional_one_of(&hook.child("failurePolicy"), &["Fail", "Ignore"], errors);
    optional_one_of(&hook.child("matchPolicy"), &["Equivalent", "Exact"], errors);
    let effects = hook.child("sideEffects");
    if effects.is_absent() {
        errors.push(effects.required("must specify one of None, NoneOnDryRun"));
    } else {
        optional_one_of(&effects, &["None", "NoneOnDryRun"], errors);
    }
    optional_one_of(&hook.child("reinvocationPolicy"), &["IfNeeded", "Never"], errors);
    let timeout = hook.child("timeoutSeconds");
    if timeout.i64().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        errors.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    label_selector(&hook.child("namespaceSelector"), errors);
    label_selector(&hook.child("objectSelector"), errors);
    webhook_place(&hook.child("clientConfig"), errors);
    if let Some(environment) = conditions {
        match_conditions(&hook.child("matchConditions"), environment, errors);
    }
}

/// A domain of at least three parts.
fn fully_qualified_name(name: &Field<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(name.required(""));
        return;
    }
    let mistakes = names::is_dns1123_subdomain(name.str());
    if !mistakes.is_empty() {
        errors.extend(mistakes.into_iter().map(|wrong| name.invalid(wrong)));
    } else if name.str().split('.').count() < 3 {
        errors.push(name.invalid("should be a domain with at least three segments separated by dots"));
    }
}

fn review_versions(versions: &Field<'_>, errors: &mut Errors) {
    if versions.is_empty() {
        errors.push(versions.required(format!("must specify one of {}", REVIEW_VERSIONS.join(", "))));
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        let mistakes = names::is_dns1035_label(version.str());
        if !mistakes.is_empty() {
            errors.push(version.invalid(mistakes.join(",")));
        } else if !seen.insert(version.str().to_owned()) {
            errors.push(version.invalid("duplicate version"));
        }
    }
    if !versions.items().any(|version| REVIEW_VERSIONS.contains(&version.str())) {
        errors.push(versions.invalid(format!("must include at least one of {}", REVIEW_VERSIONS.join(", "))));
    }
}

/// Where a webhook is: at a URL, or behind a Service.
pub(in crate::strategy) fn webhook_place(config: &Field<'_>, errors: &mut Errors) {
    let (url, service) = (config.child("url"), config.child("service"));
    if url.is_absent() == service.is_absent() {
        errors.push(config.required("exactly one of url or service is required"));
    } else if service.is_absent() {
        webhook_url(&url, errors);
    } else {
        webhook_service(&service, errors);
    }
}

/// An https URL with a host and a path, and nothing else.
fn webhook_url(url: &Field<'_>, errors: &mut Errors) {
    const FORM: &str = "; desired format: https://host[/path]";
    let Ok(parsed) = url.str().parse::<http::Uri>() else {
        errors.push(url.required(format!("url must be a valid URL: {:?}{FORM}", url.str())));
        return;
    };
    let (before, fragment) = url.str().split_once('#').unwrap_or((url.str(), ""));
    let scheme = parsed.scheme_str().unwrap_or_default();
    if scheme != "https" {
        errors.push(url.invalid_value(scheme, format!("'https' is the only allowed URL scheme{FORM}")));
    }
    if parsed.host().unwrap_or_default().is_empty() {
        errors.push(url.invalid_value("", format!("host must be specified{FORM}")));
    }
    if let Some((user, _)) = parsed.authority().and_then(|authority| authority.as_str().split_once('@')) {
        errors.push(url.invalid_value(user, "user information is not permitted in the URL"));
    }
    if !fragment.is_empty() {
        errors.push(url.invalid_value(fragment, "fragments are not permitted in the URL"));
    }
    if let Some((_, query)) = before.split_once('?') {
        errors.push(url.invalid_value(query, "query parameters are not permitted in the URL"));
    }
}

/// A service that serves a webhook: its name, namespace, port and path.
fn webhook_service(service: &Field<'_>, errors: &mut Errors) {
    for name in ["name", "namespace"] {
        let field = service.child(name);
        if field.is_empty() {
            errors.push(field.required(format!("service {name} is required")));
        }
    }
    let port = service.child("port");
    let mut wrong = Errors::new();
    port_number(&port, port.i64().unwrap_or(443), &mut wrong);
    let explained = |error: FieldError| FieldError { detail: format!("port is not valid: {}", error.detail), ..error };
    errors.extend(wrong.into_iter().map(explained));
    let path = service.child("path");
    if matches!(path.str(), "" | "/") {
        return;
    }
    if path.str() == "//" {
        errors.push(path.invalid("segment[0] may not be empty"));
        return;
    }
    if !path.str().starts_with('/') {
        errors.push(path.invalid("must start with a '/'"));
    }
    let rest = path.str().get(1..).unwrap_or_default();
    for (at, segment) in rest.trim_end_matches('/').split('/').enumerate() {
        if segment.is_empty() {
            errors.push(path.invalid(format!("segment[{at}] may not be empty")));
            continue;
        }
        let mistakes = names::is_dns1123_subdomain(segment);
        errors.extend(mistakes.into_iter().map(|wrong| path.invalid(format!("segment[{at}]: {wrong}"))));
    }
}

/// Names of conditions are unique, and each has an expression that is true or false.
pub(in crate::strategy) fn match_conditions(conditions: &Field<'_>, environment: &Environment, errors: &mut Errors) {
    if conditions.len() > MAX_MATCH_CONDITIONS {
        errors.push(conditions.too_many(MAX_MATCH_CONDITIONS));
    }
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.child("name"), condition.child("expression"));
        let trimmed = expression.str().trim();
        if trimmed.is_empty() {
            errors.push(expression.required(""));
        } else {
            let shown = Value::from(trimmed);
            evaluates_to(&[Type::Bool], &expression.instead(&shown), trimmed, environment, errors);
        }
        if name.is_empty() {
            errors.push(name.required(""));
        } else {
            looks_like(&name, names::is_qualified_name, errors);
            if !seen.insert(name.str().to_owned()) {
                errors.push(name.duplicate());
            }
        }
    }
}

/// Which requests a webhook or policy is about.
pub(in crate::strategy) fn rule_with_operations(rule: &Field<'_>, errors: &mut Errors) {
    let operations = rule.child("operations");
    not_empty(&operations, errors);
    alone(&operations, "operations", errors);
    for operation in operations.items() {
        let known = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
        if !known.contains(&operation.str()) {
            errors.push(unsupported(&operation, &known));
        }
    }
    for (name, words) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = rule.child(name);
        not_empty(&list, errors);
        alone(&list, words, errors);
        if name == "apiVersions" {
            for version in list.items() {
                required(&version, errors);
            }
        }
    }
    resources(&rule.child("resources"), errors);
    required_one_of(&rule.child("scope"), &["*", "Cluster", "Namespaced"], errors);
}

fn not_empty(list: &Field<'_>, errors: &mut Errors) {
    if list.is_empty() {
        errors.push(list.required(""));
    }
}

/// A list with `*` has nothing else.
fn alone(list: &Field<'_>, words: &str, errors: &mut Errors) {
    if list.len() > 1 && list.items().any(|each| each.str() == "*") {
        errors.push(list.invalid(format!("if '*' is present, must not specify other {words}")));
    }
}

/// Names of resources, with subresources behind a slash: what a wildcard says already is not said again behind it.
fn resources(list: &Field<'_>, errors: &mut Errors) {
    not_empty(list, errors);
    let (mut all_of_resource, mut of_all_resources) = (BTreeSet::new(), BTreeSet::new());
    // As upstream, only the last name without a subresource counts beside `*`.
    let mut last_plain = None;
    for item in list.items() {
        let name = item.str();
        let Some((resource, subresource)) = name.split_once('/') else {
            required(&item, errors);
            last_plain = if name.is_empty() { last_plain } else { Some(name) };
            continue;
        };
        if all_of_resource.contains(resource) {
            errors.push(item.invalid(format!("if '{resource}/*' is present, must not specify {name}")));
        }
        if of_all_resources.contains(subresource) {
            errors.push(item.invalid(format!("if '*/{subresource}' is present, must not specify {name}")));
        }
        if subresource == "*" {
            all_of_resource.insert(resource.to_owned());
        }
        if resource == "*" {
            of_all_resources.insert(subresource.to_owned());
        }
    }
    let has = |wanted: &str| list.items().any(|item| item.str() == wanted);
    if list.len() > 1 && has("*/*") {
        errors.push(list.invalid("if '*/*' is present, must not specify other resources"));
    }
    if has("*") && last_plain.is_some_and(|name| name != "*") {
        errors.push(list.invalid("if '*' is present, must not specify other resources without subresources"));
    }
}
