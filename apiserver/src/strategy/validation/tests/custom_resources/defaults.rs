//! The defaults in schemas of custom resources.

use serde_json::{Value, json};

use super::{KIND, check, check_field, with_schema};

#[test]
fn a_default_is_as_its_schema_says() {
    check_field(json!({"type": "string", "default": "x", "minLength": 1}), &[]);
    check_field(
        json!({"type": "string", "default": 1}),
        &[".default: Invalid value: \"integer\":  in body must be of type string: \"integer\""],
    );
    check_field(
        json!({"type": "object", "default": {"b": ["x"]}, "properties": {
            "b": {"type": "array", "items": {"type": "string", "enum": ["y"]}, "default": "z"}}}),
        &[
            ".default.b[0]: Unsupported value: \"x\": supported values: \"y\"",
            ".properties[b].default: Invalid value: \"string\":  in body must be of type array: \"string\"",
        ],
    );
    check_field(
        json!({"type": "array", "items": {"type": "object", "required": ["b"], "default": {}}}),
        &[".items.default.b: Required value"],
    );
}

#[test]
fn nothing_in_a_default_would_be_dropped() {
    let unknown = |default: &str| format!(".default: Invalid value: {default}: must not have unknown fields");
    let known = json!({"b": {"type": "object", "additionalProperties": {"type": "object", "properties": {
        "c": {"type": "integer"}}}}});
    let with = |default: &Value| json!({"type": "object", "properties": known, "default": default});
    check_field(with(&json!({"b": {"x": {"c": 1}}})), &[]);
    for default in [json!({"x": 1}), json!({"b": {"x": {"d": 1}}})] {
        check_field(with(&default), &[&unknown(&default.to_string())]);
    }
    let list = |preserves: bool| {
        json!({"type": "array", "x-kubernetes-preserve-unknown-fields": preserves.then_some(true),
               "items": {"type": "object", "properties": {"k": {"type": "object"}}}, "default": [{"x": {"y": 1}}]})
    };
    check_field(list(true), &[]);
    check_field(list(false), &[&unknown(r#"[{"x":{"y":1}}]"#)]);
    check_field(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "default": {"x": {"y": 1}, "k": {}},
               "properties": {"k": {"type": "object"}}}),
        &[],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "default": {"k": {"y": 1}},
               "properties": {"k": {"type": "object"}}}),
        &[&unknown(r#"{"k":{"y":1}}"#)],
    );
}

#[test]
fn defaults_stand_neither_in_conditions_nor_in_what_every_resource_has() {
    check_field(
        json!({"type": "string", "anyOf": [{"default": "x"}]}),
        &[".anyOf[0].default: Forbidden: must be undefined to be structural"],
    );
    let root = |properties: Value| with_schema(json!({"type": "object", "properties": properties}));
    let path = "spec.validation.openAPIV3Schema.properties";
    check(
        KIND,
        root(json!({"metadata": {"type": "object", "default": {"name": "x"}},
                    "kind": {"type": "string", "default": "Foo"}})),
        &[
            &format!("{path}[kind].default: Forbidden: must not be set in top-level kind"),
            &format!("{path}[metadata].default: Forbidden: must not be set in top-level metadata"),
        ],
    );
    let resource = |metadata: Value| json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"metadata": metadata}});
    check_field(
        resource(json!({"type": "object", "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "string", "default": "x"}}}})),
        &[".properties[metadata].properties[labels].additionalProperties.default: Forbidden: must not be set inside \
             additionalProperties applying to object metadata"],
    );
    check_field(json!({"type": "object", "additionalProperties": {"type": "string", "default": "x"}}), &[]);
}

#[test]
fn a_resource_in_a_default_has_the_metadata_of_one() {
    let with = |default: Value| {
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
               "default": default})
    };
    check_field(with(json!({"apiVersion": "apps/v1", "kind": "Foo", "metadata": {"name": "x"}, "spec": {}})), &[]);
    check_field(with(json!({"x": 1})), &[".default.apiVersion: Required value", ".default.kind: Required value"]);
    check_field(
        with(json!({"apiVersion": 1, "kind": "Foo"})),
        &[".default.apiVersion: Invalid value: 1: must be a string"],
    );
    check_field(
        with(json!({"apiVersion": "v1", "kind": "Foo", "metadata": "x"})),
        &[".default.metadata: Invalid value: \"x\": json: cannot unmarshal string into Go value of type \
             v1.ObjectMeta"],
    );
    check_field(
        with(json!({"apiVersion": "a/b/c", "kind": "a b", "metadata": {"name": "a/b", "labels": {"a b": "c"}}})),
        &[
            ".default.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
            ".default.kind: Invalid value: \"a b\": may have mixed case, but should otherwise match: a DNS-1035 label \
             must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end \
             with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
             '[a-z]([-a-z0-9]*[a-z0-9])?')",
            ".default.metadata.name: Invalid value: \"a/b\": may not contain '/'",
            ".default.metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
             '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ],
    );
    check_field(
        json!({"type": "object", "additionalProperties": with(Value::Null), "default": {"b": {"kind": "Foo"}}}),
        &[".default[b].apiVersion: Required value"],
    );
}

#[test]
fn a_default_inside_metadata_makes_valid_metadata() {
    let with = |field: &str, schema: Value| {
        json!({"type": "array", "items": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
            "metadata": {"type": "object", "properties": {field: schema}}}}})
    };
    check_field(with("name", json!({"type": "string", "default": "x"})), &[]);
    let path = ".items.properties[metadata].properties";
    check_field(
        with("name", json!({"type": "string", "default": "%"})),
        &[&format!(
            "{path}[name].default: Invalid value: \"%\": must result in valid metadata: metadata.name: Invalid value: \
             \"%\": may not contain '%'"
        )],
    );
    check_field(
        with("finalizers", json!({"type": "array", "items": {"type": "string", "default": 5}})),
        &[&format!(
            "{path}[finalizers].items.default: Invalid value: 5: must result in valid metadata: metadata: Invalid \
             value: {{\"finalizers\":[5]}}: json: cannot unmarshal number into Go struct field ObjectMeta.finalizers \
             of type string"
        )],
    );
    check_field(
        with("name", json!({"type": "string", "default": "x", "minLength": 3})),
        &[&format!("{path}[name].default: Invalid value: \"x\":  in body should be at least 3 chars long")],
    );
}
