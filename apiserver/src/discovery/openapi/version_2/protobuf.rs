//! The document of OpenAPI 2 in protobuf, which kubectl, Helm and Argo CD ask for.
//!
//! Upstream: github.com/google/gnostic-models/openapiv2 (OpenAPIv2.proto, document.go)
//! Left out: what our own document never has: headers, forms, files, tags, licences, limits of numbers.
//!
//! Every piece comes as the JSON that the JSON document has, so that the two can't differ.

use serde_json::Value;

use super::{
    super::{BEARER_TOKEN, message::Message},
    Parts,
};

/// The whole document.
pub(super) fn document(parts: Parts, title: &str, version: &str) -> Vec<u8> {
    let mut document = Message::default();
    document.bytes(1, b"2.0");
    let mut info = Message::default();
    info.bytes(1, title.as_bytes());
    info.bytes(2, version.as_bytes());
    document.message(2, info);
    document.message(8, entries(2, parts.paths, path_item));
    document.message(9, entries(1, parts.definitions, schema));
    document.message(12, security_requirement());
    document.message(13, security_definitions());
    document.into_bytes()
}

fn entries(number: u8, entries: Vec<(String, String)>, turn: fn(&Value) -> Message) -> Message {
    let mut all = Message::default();
    for (name, text) in entries {
        let value: Value = serde_json::from_str(&text).expect("the JSON is our own");
        all.named(number, &name, turn(&value));
    }
    all
}

fn security_requirement() -> Message {
    let mut requirement = Message::default();
    requirement.named(1, "BearerToken", Message::default());
    requirement
}

fn security_definitions() -> Message {
    let token: Value = serde_json::from_str(BEARER_TOKEN).expect("the JSON is our own");
    let mut key = Message::default();
    key.text(1, &token["type"]);
    key.text(2, &token["name"]);
    key.text(3, &token["in"]);
    key.text(4, &token["description"]);
    let mut definitions = Message::default();
    definitions.named(1, "BearerToken", key.wrapped(2));
    definitions
}

fn path_item(value: &Value) -> Message {
    let mut item = Message::default();
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (method, number) in methods.into_iter().zip(2..) {
        if let Some(value) = value.get(method) {
            item.message(number, operation(value));
        }
    }
    parameters(&mut item, 9, &value["parameters"]);
    item
}

fn operation(value: &Value) -> Message {
    let mut operation = Message::default();
    operation.texts(1, &value["tags"]);
    operation.text(3, &value["description"]);
    operation.text(5, &value["operationId"]);
    operation.texts(6, &value["produces"]);
    operation.texts(7, &value["consumes"]);
    parameters(&mut operation, 8, &value["parameters"]);
    operation.message(9, Message::of_entries(1, &value["responses"], response));
    operation.texts(10, &value["schemes"]);
    operation.extensions(13, value);
    operation
}

fn response(value: &Value) -> Message {
    let mut response = Message::default();
    response.text(1, &value["description"]);
    if let Some(value) = value.get("schema") {
        response.message(2, schema(value).wrapped(1));
    }
    response.wrapped(1)
}

fn parameters(owner: &mut Message, number: u8, values: &Value) {
    for value in values.as_array().into_iter().flatten() {
        let parameter = match value["in"].as_str() {
            Some("body") => {
                let mut body = Message::default();
                body.text(2, &value["name"]);
                body.text(3, &value["in"]);
                body.flag(4, &value["required"]);
                body.message(5, schema(&value["schema"]));
                body.wrapped(1)
            }
            Some("path") => path_parameter(value).wrapped(4).wrapped(2),
            _ => query_parameter(value).wrapped(3).wrapped(2),
        };
        owner.message(number, parameter.wrapped(1));
    }
}

fn query_parameter(value: &Value) -> Message {
    let mut parameter = Message::default();
    parameter.text(2, &value["in"]);
    parameter.text(3, &value["description"]);
    parameter.text(4, &value["name"]);
    parameter.text(6, &value["type"]);
    parameter.flag(20, &value["uniqueItems"]);
    parameter
}

fn path_parameter(value: &Value) -> Message {
    let mut parameter = Message::default();
    parameter.flag(1, &value["required"]);
    parameter.text(2, &value["in"]);
    parameter.text(3, &value["description"]);
    parameter.text(4, &value["name"]);
    parameter.text(5, &value["type"]);
    parameter.flag(19, &value["uniqueItems"]);
    parameter
}

fn schema(value: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &value["$ref"]);
    message.text(2, &value["format"]);
    message.text(4, &value["description"]);
    message.texts(19, &value["required"]);
    if let Some(value) = value.get("additionalProperties") {
        message.message(21, schema(value).wrapped(1));
    }
    if let Some(kind) = value["type"].as_str() {
        let mut kinds = Message::default();
        kinds.bytes(1, kind.as_bytes());
        message.message(22, kinds);
    }
    if let Some(value) = value.get("items") {
        message.message(23, schema(value).wrapped(1));
    }
    if let Some(fields) = value.get("properties") {
        message.message(25, Message::of_entries(1, fields, schema));
    }
    message.extensions(31, value);
    message
}
