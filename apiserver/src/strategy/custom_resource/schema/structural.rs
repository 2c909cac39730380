//! Structural schemas: each field and item is described outside of allOf, anyOf, oneOf and not, and has a type.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/validation.go
//! Left out: nothing.

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{completeness::completeness, nested};
use crate::strategy::validation::Errors;

/// What a schema describes.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The mistakes of a schema as a structural one, sorted by their texts.
pub(super) fn structural(root: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    schema(root, Level::Root, &mut errors);
    completeness(root, root, &mut errors);
    errors.sort_by_cached_key(FieldError::to_string);
    errors
}

fn schema(schema: &Field<'_>, level: Level, errors: &mut Errors) {
    let (kind, items, additional) = (schema.child("type"), schema.child("items"), schema.child("additionalProperties"));
    let embedded = schema.child("x-kubernetes-embedded-resource").bool();
    if kind.str() == "array" && items.is_absent() {
        errors.push(items.required("must be specified"));
    }
    if !items.is_absent() {
        self::schema(&items, Level::Item, errors);
    }
    for (_, property) in schema.child("properties").entries() {
        self::schema(&property, Level::Field, errors);
    }
    if !additional.is_absent() && level == Level::Root {
        errors.push(additional.forbidden("must not be used at the root"));
    }
    if additional.value.is_object() {
        self::schema(&additional, Level::Field, errors);
    }
    int_or_string_alone(schema, errors);
    nested::value_validation(schema, nested::IntOrString::of(schema.value), errors);
    typed(schema, level, errors);
    if embedded && !additional.is_absent() {
        errors.push(additional.forbidden("must not be used if x-kubernetes-embedded-resource is set"));
    }
    resource_fields(schema, level, errors);
    let properties = schema.child("properties");
    if embedded && !schema.child("x-kubernetes-preserve-unknown-fields").bool() && properties.is_empty() {
        errors.push(properties.required(
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

/// What is an integer or a string has no fields.
fn int_or_string_alone(schema: &Field<'_>, errors: &mut Errors) {
    if !schema.child("x-kubernetes-int-or-string").bool() {
        return;
    }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        let field = schema.child(name);
        if field.bool() {
            errors.push(field.invalid("must be false if x-kubernetes-int-or-string is true"));
        }
    }
}

fn typed(schema: &Field<'_>, level: Level, errors: &mut Errors) {
    let kind = schema.child("type");
    let may_have_none = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    if schema.child("x-kubernetes-embedded-resource").bool() && kind.str() != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() { kind.required(detail) } else { kind.invalid(detail) });
    } else if kind.is_empty() && !may_have_none.iter().any(|name| schema.child(name).bool()) {
        errors.push(kind.required(match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        }));
    }
    if level == Level::Root && !kind.is_empty() && kind.str() != "object" {
        errors.push(kind.invalid("must be object at the root"));
    }
}

/// The fields that every resource has are not described anew.
fn resource_fields(schema: &Field<'_>, level: Level, errors: &mut Errors) {
    let is_resource = level == Level::Root || schema.child("x-kubernetes-embedded-resource").bool();
    let properties = schema.child("properties");
    for name in ["kind", "apiVersion"] {
        let property = properties.key(name);
        let kind = property.child("type");
        if is_resource && !property.is_absent() && kind.str() != "string" {
            errors.push(kind.invalid_value(kind.str(), "must be string"));
        }
    }
    let metadata = properties.key("metadata");
    if metadata.is_absent() {
        return;
    }
    let kind = metadata.child("type");
    if is_resource && kind.str() != "object" {
        errors.push(kind.invalid_value(kind.str(), "must be object"));
    }
    if level == Level::Root && !says_names_only(metadata.value) {
        errors.push(metadata.forbidden(
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        ));
    }
}

/// Whether a schema of metadata says nothing but what a name is.
fn says_names_only(metadata: &Value) -> bool {
    metadata.as_object().into_iter().flatten().all(|(name, value)| match name.as_str() {
        "type" | "default" | "example" => true,
        "properties" => {
            value.as_object().is_none_or(|all| all.keys().all(|key| key == "name" || key == "generateName"))
        }
        _ => [json!(null), json!(false), json!("")].contains(value),
    })
}
