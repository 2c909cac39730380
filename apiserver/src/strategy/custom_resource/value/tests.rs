//! Values held against schemas.

use serde_json::json;

use super::*;

/// The value is refused by the schema with exactly these mistakes.
#[track_caller]
fn check(schema: Value, value: Value, expected: &[&str]) {
    let object = json!({"x": value});
    let root = Field::root(&object);
    let found: Vec<String> = mistakes(&root.child("x"), &schema).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{schema} {value}");
}

#[test]
fn values_are_of_the_type_that_is_asked_for() {
    check(
        json!({"type": "object"}),
        json!(1),
        &["x: Invalid value: \"integer\":  in body must be of type object: \"integer\""],
    );
    check(
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "boolean"}}}}),
        json!({"a": 1.5, "b": [true, "no"], "c": {}}),
        &[
            "x.a: Invalid value: \"number\": a in body must be of type string: \"number\"",
            "x.b[1]: Invalid value: \"string\": b[1] in body must be of type boolean: \"string\"",
        ],
    );
    check(json!({"type": "integer"}), json!(2.0), &[]);
    check(json!({"type": "number", "format": "double"}), json!(2), &[]);
    check(json!({"type": "integer", "format": "int32"}), json!(2), &[]);
    check(
        json!({"type": "integer"}),
        json!(2.5),
        &["x: Invalid value: \"number\":  in body must be of type integer: \"number\""],
    );
    check(
        json!({"type": "string"}),
        json!(null),
        &["x: Invalid value: \"null\":  in body must be of type string: \"null\""],
    );
    check(json!({"type": "string", "nullable": true}), json!(null), &[]);
    let either = json!({"x-kubernetes-int-or-string": true});
    check(either.clone(), json!("a"), &[]);
    check(either.clone(), json!(1), &[]);
    check(
        either,
        json!(true),
        &["x: Invalid value: \"boolean\":  in body must be of type integer,string: \"boolean\""],
    );
    check(json!({"x-kubernetes-preserve-unknown-fields": true}), json!([{"a": null}]), &[]);
}

#[test]
fn strings_and_numbers_keep_within_their_bounds() {
    check(json!({"type": "string", "maxLength": 2}), json!("\u{e4}bc"), &["x: Too long: may not be more than 2 bytes"]);
    check(json!({"type": "string", "maxLength": 2}), json!("\u{e4}b"), &[]);
    check(
        json!({"type": "string", "minLength": 1}),
        json!(""),
        &["x: Invalid value: \"\":  in body should be at least 1 chars long"],
    );
    check(
        json!({"type": "string", "pattern": "^a"}),
        json!("b"),
        &["x: Invalid value: \"b\":  in body should match '^a'"],
    );
    check(
        json!({"type": "string", "format": "ipv4"}),
        json!("x"),
        &["x: Invalid value: \"x\":  in body must be of type ipv4: \"x\""],
    );
    check(json!({"type": "string", "format": "no-format"}), json!("x"), &[]);
    let bounds = json!({"type": "number", "minimum": 1, "maximum": 2, "multipleOf": 0.5});
    check(bounds.clone(), json!(1.5), &[]);
    check(
        bounds.clone(),
        json!(0.7),
        &[
            "x: Invalid value: 0.7:  in body should be a multiple of 0.5",
            "x: Invalid value: 0.7:  in body should be greater than or equal to 1",
        ],
    );
    check(bounds, json!(3), &["x: Invalid value: 3:  in body should be less than or equal to 2"]);
    let exclusive =
        json!({"type": "integer", "minimum": 1, "exclusiveMinimum": true, "maximum": 3, "exclusiveMaximum": true});
    check(exclusive.clone(), json!(2), &[]);
    check(exclusive.clone(), json!(1), &["x: Invalid value: 1:  in body should be greater than 1"]);
    check(exclusive, json!(3), &["x: Invalid value: 3:  in body should be less than 3"]);
    check(
        json!({"enum": ["a", 1, true]}),
        json!("b"),
        &["x: Unsupported value: \"b\": supported values: \"a\", \"1\", \"true\""],
    );
    check(json!({"enum": ["a", 1]}), json!(1.0), &[]);
}

#[test]
fn lists_and_objects_have_what_they_must() {
    let few = json!({"type": "array", "minItems": 1, "maxItems": 2});
    check(few.clone(), json!([]), &["x: Invalid value: 0:  in body should have at least 1 items"]);
    check(few, json!([1, 2, 3]), &["x: Too many: 3: must have at most 2 items"]);
    let few = json!({"type": "object", "minProperties": 1, "maxProperties": 2});
    check(few.clone(), json!({}), &["x: Invalid value: 0:  in body should have at least 1 properties"]);
    check(few, json!({"a": 1, "b": 2, "c": 3}), &["x: Too many: 3: must have at most 2 items"]);
    let required =
        json!({"type": "object", "required": ["a"], "properties": {"b": {"type": "object", "required": ["c"]}}});
    check(required, json!({"b": {}}), &["x.b.c: Required value", "x.a: Required value"]);
    check(
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"a": "b", "c": 1}),
        &["x.c: Invalid value: \"integer\": .c in body must be of type string: \"integer\""],
    );
    check(
        json!({"type": "object", "additionalProperties": false}),
        json!({"a": 1}),
        &["x: Invalid value: \"a\": .a in body is a forbidden property"],
    );
}

#[test]
fn of_alternatives_that_all_fail_the_best_is_reported() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"], "properties": {"c": {"minimum": 1}}}]});
    check(schema.clone(), json!({"a": "x"}), &[]);
    check(
        schema,
        json!({"c": 2}),
        &["x: Invalid value: \"\": \"\" must validate at least one schema (anyOf)", "x.b: Required value"],
    );
    let one = json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    check(one.clone(), json!({"a": 1}), &[]);
    check(
        one.clone(),
        json!({"a": 1, "b": 1}),
        &["x: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). Found 2 valid alternatives"],
    );
    check(
        one,
        json!({}),
        &[
            "x: Invalid value: \"\": \"\" must validate one and only one schema (oneOf). Found none valid",
            "x.a: Required value",
        ],
    );
    check(
        json!({"allOf": [{"minimum": 3}, {"maximum": 1}]}),
        json!(2),
        &[
            "x: Invalid value: 2:  in body should be greater than or equal to 3",
            "x: Invalid value: 2:  in body should be less than or equal to 1",
            "x: Invalid value: \"\": \"\" must validate all the schemas (allOf). None validated",
        ],
    );
    check(
        json!({"not": {"minimum": 1}}),
        json!(2),
        &["x: Invalid value: \"\": \"\" must not validate the schema (not)"],
    );
}

#[test]
fn the_items_of_a_long_list_ask_for_a_pattern_that_is_compiled_once() {
    let items = json!({"type": "string", "pattern": r"^\pL{900}$"});
    let list: Vec<&str> = vec!["a"; 2000];
    let object = json!({"x": list});
    let found = mistakes(&Field::root(&object).child("x"), &json!({"type": "array", "items": items}));
    assert_eq!(found.len(), 2000);
}

#[test]
fn all_of_very_many_mistakes_are_found_each_once() {
    let twice = json!({"type": "array", "items": {"type": "string", "allOf": [{"minimum": 2}, {"minimum": 2}]}});
    let object = json!({"x": vec![1; 50_000]});
    let found = mistakes(&Field::root(&object).child("x"), &twice);
    assert_eq!(found.iter().filter(|mistake| mistake.kind == ErrorType::TypeInvalid).count(), 50_000);
    assert_eq!(found.iter().filter(|mistake| mistake.detail.contains("equal to 2")).count(), 50_000);
}
