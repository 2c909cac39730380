//! What stands inside allOf, anyOf, oneOf and not: conditions of values, nothing about their structure.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/validation.go (validateValueValidation,
//!   validateNestedValueValidation)
//! Left out: nothing.

use api::field::Field;
use expressions::pattern;
use serde_json::{Value, json};

use crate::strategy::validation::Errors;

/// Where a schema spells out that its value is an integer or a string: there, types may stand in anyOf.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum IntOrString {
    #[default]
    Nowhere,
    InAnyOf,
    InFirstAllOf,
    InBoth,
}

impl IntOrString {
    pub(super) fn of(schema: &Value) -> IntOrString {
        let types = json!([{"type": "integer"}, {"type": "string"}]);
        match (schema["anyOf"] == types, schema["allOf"][0]["anyOf"] == types) {
            (true, true) => IntOrString::InBoth,
            (true, false) => IntOrString::InAnyOf,
            (false, true) => IntOrString::InFirstAllOf,
            (false, false) => IntOrString::Nowhere,
        }
    }
}

/// The mistakes in what a schema says of its values.
pub(super) fn value_validation(schema: &Field<'_>, form: IntOrString, errors: &mut Errors) {
    if !matches!(form, IntOrString::InAnyOf | IntOrString::InBoth) {
        for each in schema.child("anyOf").items() {
            nested(&each, IntOrString::Nowhere, errors);
        }
    }
    for (at, each) in schema.child("allOf").items().enumerate() {
        let spelled_out = at == 0 && matches!(form, IntOrString::InFirstAllOf | IntOrString::InBoth);
        nested(&each, if spelled_out { IntOrString::InAnyOf } else { IntOrString::Nowhere }, errors);
    }
    for each in schema.child("oneOf").items() {
        nested(&each, IntOrString::Nowhere, errors);
    }
    nested(&schema.child("not"), IntOrString::Nowhere, errors);
    let pattern = schema.child("pattern");
    if !pattern.is_empty()
        && let Err(why) = pattern::read(pattern.str())
    {
        errors.push(pattern.invalid(format!("must be a valid regular expression, but isn't: {why}")));
    }
}

fn nested(schema: &Field<'_>, form: IntOrString, errors: &mut Errors) {
    if schema.is_absent() {
        return;
    }
    value_validation(schema, form, errors);
    nested(&schema.child("items"), IntOrString::Nowhere, errors);
    let properties = schema.child("properties");
    for (_, property) in properties.entries() {
        nested(&property, IntOrString::Nowhere, errors);
    }
    for name in ["type", "title", "description", "x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
        let field = schema.child(name);
        if !field.is_empty() {
            errors.push(field.forbidden("must be empty to be structural"));
        }
    }
    for name in ["additionalProperties", "default", "externalDocs", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        let field = schema.child(name);
        if !field.is_absent() {
            errors.push(field.forbidden("must be undefined to be structural"));
        }
    }
    for name in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        let field = schema.child(name);
        if field.bool() {
            errors.push(field.forbidden("must be false to be structural"));
        }
    }
    let metadata = properties.key("metadata");
    if !metadata.is_absent() {
        errors.push(metadata.forbidden("must not be specified in a nested context"));
    }
}
