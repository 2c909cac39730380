//! Label selectors: of workloads, affinities, network policies and the like.
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/validation/validation.go (ValidateLabelSelector)
//! Left out: nothing.

use api::{field::Field, names};

use super::{
    Errors, looks_like,
    pod_template::{lasting_pods, pod_template},
};
use crate::operations::metadata::validate_labels;

/// The operators of a label selector.
const SET_OPERATORS: [&str; 2] = ["In", "NotIn"];
const EXISTENCE_OPERATORS: [&str; 2] = ["Exists", "DoesNotExist"];

/// Checks a label selector; an absent one is fine.
pub(crate) fn label_selector(selector: &Field<'_>, errors: &mut Errors) {
    validate_labels(&selector.child("matchLabels"), errors);
    for requirement in selector.child("matchExpressions").items() {
        let values = requirement.child("values");
        let operator = requirement.child("operator");
        if SET_OPERATORS.contains(&operator.str()) {
            if values.is_empty() {
                errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
        } else if EXISTENCE_OPERATORS.contains(&operator.str()) {
            if !values.is_empty() {
                errors.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
        } else {
            errors.push(operator.invalid_value(operator.str(), "not a valid selector operator"));
        }
        looks_like(&requirement.child("key"), names::is_qualified_name, errors);
        for value in values.items() {
            looks_like(&value, names::is_label_value, errors);
        }
    }
}

/// Whether a selector selects everything because nothing stands in it.
pub(crate) fn is_empty_selector(selector: &Field<'_>) -> bool {
    selector.child("matchLabels").is_empty() && selector.child("matchExpressions").is_empty()
}

/// Checks the selector of a workload, its template, and that the two match. `empty` is the complaint about a selector
/// in which nothing stands, `workload` how upstream calls the kind in the template's mistakes.
pub(crate) fn selector_and_template(spec: &Field<'_>, empty: &str, workload: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    if selector.is_absent() {
        errors.push(selector.required(""));
    } else {
        label_selector(&selector, errors);
        if is_empty_selector(&selector) {
            errors.push(selector.invalid(empty));
        }
    }
    match api::selector::Selector::from_json(selector.value) {
        Err(_) => errors.push(selector.invalid("invalid label selector")),
        Ok(parsed) => {
            if !parsed.matches_json(labels.value) {
                errors.push(labels.invalid("`selector` does not match template `labels`"));
            }
            pod_template(&template, errors);
            lasting_pods(&template, workload, errors);
        }
    }
}
