//! What the author of a definition is warned of: formats of strings that nobody knows, so that nothing is checked.
//!
//! Upstream: apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go (WarningsOnCreate,
//!   WarningsOnUpdate), apiextensions-apiserver/pkg/apiserver/validation/formats.go
//! Left out: nothing; formats of what is no string are warned of since 1.36 only.

use serde_json::Value;

/// The formats that are known, without their dashes, which do not count.
const KNOWN: [&str; 27] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "quantity",
    "k8sshortname",
    "k8slongname",
];

/// Warnings for a new definition.
pub(super) fn of_new(definition: &Value) -> Vec<String> {
    unknown_formats(definition).into_iter().map(warning).collect()
}

/// Warnings for a changed definition: formats that were there before are not named again.
pub(super) fn of_change(definition: &Value, current: &Value) -> Vec<String> {
    let formats = unknown_formats(definition);
    if formats.is_empty() {
        return Vec::new();
    }
    let before = unknown_formats(current);
    formats.into_iter().filter(|format| !before.contains(format)).map(warning).collect()
}

fn warning(format: &str) -> String {
    format!("unrecognized format {format:?}")
}

/// Each once, in the order of the schemas.
fn unknown_formats(definition: &Value) -> Vec<&str> {
    let mut formats = Vec::new();
    for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
        collect(&version["schema"]["openAPIV3Schema"], &mut formats);
    }
    formats
}

fn collect<'a>(schema: &'a Value, formats: &mut Vec<&'a str>) {
    let Some(fields) = schema.as_object() else { return };
    if let Some(format) = fields.get("format").and_then(Value::as_str).filter(|format| !format.is_empty())
        && schema["type"] == "string"
        && !KNOWN.contains(&format.replace('-', "").as_str())
        && !formats.contains(&format)
    {
        formats.push(format);
    }
    // One schema, or several.
    for name in ["items", "allOf", "anyOf", "oneOf", "not"] {
        match fields.get(name) {
            Some(Value::Array(schemas)) => schemas.iter().for_each(|schema| collect(schema, formats)),
            Some(schema) => collect(schema, formats),
            None => {}
        }
    }
    for name in ["properties", "patternProperties", "definitions", "dependencies"] {
        fields.get(name).and_then(Value::as_object).into_iter().flatten().for_each(|(_, each)| collect(each, formats));
    }
    for name in ["additionalProperties", "additionalItems"] {
        if let Some(schema) = fields.get(name) {
            collect(schema, formats);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(formats: &[&str]) -> Value {
        let property = |format: &&str| ((*format).to_owned(), json!({"type": "string", "format": format}));
        let properties: serde_json::Map<String, Value> = formats.iter().map(property).collect();
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
        json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}})
    }

    #[test]
    fn a_format_that_nobody_knows_is_warned_of_once() {
        assert!(of_new(&definition(&["date-time", "ipv4", "k8s-short-name", "k8s-long-name", "uuid"])).is_empty());
        let mut twice = definition(&["ipv4", "ip", "my-format"]);
        let first = twice["spec"]["versions"][0].clone();
        twice["spec"]["versions"].as_array_mut().unwrap().push(first);
        assert_eq!(of_new(&twice), [r#"unrecognized format "ip""#, r#"unrecognized format "my-format""#]);
    }

    #[test]
    fn numbers_may_have_formats_of_their_own() {
        let mut numbers = definition(&[]);
        let schema = &mut numbers["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"] = json!({
            "a": {"type": "integer", "format": "int32"}, "b": {"type": "number", "format": "else"},
            "c": {"x-kubernetes-int-or-string": true, "format": "else"},
        });
        assert!(of_new(&numbers).is_empty());
    }

    #[test]
    fn formats_are_found_wherever_schemas_are() {
        for place in [
            json!({"items": {"type": "string", "format": "x"}}),
            json!({"anyOf": [{}, {"not": {"type": "string", "format": "x"}}]}),
            json!({"additionalProperties": {"type": "string", "format": "x"}}),
            json!({"properties": {"a": {"items": [{"type": "string", "format": "x"}]}}}),
        ] {
            let definition = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": place}}]}});
            assert_eq!(of_new(&definition), [r#"unrecognized format "x""#], "{definition}");
        }
    }

    #[test]
    fn a_change_warns_of_what_is_new() {
        assert!(of_change(&definition(&["x"]), &definition(&["x"])).is_empty());
        assert_eq!(of_change(&definition(&["x", "y"]), &definition(&["x"])), [r#"unrecognized format "y""#]);
        assert!(of_change(&definition(&[]), &definition(&["x"])).is_empty());
    }
}
