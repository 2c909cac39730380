//! What a pod asks of the scheduler: affinities, tolerations, spreading.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateAffinity, ValidateTolerations,
//!   validateTopologySpreadConstraints, ValidateMatchLabelKeysAndMismatchLabelKeys, ValidateNodeSelector)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::{Errors, looks_like, one_of, optional_one_of, selectors::label_selector};

const SET_NEEDS_VALUES: &str = "must be specified when `operator` is 'In' or 'NotIn'";
const EXISTENCE_HAS_NONE: &str = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
const BAD_OPERATOR: &str = "not a valid selector operator";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// The effects of taints, in the order that errors name them.
pub(crate) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks a pod's affinities.
pub(crate) fn affinity(affinity: &Field<'_>, errors: &mut Errors) {
    let node = affinity.child("nodeAffinity");
    let required = node.child(REQUIRED);
    if !required.is_absent() {
        node_selector(&required, errors);
    }
    for term in node.child(PREFERRED).items() {
        weight(&term, errors);
        node_selector_term(&term.child("preference"), Values::Any, errors);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.child(name);
        for term in pods.child(REQUIRED).items() {
            pod_affinity_term(&term, errors);
        }
        for term in pods.child(PREFERRED).items() {
            weight(&term, errors);
            pod_affinity_term(&term.child("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Field<'_>, errors: &mut Errors) {
    let weight = term.child("weight");
    let number = weight.i64().unwrap_or_default();
    if !(1..=100).contains(&number) {
        errors.push(weight.invalid_value(number, "must be in the range 1-100"));
    }
}

/// Checks a selector of nodes: at least one term.
pub(crate) fn node_selector(selector: &Field<'_>, errors: &mut Errors) {
    let terms = selector.child("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(terms.required("must have at least one node selector term"));
    }
    for term in terms.items() {
        node_selector_term(&term, Values::Labels, errors);
    }
}

/// Whether the values of a requirement must be label values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Labels,
    Any,
}

fn node_selector_term(term: &Field<'_>, rule: Values, errors: &mut Errors) {
    for requirement in term.child("matchExpressions").items() {
        let (operator, values) = (requirement.child("operator"), requirement.child("values"));
        match operator.str() {
            "In" | "NotIn" if values.is_empty() => errors.push(values.required(SET_NEEDS_VALUES)),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(values.forbidden(EXISTENCE_HAS_NONE)),
            "Gt" | "Lt" if values.len() != 1 => {
                errors.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.push(operator.invalid_value(other, BAD_OPERATOR)),
        }
        looks_like(&requirement.child("key"), names::is_qualified_name, errors);
        if rule == Values::Labels {
            for value in values.items() {
                looks_like(&value, names::is_label_value, errors);
            }
        }
    }
    for requirement in term.child("matchFields").items() {
        node_field_requirement(&requirement, errors);
    }
}

fn node_field_requirement(requirement: &Field<'_>, errors: &mut Errors) {
    let (operator, values, key) =
        (requirement.child("operator"), requirement.child("values"), requirement.child("key"));
    match operator.str() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(values.required(detail));
            }
        }
        other => errors.push(operator.invalid_value(other, BAD_OPERATOR)),
    }
    if key.str() != "metadata.name" {
        errors.push(key.invalid_value(key.str(), "not a valid field selector key"));
        return;
    }
    for value in values.items() {
        looks_like(&value, names::is_dns1123_subdomain, errors);
    }
}

fn pod_affinity_term(term: &Field<'_>, errors: &mut Errors) {
    label_selector(&term.child("labelSelector"), errors);
    label_selector(&term.child("namespaceSelector"), errors);
    for name in term.child("namespaces").items() {
        looks_like(&term.alias("namespace", name.value), names::is_dns1123_label, errors);
    }
    label_keys(term, errors);
    let topology = term.child("topologyKey");
    if topology.is_empty() {
        errors.push(topology.required("can not be empty"));
    }
    looks_like(&topology, names::is_qualified_name, errors);
}

/// Checks the keys whose values are taken from the pod's own labels. By then they stand in the selector too: a key that
/// is there twice was in both from the start. Upstream reports that one at the term itself.
fn label_keys(term: &Field<'_>, errors: &mut Errors) {
    let (same, different) = (term.child("matchLabelKeys"), term.child("mismatchLabelKeys"));
    if same.is_empty() && different.is_empty() {
        return;
    }
    let selector = term.child("labelSelector");
    for keys in [&same, &different].into_iter().filter(|keys| !keys.is_empty()) {
        if selector.is_absent() {
            errors.push(keys.forbidden("must not be specified when labelSelector is not set"));
        } else {
            keys.items().for_each(|key| looks_like(&key, names::is_qualified_name, errors));
        }
    }
    let labels = selector.value["matchLabels"].as_object().into_iter().flatten();
    let mut used: BTreeSet<&str> = labels.map(|(key, _)| key.as_str()).collect();
    for requirement in selector.child("matchExpressions").items() {
        let key = requirement.value["key"].as_str().unwrap_or_default();
        let listed = same.value.as_array().and_then(|keys| keys.iter().rposition(|each| each == key));
        if let Some(index) = listed.filter(|_| used.contains(key)) {
            errors.push(term.index(index).invalid_value(key, "exists in both matchLabelKeys and labelSelector"));
        }
        used.insert(key);
    }
    for key in same.items() {
        if different.items().any(|other| other.value == key.value) {
            errors.push(key.invalid("exists in both matchLabelKeys and mismatchLabelKeys"));
        }
    }
}

/// Checks a pod's tolerations.
pub(crate) fn tolerations(tolerations: &Field<'_>, errors: &mut Errors) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.child("key"), toleration.child("operator"));
        let (value, effect) = (toleration.child("value"), toleration.child("effect"));
        super::optional_like(&key, names::is_qualified_name, errors);
        if key.is_empty() && operator.str() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(operator.invalid_value(operator.str(), detail));
        }
        if !toleration.child("tolerationSeconds").is_absent() && effect.str() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(effect.invalid_value(effect.str(), detail));
        }
        match operator.str() {
            "Equal" | "" => {
                let mistakes = names::is_label_value(value.str());
                if !mistakes.is_empty() {
                    errors.push(operator.invalid_value(value.str(), mistakes.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                errors.push(operator.invalid_value(value.str(), "value must be empty when `operator` is 'Exists'"));
            }
            "Exists" => {}
            _ => errors.push(operator.not_supported(&["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            one_of(&effect, &TAINT_EFFECTS, errors);
        }
    }
}

/// Checks how a pod wants its kind spread.
pub(crate) fn spread_constraints(constraints: &Field<'_>, errors: &mut Errors) {
    for (at, constraint) in constraints.items().enumerate() {
        let skew = constraint.child("maxSkew");
        if skew.i64().unwrap_or_default() <= 0 {
            errors.push(skew.invalid_value(skew.i64().unwrap_or_default(), "must be greater than zero"));
        }
        let (topology, action) = (constraint.child("topologyKey"), constraint.child("whenUnsatisfiable"));
        if topology.is_empty() {
            errors.push(topology.required("can not be empty"));
        }
        one_of(&action, &["DoNotSchedule", "ScheduleAnyway"], errors);
        let pair = |each: &Value| (each["topologyKey"].clone(), each["whenUnsatisfiable"].clone());
        let rest = constraints.value.as_array().map(|all| &all[at + 1..]).unwrap_or_default();
        if rest.iter().any(|other| pair(other) == pair(constraint.value)) {
            let shown = format!("{{{}, {}}}", topology.str(), action.str());
            errors.push(constraint.child("{topologyKey, whenUnsatisfiable}").duplicate_value(shown));
        }
        min_domains(&constraint.child("minDomains"), action.str(), errors);
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(&constraint.child(name), &["Honor", "Ignore"], errors);
        }
        label_keys(&constraint, errors);
        label_selector(&constraint.child("labelSelector"), errors);
    }
}

fn min_domains(domains: &Field<'_>, action: &str, errors: &mut Errors) {
    let Some(number) = domains.i64() else { return };
    if number <= 0 {
        errors.push(domains.invalid("must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(domains.invalid(detail));
    }
}

/// Checks what a node keeps pods away with.
pub(crate) fn taints(taints: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.child("key"), taint.child("value"), taint.child("effect"));
        looks_like(&key, names::is_qualified_name, errors);
        let mistakes = names::is_label_value(value.str());
        if !mistakes.is_empty() {
            errors.push(value.invalid_value(value.str(), mistakes.join(";")));
        }
        super::required_one_of(&effect, &TAINT_EFFECTS, errors);
        if !seen.insert((key.str().to_owned(), effect.str().to_owned())) {
            let mut error = taint.duplicate();
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
}
