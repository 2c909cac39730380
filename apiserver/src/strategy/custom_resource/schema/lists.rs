//! What kind of list or map a schema says its values are, and that the items of sets and maps can be told apart.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionOpenAPISchema, validateMapListKeysMapSet)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::field::Field;

use crate::strategy::validation::Errors;

const LIST_TYPE: &str = "x-kubernetes-list-type";
const LIST_MAP_KEYS: &str = "x-kubernetes-list-map-keys";
const MAP_TYPE: &str = "x-kubernetes-map-type";

/// A map type is said of objects.
pub(super) fn map_type(schema: &Field<'_>, errors: &mut Errors) {
    let map_type = schema.child(MAP_TYPE);
    if map_type.is_absent() {
        return;
    }
    must_be("object", MAP_TYPE, &schema.child("type"), errors);
    if !matches!(map_type.str(), "atomic" | "granular") {
        errors.push(map_type.not_supported(&["atomic", "granular"]));
    }
}

/// A list type is said of arrays, and fits their items.
pub(super) fn list_type(schema: &Field<'_>, errors: &mut Errors) {
    let (list_type, keys) = (schema.child(LIST_TYPE), schema.child(LIST_MAP_KEYS));
    let kind = schema.child("type");
    if !list_type.is_absent() && kind.str() != "array" {
        must_be("array", LIST_TYPE, &kind, errors);
    } else if list_type.str() == "set" {
        items_of_set(&schema.child("items"), errors);
    }
    if !list_type.is_absent() && !matches!(list_type.str(), "atomic" | "set" | "map") {
        errors.push(list_type.not_supported(&["atomic", "set", "map"]));
    }
    if !keys.is_empty() && list_type.str() != "map" {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(if list_type.is_absent() { list_type.required(detail) } else { list_type.invalid(detail) });
    }
    if list_type.str() == "map" {
        items_of_map(schema, errors);
    }
}

fn must_be(wanted: &str, because_of: &str, kind: &Field<'_>, errors: &mut Errors) {
    let detail = format!("must be {wanted} if {because_of} is specified");
    if kind.is_empty() {
        errors.push(kind.required(detail));
    } else if kind.str() != wanted {
        errors.push(kind.invalid(detail));
    }
}

/// The items of a set are compared as wholes.
fn items_of_set(items: &Field<'_>, errors: &mut Errors) {
    let (list_type, map_type) = (items.child(LIST_TYPE), items.child(MAP_TYPE));
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    match items.child("type").str() {
        "array" if !list_type.is_absent() && list_type.str() != "atomic" => errors.push(list_type.invalid(detail)),
        // Upstream shows the list type here, too.
        "object" if map_type.str() != "atomic" => {
            errors.push(map_type.invalid_value(list_type.value.clone(), detail));
        }
        _ => {}
    }
}

/// The items of a map have its keys, which are scalars.
fn items_of_map(schema: &Field<'_>, errors: &mut Errors) {
    let (keys, items) = (schema.child(LIST_MAP_KEYS), schema.child("items"));
    let kind = items.child("type");
    if keys.is_empty() {
        errors.push(keys.required("must not be empty if x-kubernetes-list-type is map"));
    }
    if items.is_absent() {
        errors.push(items.required("must have a schema if x-kubernetes-list-type is map"));
    } else if !items.value.is_object() {
        errors.push(items.invalid("must only have a single schema if x-kubernetes-list-type is map"));
    } else if kind.str() != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(kind.invalid_value(kind.str(), detail));
    } else {
        let properties = items.child("properties");
        let mut seen = BTreeSet::new();
        for key in keys.items() {
            let property = properties.key(key.str());
            if property.is_absent() {
                errors.push(keys.invalid("entries must all be names of item properties"));
            } else if matches!(property.child("type").str(), "array" | "object") {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(property.child("type").invalid_value(kind.str(), detail));
            }
            if !seen.insert(key.str().to_owned()) {
                errors.push(keys.invalid("must not contain duplicate entries"));
            }
        }
    }
}

/// Items of sets and maps are never null, and those of maps always have their keys.
pub(super) fn items_are_told_apart(schema: &Field<'_>, errors: &mut Errors) {
    let (list_type, items) = (schema.child(LIST_TYPE), schema.child("items"));
    if !items.value.is_object() || !matches!(list_type.str(), "set" | "map") {
        return;
    }
    if items.child("nullable").bool() {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {}", list_type.str());
        errors.push(items.child("nullable").forbidden(detail));
    }
    if list_type.str() == "set" {
        return;
    }
    let (properties, required) = (items.child("properties"), items.child("required"));
    for key in schema.child(LIST_MAP_KEYS).items() {
        let property = properties.key(key.str());
        if property.is_absent() {
            continue;
        }
        let default = property.child("default");
        if default.is_absent() && !required.items().any(|each| each.str() == key.str()) {
            errors.push(default.required(
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ));
        }
        if property.child("nullable").bool() {
            errors.push(
                property
                    .child("nullable")
                    .forbidden("this property is in x-kubernetes-list-map-keys, so it cannot be nullable"),
            );
        }
    }
}
