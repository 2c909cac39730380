//! What each schema inside a schema may say by itself: keywords that are not supported, types, where defaults stand.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionOpenAPISchema, specStandardValidatorV3)
//! Left out: nothing.

use api::field::Field;
use serde_json::Value;

use super::{
    compiled::{self, EachCost, Judged, Scope},
    lists, rules,
};
use crate::strategy::validation::Errors;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// The fields that every resource has.
const OF_EVERY_RESOURCE: [&str; 3] = ["metadata", "kind", "apiVersion"];

/// Where a schema stands.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    is_root: bool,
    /// It describes the metadata, kind or API version of a resource.
    in_resource_meta: bool,
    /// Why there may be no default here.
    no_defaults: Option<&'a str>,
    /// What expressions here depend on; None where they are not compiled.
    scope: Option<Scope<'a>>,
}

/// What was found so far: first come the mistakes of schemas, then those of expressions.
struct Found {
    schemas: Errors,
    expressions: Judged,
}

/// Whether the structure of a schema is known to be right, so that expressions can be compiled against it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Structure {
    IsRight,
    IsWrong,
}

/// The mistakes of a schema and all schemas inside it. Answers what its expressions came to.
pub(super) fn root(root: &Field<'_>, structure: Structure, each_cost: EachCost, errors: &mut Errors) -> Judged {
    let scope = (structure == Structure::IsRight).then(Scope::of_root);
    let mut found = Found { schemas: Errors::new(), expressions: Judged::new(each_cost) };
    schema(root, Place { is_root: true, scope, ..Place::default() }, &mut found);
    errors.append(&mut found.schemas);
    errors.append(&mut found.expressions.errors);
    found.expressions
}

fn schema(schema: &Field<'_>, place: Place<'_>, found: &mut Found) {
    let before = found.schemas.len();
    let errors = &mut found.schemas;
    keywords(schema, place, errors);
    let unique = schema.child("uniqueItems");
    if unique.bool() {
        errors
            .push(unique.forbidden("uniqueItems cannot be set to true since the runtime complexity becomes quadratic"));
    }
    let below = Place { is_root: false, scope: place.scope.map(|scope| scope.below(schema)), ..place };
    let condition = Place { scope: None, ..below };
    additional_properties(schema, below, found);
    properties(schema, place, below, found);
    inside(&schema.child("not"), condition, found);
    for list in ["allOf", "oneOf", "anyOf"] {
        for each in schema.child(list).items() {
            inside(&each, condition, found);
        }
    }
    for (_, each) in schema.child("definitions").entries() {
        inside(&each, condition, found);
    }
    items(schema, below, found);
    for (_, each) in schema.child("dependencies").entries() {
        inside(&each, condition, found);
    }
    let errors = &mut found.schemas;
    let preserves = schema.child("x-kubernetes-preserve-unknown-fields");
    if preserves.value == &Value::Bool(false) {
        errors.push(preserves.invalid("must be true or undefined"));
    }
    lists::map_type(schema, errors);
    lists::list_type(schema, errors);
    lists::items_are_told_apart(schema, errors);
    rules::rules(schema, errors);
    // Of types that a wrong schema gives, nobody would understand the mistakes.
    if let Some(scope) = place.scope.filter(|_| found.schemas.len() == before) {
        compiled::expressions(schema, scope, &mut found.expressions);
    }
}

/// A schema that may be absent, or be something else than a schema (`additionalProperties: true`).
fn inside(field: &Field<'_>, place: Place<'_>, found: &mut Found) {
    if field.value.is_object() {
        schema(field, place, found);
    }
}

/// Only items with keys can be told to be those of before.
fn items(schema: &Field<'_>, below: Place<'_>, found: &mut Found) {
    let items = schema.child("items");
    let has_keys = schema.child("x-kubernetes-list-type").str() == "map";
    let scope = below.scope.map(|scope| if has_keys { scope } else { scope.uncorrelatable_in(schema) });
    let place = Place { scope, ..below };
    inside(&items, place, found);
    for each in items.items() {
        inside(&each, place, found);
    }
}

/// Properties are those of a struct, additional ones those of a map: nothing is both.
fn additional_properties(schema: &Field<'_>, below: Place<'_>, found: &mut Found) {
    let additional = schema.child("additionalProperties");
    if additional.is_absent() {
        return;
    }
    if !schema.child("properties").is_empty() && additional.value != &Value::Bool(true) {
        found.schemas.push(additional.forbidden("additionalProperties and properties are mutual exclusive"));
    }
    // What would be pruned there depends on values that nobody knows yet.
    let in_meta = below.in_resource_meta.then_some("inside additionalProperties applying to object metadata");
    inside(&additional, Place { no_defaults: in_meta.or(below.no_defaults), ..below }, found);
}

fn properties(schema: &Field<'_>, place: Place<'_>, below: Place<'_>, found: &mut Found) {
    let is_resource = place.is_root || schema.child("x-kubernetes-embedded-resource").bool();
    let is_known_map = matches!(schema.child("x-kubernetes-map-type").str(), "" | "granular" | "atomic");
    let scope = below.scope.map(|scope| if is_known_map { scope } else { scope.uncorrelatable_in(schema) });
    for (name, property) in schema.child("properties").entries() {
        let mut below = Place { scope, ..below };
        let reason = format!("in top-level {name}");
        if is_resource && OF_EVERY_RESOURCE.contains(&name) {
            below.in_resource_meta = true;
            if place.is_root {
                below.no_defaults = Some(&reason);
            }
        }
        inside(&property, below, found);
    }
}

fn keywords(schema: &Field<'_>, place: Place<'_>, errors: &mut Errors) {
    let kind = schema.child("type");
    if !kind.is_empty() && !TYPES.contains(&kind.str()) {
        errors.push(kind.not_supported(&TYPES));
    }
    if let Some(reason) = place.no_defaults {
        let default = schema.child("default");
        if !default.is_absent() {
            errors.push(default.forbidden(format!("must not be set {reason}")));
        }
    }
    for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        let field = schema.child(name);
        let is_set = if name == "id" { !field.is_empty() } else { !field.is_absent() };
        if is_set {
            errors.push(field.forbidden(format!("{name} is not supported")));
        }
    }
    if kind.str() == "null" {
        errors.push(kind.forbidden("type cannot be set to null, use nullable as an alternative"));
    }
    let items = schema.child("items");
    if items.value.is_array() && !items.is_empty() {
        errors.push(items.forbidden("items must be a schema object and not an array"));
    }
    let embedded = schema.child("x-kubernetes-embedded-resource");
    if place.in_resource_meta && embedded.bool() {
        errors.push(embedded.forbidden("must not be used inside of resource meta"));
    }
}
