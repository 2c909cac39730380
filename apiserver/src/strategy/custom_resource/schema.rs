//! What the schema of a CustomResourceDefinition may say: its root, and in which order the rules below it are asked.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (validateCustomResourceDefinitionValidation), apiextensions-apiserver/pkg/apiserver/schema/convert.go
//! Left out: the leniency upstream keeps for schemas that older releases stored.

mod compiled;
mod completeness;
mod declared;
mod defaults;
mod embedded;
mod evaluated;
pub(crate) mod field_path;
mod lists;
mod nested;
mod open_api;
pub(crate) mod parts;
mod pruning;
mod rules;
mod structural;

use api::field::Field;
use serde_json::Value;

use crate::strategy::validation::Errors;
pub(super) use compiled::EachCost;
use open_api::Structure;

/// What may stand at the root beside a status that is a subresource, as upstream writes the list.
const BESIDE_STATUS: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];
/// What Go asks for before it comes to the type.
const BEFORE_TYPE: [&str; 3] = ["id", "$schema", "$ref"];

/// The mistakes of a schema whose status is a subresource: what is said of status must not get lost at the root.
pub(super) fn beside_status(validation: &Field<'_>, errors: &mut Errors) {
    let root = validation.child("openAPIV3Schema");
    let kind = root.child("type");
    let is_forbidden =
        |name: &str| is_set(name, &root.value[name]) && !BESIDE_STATUS.iter().any(|(key, _)| *key == name);
    let comes_before_type = BEFORE_TYPE.into_iter().any(is_forbidden);
    if !comes_before_type && !kind.is_empty() && kind.str() != "object" {
        errors.push(kind.invalid(
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled",
        ));
    } else if root.value.as_object().is_some_and(|entries| entries.keys().any(|name| is_forbidden(name))) {
        let names: Vec<&str> = BESIDE_STATUS.iter().map(|(_, name)| *name).collect();
        errors.push(root.invalid(format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        )));
    }
}

/// Whether Go sees something in this field: a value that is none behind no pointer is nothing to it.
fn is_set(name: &str, value: &Value) -> bool {
    let behind_pointer = matches!(name, "$ref" | "default" | "example" | "additionalProperties" | "additionalItems")
        || name.starts_with("x-kubernetes-list-t")
        || name == "x-kubernetes-map-type"
        || name == "x-kubernetes-preserve-unknown-fields";
    match value {
        Value::Null => false,
        Value::Bool(false) => behind_pointer,
        Value::String(text) => behind_pointer || !text.is_empty(),
        _ => true,
    }
}

/// The mistakes of a version's schema.
pub(super) fn validation(validation: &Field<'_>, each_cost: EachCost, errors: &mut Errors) {
    let root = validation.child("openAPIV3Schema");
    if root.is_absent() {
        return;
    }
    let before = errors.len();
    if root.child("nullable").bool() {
        errors.push(root.child("nullable").forbidden("nullable cannot be true at the root"));
    }
    let unsupported = parts::unsupported(root.value);
    let mut structure = Structure::IsWrong;
    if unsupported.is_none() {
        let structural = structural::structural(&root);
        let defaults = if structural.is_empty() { defaults::defaults(&root) } else { Errors::new() };
        if structural.is_empty() && defaults.is_empty() {
            structure = Structure::IsRight;
        }
        errors.extend(structural.into_iter().chain(defaults));
    }
    let judged = open_api::root(&root, structure, each_cost, errors);
    // What cannot become a structural schema is said only if nothing else has said it.
    if let Some(why) = unsupported.filter(|_| errors.len() == before) {
        errors.push(root.invalid_value("", why));
    }
    judged.together(&root, errors);
}
