//! The schemas of custom resources, below their root.

use serde_json::{Value, json};

use super::{KIND, ROOT, check, check_field, version, with_schema};

/// A definition whose root is this schema is refused with these causes, which begin at the root.
#[track_caller]
fn check_root(root: Value, causes: &[&str]) {
    let causes: Vec<String> = causes.iter().map(|cause| format!("{ROOT}{cause}")).collect();
    check(KIND, with_schema(root), &causes.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn keywords_that_no_schema_may_have_are_named() {
    check_field(json!({"type": "string", "id": "x"}), &[".id: Forbidden: id is not supported"]);
    check_field(json!({"type": "string", "$ref": "#/x"}), &[".$ref: Forbidden: $ref is not supported"]);
    check_field(
        json!({"type": "object", "definitions": {"x": {"type": "strong"}}, "dependencies": {"x": ["y"]}}),
        &[
            ".definitions: Forbidden: definitions is not supported",
            ".dependencies: Forbidden: dependencies is not supported",
            ".definitions[x].type: Unsupported value: \"strong\": supported values: \"array\", \"boolean\", \
             \"integer\", \"number\", \"object\", \"string\"",
        ],
    );
    check_field(
        json!({"type": "object", "patternProperties": {"x": {"type": "string"}}}),
        &[".patternProperties: Forbidden: patternProperties is not supported"],
    );
    check_field(
        json!({"type": "array", "items": [{"type": "string"}], "additionalItems": true}),
        &[
            ".additionalItems: Forbidden: additionalItems is not supported",
            ".items: Forbidden: items must be a schema object and not an array",
        ],
    );
    check_field(
        json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
        &[".uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"],
    );
    check_field(
        json!({"type": "null"}),
        &[
            ".type: Unsupported value: \"null\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \
             \"object\", \"string\"",
            ".type: Forbidden: type cannot be set to null, use nullable as an alternative",
        ],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        &[".x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
    );
    check_root(
        json!({"type": "object", "not": {"$schema": "x"}}),
        &[": Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"],
    );
}

#[test]
fn properties_are_of_structs_and_additional_ones_of_maps() {
    let both = |additional: Value| json!({"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": additional});
    let exclusive = ".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive";
    check_field(both(json!({"type": "string"})), &[exclusive]);
    check_field(both(json!(false)), &[exclusive]);
    check_field(both(json!(true)), &[]);
    check_root(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        &[".additionalProperties: Forbidden: must not be used at the root"],
    );
}

#[test]
fn everything_described_has_a_type() {
    check_root(json!({}), &[".type: Required value: must not be empty at the root"]);
    check_root(json!({"type": "string"}), &[".type: Invalid value: \"string\": must be object at the root"]);
    check_root(
        json!({"type": "object", "nullable": true}),
        &[".nullable: Forbidden: nullable cannot be true at the root"],
    );
    check_field(json!({}), &[".type: Required value: must not be empty for specified object fields"]);
    check_field(json!({"type": "array"}), &[".items: Required value: must be specified"]);
    check_field(
        json!({"type": "array", "items": {"type": "object", "additionalProperties": {"description": "x"}}}),
        &[".items.additionalProperties.type: Required value: must not be empty for specified object fields"],
    );
    check_field(
        json!({"type": "array", "items": {"description": "x"}}),
        &[".items.type: Required value: must not be empty for specified array items"],
    );
    check_field(
        json!({"type": "string", "pattern": "^[a"}),
        &[".pattern: Invalid value: \"^[a\": must be a valid regular expression, but isn't: error parsing regexp: \
             missing closing ]: `[a`"],
    );
}

#[test]
fn conditions_say_nothing_of_structure() {
    check_field(
        json!({"type": "object", "properties": {"b": {"type": "string"}}, "anyOf": [{
            "type": "object", "title": "t", "description": "d", "default": {}, "nullable": true,
            "additionalProperties": {"minLength": 1}, "externalDocs": {"url": "u"},
            "x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-embedded-resource": true,
            "x-kubernetes-int-or-string": true, "x-kubernetes-list-type": "atomic", "x-kubernetes-map-type": "atomic",
            "x-kubernetes-validations": [{"rule": "true"}],
            "properties": {"b": {"nullable": true}, "metadata": {}}}]}),
        &[
            ".anyOf[0].additionalProperties: Forbidden: must be undefined to be structural",
            ".anyOf[0].default: Forbidden: must be undefined to be structural",
            ".anyOf[0].description: Forbidden: must be empty to be structural",
            ".anyOf[0].externalDocs: Forbidden: must be undefined to be structural",
            ".anyOf[0].nullable: Forbidden: must be false to be structural",
            ".anyOf[0].properties[b].nullable: Forbidden: must be false to be structural",
            ".anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
            ".anyOf[0].title: Forbidden: must be empty to be structural",
            ".anyOf[0].type: Forbidden: must be empty to be structural",
            ".anyOf[0].x-kubernetes-embedded-resource: Forbidden: must be false to be structural",
            ".anyOf[0].x-kubernetes-int-or-string: Forbidden: must be false to be structural",
            ".anyOf[0].x-kubernetes-list-type: Forbidden: must be undefined to be structural",
            ".anyOf[0].x-kubernetes-map-type: Forbidden: must be undefined to be structural",
            ".anyOf[0].x-kubernetes-preserve-unknown-fields: Forbidden: must be false to be structural",
            ".anyOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural",
            ".anyOf[0].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
            ".anyOf[0].type: Invalid value: \"object\": must be array if x-kubernetes-list-type is specified",
        ],
    );
    check_field(
        json!({"type": "object", "not": {"allOf": [{"items": {"pattern": "("}}]}}),
        &[".not.allOf[0].items.pattern: Invalid value: \"(\": must be a valid regular expression, but isn't: error \
             parsing regexp: missing closing ): `(`"],
    );
}

#[test]
fn what_the_roots_conditions_speak_of_is_described() {
    check_root(
        json!({"type": "object", "properties": {"a": {"type": "object"}, "b": {"type": "string"}},
               "oneOf": [{"properties": {"b": {"minLength": 1}}},
                         {"not": {"properties": {"a": {"properties": {"c": {}}}, "d": {"minimum": 1}}}}]}),
        &[
            ".properties[a].properties[c]: Required value: because it is defined in \
             spec.validation.openAPIV3Schema.oneOf[1].not.properties[a].properties[c]",
            ".properties[d]: Required value: because it is defined in \
             spec.validation.openAPIV3Schema.oneOf[1].not.properties[d]",
        ],
    );
}

#[test]
fn an_integer_or_string_may_spell_out_its_types_in_one_place() {
    let types = json!([{"type": "integer"}, {"type": "string"}]);
    check_field(json!({"x-kubernetes-int-or-string": true, "anyOf": types}), &[]);
    check_field(json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": types}, {"minLength": 1}]}), &[]);
    check_field(
        json!({"x-kubernetes-int-or-string": true, "allOf": [{"minLength": 1}, {"anyOf": types}]}),
        &[
            ".allOf[1].anyOf[0].type: Forbidden: must be empty to be structural",
            ".allOf[1].anyOf[1].type: Forbidden: must be empty to be structural",
        ],
    );
    check_field(
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "string"}, {"type": "integer"}]}),
        &[
            ".anyOf[0].type: Forbidden: must be empty to be structural",
            ".anyOf[1].type: Forbidden: must be empty to be structural",
        ],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-int-or-string": true, "x-kubernetes-embedded-resource": true,
               "x-kubernetes-preserve-unknown-fields": true}),
        &[
            ".x-kubernetes-embedded-resource: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
            ".x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string \
             is true",
        ],
    );
}

#[test]
fn resources_have_the_metadata_of_all() {
    let metadata = |metadata: Value| json!({"type": "object", "properties": {"metadata": metadata}});
    let more = ".properties[metadata]: Forbidden: must not specify anything other than name and generateName, but \
                metadata is implicitly specified";
    check_root(metadata(json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}})), &[]);
    check_root(metadata(json!({"type": "object", "properties": {"labels": {"type": "object"}}})), &[more]);
    check_root(metadata(json!({"type": "object", "description": "x"})), &[more]);
    check_root(
        json!({"type": "object", "properties": {
            "metadata": {"type": "string"}, "kind": {"type": "integer"}, "apiVersion": {"type": "object"}}}),
        &[
            ".properties[apiVersion].type: Invalid value: \"object\": must be string",
            ".properties[kind].type: Invalid value: \"integer\": must be string",
            ".properties[metadata].type: Invalid value: \"string\": must be object",
        ],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        &[".properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without \
             x-kubernetes-preserve-unknown-fields"],
    );
    check_field(
        json!({"type": "string", "x-kubernetes-embedded-resource": true,
               "x-kubernetes-preserve-unknown-fields": true}),
        &[".type: Invalid value: \"string\": must be object if x-kubernetes-embedded-resource is true"],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "additionalProperties": {"type": "string"},
               "x-kubernetes-preserve-unknown-fields": true}),
        &[".additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set"],
    );
    check_field(
        json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {
            "metadata": {"type": "object", "x-kubernetes-embedded-resource": true,
                         "x-kubernetes-preserve-unknown-fields": true}}}),
        &[".properties[metadata].x-kubernetes-embedded-resource: Forbidden: must not be used inside of resource meta"],
    );
}

#[test]
fn lists_and_maps_are_of_kinds_that_fit() {
    let list = |part: Value| {
        let mut list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}});
        json_patch::merge(&mut list, &part);
        list
    };
    check_field(list(json!({})), &[]);
    check_field(
        json!({"type": "string", "x-kubernetes-map-type": "x"}),
        &[
            ".type: Invalid value: \"string\": must be object if x-kubernetes-map-type is specified",
            ".x-kubernetes-map-type: Unsupported value: \"x\": supported values: \"atomic\", \"granular\"",
        ],
    );
    check_field(
        list(json!({"x-kubernetes-list-type": "x"})),
        &[
            ".x-kubernetes-list-type: Unsupported value: \"x\": supported values: \"atomic\", \"set\", \"map\"",
            ".x-kubernetes-list-type: Invalid value: \"x\": must be map if x-kubernetes-list-map-keys is non-empty",
        ],
    );
    check_field(
        list(json!({"x-kubernetes-list-type": null})),
        &[".x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"],
    );
    check_field(
        list(json!({"x-kubernetes-list-map-keys": null})),
        &[".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
    );
    check_field(
        list(json!({"items": {"type": "string"}})),
        &[".items.type: Invalid value: \"string\": must be object if parent array's x-kubernetes-list-type is map"],
    );
    check_field(
        list(json!({"x-kubernetes-list-map-keys": ["k", "k", "z"]})),
        &[
            ".x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"z\"]: must not contain duplicate entries",
            ".x-kubernetes-list-map-keys: Invalid value: [\"k\",\"k\",\"z\"]: entries must all be names of item \
             properties",
        ],
    );
    check_field(
        list(json!({"items": {"properties": {"k": {"type": "object"}}}})),
        &[".items.properties[k].type: Invalid value: \"object\": must be a scalar type if parent array's \
             x-kubernetes-list-type is map"],
    );
    check_field(
        list(json!({"items": {"nullable": true, "required": null, "properties": {"k": {"nullable": true}}}})),
        &[
            ".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map",
            ".items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must \
             have a default or be a required property",
            ".items.properties[k].nullable: Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be \
             nullable",
        ],
    );
    let set = |items: Value| json!({"type": "array", "x-kubernetes-list-type": "set", "items": items});
    check_field(set(json!({"type": "string"})), &[]);
    check_field(set(json!({"type": "object", "x-kubernetes-map-type": "atomic"})), &[]);
    check_field(
        set(json!({"type": "object"})),
        &[".items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with \
             x-kubernetes-list-type=set"],
    );
    check_field(
        set(json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"})),
        &[".items.x-kubernetes-list-type: Invalid value: \"set\": must be atomic as item of a list with \
             x-kubernetes-list-type=set"],
    );
}

#[test]
fn with_a_status_subresource_the_root_says_nothing_that_status_would_lose() {
    let status =
        |schema: Value| version(json!({"subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}));
    check(KIND, status(json!({"x-kubernetes-validations": [{"rule": "true"}], "required": ["spec"]})), &[]);
    check(
        KIND,
        status(json!({"maxProperties": 3})),
        &["spec.validation.openAPIV3Schema: Invalid value: {\"maxProperties\":3,\"type\":\"object\"}: only \
             [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength \
             Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example \
             XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status \
             subresource is enabled"],
    );
    check(
        KIND,
        status(json!({"type": "array", "items": {"type": "string"}})),
        &[
            "spec.validation.openAPIV3Schema.type: Invalid value: \"array\": only \"object\" is allowed as the type at \
             the root of the schema if the status subresource is enabled",
            "spec.validation.openAPIV3Schema.type: Invalid value: \"array\": must be object at the root",
        ],
    );
}

#[test]
fn rules_have_an_expression_and_what_they_say_is_one_line() {
    let rule = |rule: Value| {
        json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {
            "b": {"type": "object", "additionalProperties": {"type": "object", "properties": {"c": {"type": "string"}}}},
            "d.e": {"type": "string"}}})
    };
    let check = |part: Value, cause: &str| {
        let cause = format!(".x-kubernetes-validations[0].{cause}");
        check_field(rule(part), &[&cause]);
    };
    check(json!({"rule": " "}), "rule: Required value: rule is not specified");
    check(
        json!({"rule": "true", "message": " "}),
        "message: Invalid value: \" \": message must be non-empty if specified",
    );
    check(
        json!({"rule": "true", "message": "a\r\nb"}),
        "message: Invalid value: \"a\\r\\nb\": message must not contain line breaks",
    );
    check(
        json!({"rule": "true\n&& true"}),
        "message: Required value: message must be specified if rule contains line breaks",
    );
    check(
        json!({"rule": "true", "messageExpression": " "}),
        "messageExpression: Required value: messageExpression must be non-empty if specified",
    );
    check(
        json!({"rule": "true", "reason": "Because"}),
        "reason: Unsupported value: \"Because\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \
         \"FieldValueInvalid\", \"FieldValueRequired\"",
    );
    for path in [".b", ".b['x'].c", ".b.x.c", "['d.e']", ".b['it\\'s']"] {
        check_field(rule(json!({"rule": "true", "fieldPath": path})), &[]);
    }
    for path in ["b", ".c", ".b.x.d", ".b[x]", ".b['x'", ".b['x'.c", ".", ".b['\\y']", ".d.e"] {
        let cause = format!("fieldPath: Invalid value: {path:?}: fieldPath must be a valid path");
        check(json!({"rule": "true", "fieldPath": path}), &cause);
    }
    check_field(
        rule(json!({"rule": "true", "fieldPath": "\n"})),
        &[
            ".x-kubernetes-validations[0].fieldPath: Invalid value: \"\\n\": fieldPath must be non-empty if specified",
            ".x-kubernetes-validations[0].fieldPath: Invalid value: \"\\n\": fieldPath must not contain line breaks",
            ".x-kubernetes-validations[0].fieldPath: Invalid value: \"\\n\": fieldPath must be a valid path",
        ],
    );
}

#[test]
fn paths_that_lead_nowhere_in_a_wide_schema_are_all_told_without_reading_it_for_each() {
    let properties: serde_json::Map<String, Value> =
        (0..2000).map(|at| (format!("p{at}"), json!({"type": "string"}))).collect();
    let rules = vec![json!({"rule": "true", "fieldPath": ".x"}); 2000];
    let field = json!({"type": "object", "properties": properties, "x-kubernetes-validations": rules});
    let causes: Vec<String> = (0..2000)
        .map(|at| {
            format!(".x-kubernetes-validations[{at}].fieldPath: Invalid value: \".x\": fieldPath must be a valid path")
        })
        .collect();
    check_field(field, &causes.iter().map(String::as_str).collect::<Vec<_>>());
}
