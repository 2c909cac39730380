//! The columns that a version is printed with, and the fields that its objects are selected by.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceColumnDefinition, ValidateCustomResourceSelectableFields)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::field::{ErrorType, Field, FieldError};
use serde_json::Value;

use super::{
    schema::{field_path, parts},
    subresources::simple_path,
};
use crate::strategy::validation::{Errors, required};

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MAX_SELECTABLE_FIELDS: usize = 8;

/// The mistakes of a version's columns.
pub(super) fn columns(columns: &Field<'_>, errors: &mut Errors) {
    for column in columns.items() {
        required(&column.child("name"), errors);
        let (kind, format) = (column.child("type"), column.child("format"));
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        if kind.is_empty() {
            errors.push(kind.required(types));
        } else if !COLUMN_TYPES.contains(&kind.str()) {
            errors.push(kind.invalid(types));
        }
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format.str()) {
            errors.push(format.invalid(format!("must be one of {}", COLUMN_FORMATS.join(","))));
        }
        // Upstream's first API wrote the field so.
        let path = column.alias("JSONPath", &column.value["jsonPath"]);
        if path.is_empty() {
            errors.push(path.required(""));
        } else {
            simple_path(&path, errors);
        }
    }
}

/// The mistakes of the fields that objects are selected by. `schema` is the root of the objects' schema, or what to say
/// if there is none; `owner` is where both stand.
pub(super) fn selectable_fields(
    owner: &Field<'_>,
    fields: &Field<'_>,
    schema: Result<&Value, &str>,
    errors: &mut Errors,
) {
    if fields.is_empty() {
        return;
    }
    let schema = match schema {
        Ok(schema) => schema,
        Err(why) => {
            errors.push(fields.invalid_value("", why));
            return;
        }
    };
    if let Some(why) = parts::unsupported(schema) {
        errors.push(owner.child("schema").child("openAPIV3Schema").invalid_value("", why));
        return;
    }
    let mut seen = BTreeSet::new();
    for field in fields.items() {
        let path = field.child("jsonPath");
        if path.is_empty() {
            errors.push(path.required(""));
            continue;
        }
        let found = match field_path::resolve(path.str(), schema, field_path::Notation::Dots) {
            Ok(found) => found,
            Err(why) => {
                errors.push(path.invalid(format!("is an invalid path: {why}")));
                continue;
            }
        };
        if found.steps.first().is_some_and(|first| first == "metadata") {
            errors.push(path.invalid("must not point to fields in metadata"));
        }
        if !matches!(found.schema["type"].as_str(), Some("string" | "boolean" | "integer")) {
            errors.push(path.invalid(
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats \
                 are allowed.",
            ));
        }
        if !seen.insert(found.steps) {
            errors.push(path.duplicate());
        }
    }
    if seen.len() > MAX_SELECTABLE_FIELDS {
        errors.push(FieldError {
            kind: ErrorType::TooMany,
            field: fields.path(),
            value: seen.len().into(),
            detail: format!("must have at most {MAX_SELECTABLE_FIELDS} items"),
        });
    }
}
