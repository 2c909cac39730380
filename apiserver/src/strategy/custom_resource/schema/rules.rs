//! The rules of x-kubernetes-validations, as far as they can be judged without compiling them (see `compiled.rs`).
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionOpenAPISchema)
//! Left out: nothing.

use std::cell::LazyCell;

use api::field::Field;

use super::{field_path, parts};
use crate::strategy::validation::{Errors, optional_one_of};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The mistakes of a schema's rules.
pub(super) fn rules(schema: &Field<'_>, errors: &mut Errors) {
    // Of what is no structural schema, nobody can say where a path leads.
    let is_structural = LazyCell::new(|| parts::unsupported(schema.value).is_none());
    for rule in schema.child("x-kubernetes-validations").items() {
        expression_and_message(&rule, errors);
        let expression = rule.child("messageExpression");
        if is_blank(&expression) {
            errors.push(expression.required("messageExpression must be non-empty if specified"));
        }
        optional_one_of(&rule.child("reason"), &REASONS, errors);
        let path = rule.child("fieldPath");
        if !path.is_empty() && !leads_somewhere(&path, schema, errors) && *is_structural {
            errors.push(path.invalid("fieldPath must be a valid path"));
        }
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

/// Whether the path leads somewhere in the schema; says what else is wrong with it.
fn leads_somewhere(path: &Field<'_>, schema: &Field<'_>, errors: &mut Errors) -> bool {
    if is_blank(path) {
        errors.push(path.invalid("fieldPath must be non-empty if specified"));
    }
    if has_line_breaks(path.str()) {
        errors.push(path.invalid("fieldPath must not contain line breaks"));
    }
    field_path::resolve(path.str(), schema.value, field_path::Notation::DotsAndBrackets).is_ok()
}

/// Whether there is a text, and nothing to read in it.
fn is_blank(text: &Field<'_>) -> bool {
    !text.is_empty() && text.str().trim().is_empty()
}

fn has_line_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}
