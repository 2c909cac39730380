//! What flow schemas and priority levels may be.
//!
//! Upstream: pkg/apis/flowcontrol/validation/validation.go, apiserver/pkg/util/shufflesharding/dealer.go
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use crate::{
    bootstrap::flow_control,
    strategy::validation::{Errors, looks_like, required, unsupported},
};

const LOWEST_PRECEDENCE: i64 = 10_000;
const MAX_QUEUES: i64 = 10_000_000;
/// With more bits of a hash the last queue of a hand would be drawn too unevenly.
const MAX_HASH_BITS: i64 = 60;

/// The mistakes of a FlowSchema.
pub(super) fn flow_schema(schema: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (schema.child("metadata"), schema.child("spec"));
    let precedence = spec.child("matchingPrecedence");
    let value = precedence.i64().unwrap_or_default();
    if value <= 0 {
        errors.push(precedence.invalid("must be a positive value"));
    } else if value > LOWEST_PRECEDENCE {
        errors.push(precedence.invalid(format!("must not be greater than {LOWEST_PRECEDENCE}")));
    }
    if value == 1 && metadata.child("name").str() != "exempt" {
        errors.push(precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1"));
    }
    let method = spec.child("distinguisherMethod");
    let kind = method.child("type");
    if !method.is_absent() && !["ByNamespace", "ByUser"].contains(&kind.str()) {
        errors.push(kind.not_supported(&["ByNamespace", "ByUser"]));
    }
    let reference = spec.child("priorityLevelConfiguration");
    let level = reference.child("name");
    if level.is_empty() {
        errors.push(level.required("must reference a priority level"));
    } else {
        looks_like(&level, names::is_dns1123_subdomain, &mut errors);
    }
    for rule in spec.child("rules").items() {
        policy_rule(&rule, &mut errors);
    }
    fixed(schema, "FlowSchema", &mut errors);
    errors
}

/// What every request falls back on stays what it is. How much of the server is set aside for the exempt may change.
fn fixed(object: &Field<'_>, kind: &str, errors: &mut Errors) {
    let (metadata, spec) = (object.child("metadata"), object.child("spec"));
    let name = metadata.child("name");
    let Some(mut fixed) = flow_control::mandatory_spec(kind, name.str()) else { return };
    let mut given = spec.value.clone();
    let mut except = "";
    if (kind, name.str()) == ("PriorityLevelConfiguration", "exempt") {
        for each in [&mut fixed, &mut given] {
            each["exempt"] = Value::Null;
        }
        except = "except the 'spec.exempt' field ";
    }
    if fixed != given {
        errors.push(spec.invalid(format!("spec of '{}' {except}must equal the fixed value", name.str())));
    }
}

fn policy_rule(rule: &Field<'_>, errors: &mut Errors) {
    let subjects = rule.child("subjects");
    if subjects.is_empty() {
        errors.push(subjects.required("subjects must contain at least one value"));
    }
    for each in subjects.items() {
        subject(&each, errors);
    }
    let (resources, paths) = (rule.child("resourceRules"), rule.child("nonResourceRules"));
    if resources.is_empty() && paths.is_empty() {
        errors.push(rule.required("at least one of resourceRules and nonResourceRules has to be non-empty"));
    }
    for each in resources.items() {
        resource_rule(&each, errors);
    }
    for each in paths.items() {
        verbs(&each.child("verbs"), errors);
        let urls = each.child("nonResourceURLs");
        if urls.is_empty() {
            errors.push(urls.required("nonResourceURLs must contain at least one value"));
        }
        if !alone(&urls, "non-resource URLs", errors) {
            errors.extend(urls.items().filter_map(|url| path_mistake(url.str()).map(|wrong| url.invalid(wrong))));
        }
    }
}

/// What is wrong with a path outside of resources: with a star it is the beginning of paths.
fn path_mistake(path: &str) -> Option<&'static str> {
    match path {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !path.starts_with('/') => Some("must start with slash"),
        _ if path.contains(' ') => Some("must not contain white-space"),
        _ if path.contains("//") => Some("must not contain double slash"),
        _ if path.contains('*') && (path.matches('*').count() > 1 || !path.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

/// The field that a kind of subject is described in.
const SUBJECTS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn subject(subject: &Field<'_>, errors: &mut Errors) {
    let kind = subject.child("kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(each, _)| *each == kind.str()) else {
        errors.push(unsupported(&kind, &["Group", "ServiceAccount", "User"]));
        return;
    };
    let detail = subject.child(own);
    if detail.is_absent() {
        errors.push(detail.required(format!("{own} is required when subject kind is '{}'", kind.str())));
    } else {
        named(&detail, own, errors);
    }
    for (other, field) in SUBJECTS.iter().filter(|(_, field)| field != own) {
        let detail = subject.child(field);
        if !detail.is_absent() {
            errors.push(detail.forbidden(format!("{field} is forbidden when subject kind is not '{other}'")));
        }
    }
}

fn named(detail: &Field<'_>, kind: &str, errors: &mut Errors) {
    let (name, namespace) = (detail.child("name"), detail.child("namespace"));
    required(&name, errors);
    if kind != "serviceAccount" {
        return;
    }
    if !matches!(name.str(), "" | "*") {
        looks_like(&name, names::is_dns1123_subdomain, errors);
    }
    if namespace.is_empty() {
        errors.push(namespace.required("must specify namespace for service account"));
    } else {
        looks_like(&namespace, names::is_dns1123_label, errors);
    }
}

fn verbs(verbs: &Field<'_>, errors: &mut Errors) {
    const KNOWN: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    if verbs.is_empty() {
        errors.push(verbs.required("verbs must contain at least one value"));
    } else if !alone(verbs, "verbs", errors) && verbs.items().any(|verb| !KNOWN.contains(&verb.str())) {
        errors.push(verbs.not_supported(&KNOWN));
    }
}

/// Whether there is a star in the list, which must then stand alone.
fn alone(list: &Field<'_>, what: &str, errors: &mut Errors) -> bool {
    let has_star = list.items().any(|each| each.str() == "*");
    if list.len() > 1 && has_star {
        errors.push(list.invalid(format!("if '*' is present, must not specify other {what}")));
    }
    has_star
}

fn resource_rule(rule: &Field<'_>, errors: &mut Errors) {
    verbs(&rule.child("verbs"), errors);
    let (groups, resources) = (rule.child("apiGroups"), rule.child("resources"));
    if groups.is_empty() {
        errors.push(groups.required("resource rules must supply at least one api group"));
    }
    alone(&groups, "api groups", errors);
    if resources.is_empty() {
        errors.push(resources.required("resource rules must supply at least one resource"));
    }
    alone(&resources, "resources", errors);
    let namespaces = rule.child("namespaces");
    if namespaces.is_empty() && !rule.child("clusterScope").bool() {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(namespaces.required(detail));
    }
    if !alone(&namespaces, "namespaces", errors) {
        for namespace in namespaces.items() {
            let mistakes = names::is_dns1123_label(namespace.str());
            let told = |wrong| format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
            errors.extend(mistakes.into_iter().map(|wrong| namespace.invalid(told(wrong))));
        }
    }
}

/// The mistakes in the status of either kind.
pub(super) fn status(object: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let mut seen = BTreeSet::new();
    let status = object.child("status");
    for condition in status.child("conditions").items() {
        let kind = condition.child("type");
        if !seen.insert(kind.str().to_owned()) {
            errors.push(kind.duplicate_value(kind.str()));
        }
        if kind.is_empty() {
            errors.push(kind.required("must not be empty"));
        }
    }
    errors
}

/// The mistakes of a PriorityLevelConfiguration.
pub(super) fn priority_level(level: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (level.child("metadata"), level.child("spec"));
    let (kind, limited, exempt) = (spec.child("type"), spec.child("limited"), spec.child("exempt"));
    if (metadata.child("name").str() == "exempt") != (kind.str() == "Exempt") {
        errors.push(kind.invalid("type must be 'Exempt' if and only if name is 'exempt'"));
    }
    match kind.str() {
        "Exempt" => {
            if !limited.is_absent() {
                errors.push(limited.forbidden("must be nil if the type is not Limited"));
            }
            shares(&exempt, &mut errors);
        }
        "Limited" => {
            if !exempt.is_absent() {
                errors.push(exempt.forbidden("must be nil if the type is Limited"));
            }
            if limited.is_absent() {
                errors.push(limited.required("must not be empty when type is Limited"));
            } else {
                shares(&limited, &mut errors);
                limit_response(&limited.child("limitResponse"), &mut errors);
            }
        }
        _ => errors.push(unsupported(&kind, &["Exempt", "Limited"])),
    }
    fixed(level, "PriorityLevelConfiguration", &mut errors);
    errors
}

fn shares(limits: &Field<'_>, errors: &mut Errors) {
    let (shares, lendable) = (limits.child("nominalConcurrencyShares"), limits.child("lendablePercent"));
    if shares.i64().is_some_and(|shares| shares < 0) {
        errors.push(shares.invalid("must be a non-negative integer"));
    }
    if lendable.i64().is_some_and(|percent| !(0..=100).contains(&percent)) {
        errors.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
    let borrowing = limits.child("borrowingLimitPercent");
    if borrowing.i64().is_some_and(|percent| percent < 0) {
        errors.push(borrowing.invalid("if specified, must be a non-negative integer"));
    }
}

fn limit_response(response: &Field<'_>, errors: &mut Errors) {
    let (kind, queuing) = (response.child("type"), response.child("queuing"));
    match kind.str() {
        "Reject" if !queuing.is_absent() => {
            errors.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited"));
        }
        "Reject" => {}
        "Queue" if queuing.is_absent() => {
            errors.push(queuing.required("must not be empty if limited.limitResponse.type is Limited"));
        }
        "Queue" => queues(&queuing, errors),
        _ => errors.push(unsupported(&kind, &["Queue", "Reject"])),
    }
}

fn queues(queuing: &Field<'_>, errors: &mut Errors) {
    let (queues, hand, length) =
        (queuing.child("queues"), queuing.child("handSize"), queuing.child("queueLengthLimit"));
    let number = |field: &Field<'_>| field.i64().unwrap_or_default();
    if number(&length) <= 0 {
        errors.push(length.invalid_value(number(&length), "must be positive"));
    }
    let (deck, drawn) = (number(&queues), number(&hand));
    if deck <= 0 {
        errors.push(queues.invalid_value(deck, "must be positive"));
    } else if deck > MAX_QUEUES {
        errors.push(queues.invalid(format!("must not be greater than {MAX_QUEUES}")));
    }
    if drawn <= 0 {
        errors.push(hand.invalid_value(drawn, "must be positive"));
    } else if drawn > deck {
        errors.push(hand.invalid(format!("should not be greater than queues ({deck})")));
    } else if hash_bits(deck, drawn) > MAX_HASH_BITS {
        errors.push(hand.invalid(format!(
            "required entropy bits of deckSize {deck} and handSize {drawn} should not be greater than {MAX_HASH_BITS}"
        )));
    }
}

/// How many bits of a hash it takes to draw so many queues of a deck: a little more than are needed.
fn hash_bits(deck: i64, hand: i64) -> i64 {
    ((deck as f64).log2() * hand as f64).ceil() as i64
}
