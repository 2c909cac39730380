//! The rules of x-kubernetes-validations, as far as they can be judged without compiling them.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionOpenAPISchema)
//! Left out: compiling and costing expressions; whether a rule uses `oldSelf`, and may.

use api::field::Field;

use super::{field_path, parts};
use crate::strategy::validation::{Errors, optional_one_of};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The mistakes of a schema's rules.
pub(super) fn rules(schema: &Field<'_>, errors: &mut Errors) {
    for rule in schema.child("x-kubernetes-validations").items() {
        expression_and_message(&rule, errors);
        let expression = rule.child("messageExpression");
        if is_blank(&expression) {
            errors.push(expression.required("messageExpression must be non-empty if specified"));
        }
        optional_one_of(&rule.child("reason"), &REASONS, errors);
        field_path_of(schema, &rule.child("fieldPath"), errors);
    }
}

fn expression_and_message(rule: &Field<'_>, errors: &mut Errors) {
    let (expression, message) = (rule.child("rule"), rule.child("message"));
    if expression.str().trim().is_empty() {
        errors.push(expression.required("rule is not specified"));
    } else if is_blank(&message) {
        errors.push(message.invalid("message must be non-empty if specified"));
    } else if has_line_breaks(message.str().trim()) {
        errors.push(message.invalid("message must not contain line breaks"));
    } else if has_line_breaks(expression.str().trim()) && message.is_empty() {
        errors.push(message.required("message must be specified if rule contains line breaks"));
    }
}

fn field_path_of(schema: &Field<'_>, path: &Field<'_>, errors: &mut Errors) {
    if path.is_empty() {
        return;
    }
    if is_blank(path) {
        errors.push(path.invalid("fieldPath must be non-empty if specified"));
    }
    if has_line_breaks(path.str()) {
        errors.push(path.invalid("fieldPath must not contain line breaks"));
    }
    let resolved = field_path::resolve(path.str(), schema.value, field_path::Notation::DotsAndBrackets);
    if resolved.is_err() && parts::unsupported(schema.value).is_none() {
        errors.push(path.invalid("fieldPath must be a valid path"));
    }
}

/// Whether there is a text, and nothing to read in it.
fn is_blank(text: &Field<'_>) -> bool {
    !text.is_empty() && text.str().trim().is_empty()
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}
