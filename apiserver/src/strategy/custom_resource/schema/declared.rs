//! What expressions see of the values that a schema describes: their types, and how large they can get.
//!
//! Upstream: apiserver/pkg/cel/common/schemas.go (SchemaDeclType)
//! Left out: nothing.

use std::{borrow::Cow, collections::BTreeSet};

use expressions::{
    Type,
    cost::{Bounds, Field},
    escape,
};
use serde_json::{Value, json};

use super::embedded::Whole;

/// The values of a schema.
pub(super) struct Declared {
    pub(super) of: Type,
    pub(super) bounds: Bounds,
}

/// What is seen of a schema's values; None of values that nothing is known of. Types are called by their place below
/// `name`: what stands in two places has two types.
pub(super) fn declared(schema: &Value, whole: Whole, name: &str) -> Option<Declared> {
    if schema["x-kubernetes-int-or-string"] == true {
        // Expressions ask for its type.
        return Some(Declared { of: Type::Dyn, bounds: Bounds::int_or_string(schema["maxLength"].as_i64()) });
    }
    let schema = if whole.is_resource(schema) { with_names(schema) } else { Cow::Borrowed(schema) };
    match schema["type"].as_str()? {
        "array" => list(&schema, name),
        "object" if schema["additionalProperties"].is_object() => map(&schema, name),
        "object" => Some(object(&schema, name)),
        "string" => Some(string(&schema)),
        "boolean" => Some(Declared { of: Type::Bool, bounds: Bounds::boolean() }),
        "number" => Some(Declared { of: Type::Double, bounds: Bounds::number() }),
        "integer" => Some(Declared { of: Type::Int, bounds: Bounds::number() }),
        _ => None,
    }
}

/// Whether anything is seen of a schema's values.
pub(super) fn is_declared(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
        || match schema["type"].as_str() {
            Some("array") => is_declared(&schema["items"]),
            Some("object") if schema["additionalProperties"].is_object() => {
                is_declared(&schema["additionalProperties"])
            }
            Some("object" | "string" | "boolean" | "number" | "integer") => true,
            _ => false,
        }
}

fn list(schema: &Value, name: &str) -> Option<Declared> {
    let Declared { of, bounds } = declared(&schema["items"], Whole::IsAsSaid, &format!("{name}.@idx"))?;
    Some(Declared { of: Type::list(of), bounds: Bounds::list(bounds, schema["maxItems"].as_i64()) })
}

fn map(schema: &Value, name: &str) -> Option<Declared> {
    let values = declared(&schema["additionalProperties"], Whole::IsAsSaid, &format!("{name}.@elem"))?;
    let bounds = Bounds::map(values.bounds, schema["maxProperties"].as_i64());
    Some(Declared { of: Type::map(Type::String, values.of), bounds })
}

fn object(schema: &Value, name: &str) -> Declared {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let required: BTreeSet<&str> = required.iter().filter_map(Value::as_str).collect();
    let (mut types, mut fields) = (Vec::new(), Vec::new());
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let escaped = escape(key);
        let place = format!("{name}.{}", escaped.as_deref().unwrap_or_default());
        let Some(Declared { of, bounds }) = declared(property, Whole::IsAsSaid, &place) else { continue };
        types.extend(escaped.clone().map(|name| (name, of)));
        // What has a default is filled in here, and need not be sent.
        let must_be_sent = required.contains(key.as_str()) && property["default"].is_null();
        fields.push(Field { name: key.clone(), name_in_expressions: escaped, must_be_sent, bounds });
    }
    Declared { of: Type::object(name, types), bounds: Bounds::object(fields) }
}

fn string(schema: &Value) -> Declared {
    let format = schema["format"].as_str().unwrap_or_default();
    let of = match format {
        "byte" => Type::Bytes,
        "duration" => Type::Duration,
        "date" | "date-time" => Type::Timestamp,
        _ => Type::String,
    };
    let choices = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    let longest_choice = choices.iter().map(|choice| choice.as_str().map_or(0, str::len) as u64).max();
    Declared { of, bounds: Bounds::string(format, schema["maxLength"].as_i64(), longest_choice) }
}

/// The schema of a resource, in which kind, API version and names are described even where it does not say so.
fn with_names(schema: &Value) -> Cow<'_, Value> {
    let text = json!({"type": "string"});
    let properties = &schema["properties"];
    let metadata = &properties["metadata"];
    let is_text = |schema: &Value| schema["type"] == "string";
    let names = ["name", "generateName"];
    if ["kind", "apiVersion"].iter().all(|name| is_text(&properties[*name]))
        && metadata["type"] == "object"
        && names.iter().all(|name| is_text(&metadata["properties"][*name]))
    {
        return Cow::Borrowed(schema);
    }
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        properties["kind"] = text.clone();
        properties["apiVersion"] = text.clone();
        properties["metadata"] = json!({"type": "object", "properties": {"name": text, "generateName": text}});
    }
    Cow::Owned(schema)
}
