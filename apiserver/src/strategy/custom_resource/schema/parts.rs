//! The schemas inside a schema, and whether all of them can be read as one structural schema.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/convert.go (NewStructural),
//!   apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (SchemaHas)
//! Left out: a type of its own for structural schemas; the rules read the JSON.

use serde_json::Value;

/// Whether the schema or one inside it is as `check` says.
pub(in crate::strategy) fn any(schema: &Value, check: &dyn Fn(&Value) -> bool) -> bool {
    let in_list = |list: &Value| list.as_array().into_iter().flatten().any(|each| any(each, check));
    let in_map = |map: &Value| {
        let entries = map.as_object().into_iter().flatten();
        entries.filter(|(_, each)| each.is_object()).any(|(_, each)| any(each, check))
    };
    check(schema)
        || ["not", "items", "additionalProperties", "additionalItems"]
            .iter()
            .any(|name| schema[*name].is_object() && any(&schema[*name], check))
        || ["items", "allOf", "anyOf", "oneOf"].iter().any(|name| in_list(&schema[*name]))
        || ["properties", "patternProperties", "definitions", "dependencies"].iter().any(|name| in_map(&schema[*name]))
}

/// Why a schema cannot be read as a structural one: the first thing in it that such a schema has no place for.
pub(in crate::strategy) fn unsupported(schema: &Value) -> Option<&'static str> {
    let text = |name: &str| schema[name].as_str().is_some_and(|text| !text.is_empty());
    let has = |name: &str| !schema[name].is_null();
    let own = [
        (text("id"), "OpenAPIV3Schema 'id' is not supported"),
        (text("$schema"), "OpenAPIV3Schema 'schema' is not supported"),
        (text("$ref"), "OpenAPIV3Schema '$ref' is not supported"),
        (has("patternProperties"), "OpenAPIV3Schema 'patternProperties' is not supported"),
        (has("dependencies"), "OpenAPIV3Schema 'dependencies' is not supported"),
        (has("additionalItems"), "OpenAPIV3Schema 'additionalItems' is not supported"),
        (has("definitions"), "OpenAPIV3Schema 'definitions' is not supported"),
        (schema["items"].is_array(), "OpenAPIV3Schema 'items' must be a schema, but is an array"),
        (
            schema["x-kubernetes-preserve-unknown-fields"] == false,
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined",
        ),
    ];
    let in_list = |name: &str| schema[name].as_array().into_iter().flatten().find_map(unsupported);
    let inside = |name: &str| Some(&schema[name]).filter(|each| each.is_object()).and_then(unsupported);
    own.into_iter()
        .find_map(|(is_there, why)| is_there.then_some(why))
        .or_else(|| inside("not"))
        .or_else(|| ["allOf", "anyOf", "oneOf"].into_iter().find_map(in_list))
        .or_else(|| inside("additionalProperties"))
        .or_else(|| inside("items"))
        .or_else(|| schema["properties"].as_object()?.values().find_map(unsupported))
}
