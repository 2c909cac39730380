//! A document of OpenAPI 3 in protobuf.
//!
//! Upstream: github.com/google/gnostic-models/openapiv3 (OpenAPIv3.proto, document.go)
//! Left out: what our own documents never have: servers, headers, links, examples, callbacks, limits of values.
//!
//! It is made from the JSON document, so that the two can't differ.

use serde_json::Value;

use super::super::message::Message;

/// The message of a whole document.
pub(super) fn document(json: &Value) -> Message {
    let mut document = Message::default();
    document.text(1, &json["openapi"]);
    let mut info = Message::default();
    info.text(1, &json["info"]["title"]);
    info.text(6, &json["info"]["version"]);
    document.message(2, info);
    document.message(4, Message::of_entries(1, &json["paths"], path_item));
    let mut components = Message::default();
    components.message(1, Message::of_entries(1, &json["components"]["schemas"], schema_or_reference));
    let schemes = &json["components"]["securitySchemes"];
    components.message(7, Message::of_entries(1, schemes, |scheme| security_scheme(scheme).wrapped(1)));
    document.message(5, components);
    document
}

fn security_scheme(value: &Value) -> Message {
    let mut scheme = Message::default();
    scheme.text(1, &value["type"]);
    scheme.text(2, &value["description"]);
    scheme.text(3, &value["name"]);
    scheme.text(4, &value["in"]);
    scheme
}

fn path_item(value: &Value) -> Message {
    let mut item = Message::default();
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (method, number) in methods.into_iter().zip(4..) {
        if let Some(value) = value.get(method) {
            item.message(number, operation(value));
        }
    }
    parameters(&mut item, 13, &value["parameters"]);
    item
}

fn operation(value: &Value) -> Message {
    let mut operation = Message::default();
    operation.texts(1, &value["tags"]);
    operation.text(3, &value["description"]);
    operation.text(5, &value["operationId"]);
    parameters(&mut operation, 6, &value["parameters"]);
    if let Some(value) = value.get("requestBody") {
        let mut body = Message::default();
        body.message(2, content(&value["content"]));
        body.flag(3, &value["required"]);
        operation.message(7, body.wrapped(1));
    }
    operation.message(8, Message::of_entries(2, &value["responses"], response));
    operation.extensions(13, value);
    operation
}

fn parameters(owner: &mut Message, number: u8, values: &Value) {
    for value in values.as_array().into_iter().flatten() {
        let mut parameter = Message::default();
        parameter.text(1, &value["name"]);
        parameter.text(2, &value["in"]);
        parameter.text(3, &value["description"]);
        parameter.flag(4, &value["required"]);
        parameter.message(10, schema_or_reference(&value["schema"]));
        owner.message(number, parameter.wrapped(1));
    }
}

fn response(value: &Value) -> Message {
    let mut response = Message::default();
    response.text(1, &value["description"]);
    if let Some(value) = value.get("content") {
        response.message(3, content(value));
    }
    response.wrapped(1)
}

fn content(value: &Value) -> Message {
    Message::of_entries(1, value, |value| schema_or_reference(&value["schema"]).wrapped(1))
}

fn schema_or_reference(value: &Value) -> Message {
    let Some(place) = value.get("$ref") else { return schema(value).wrapped(1) };
    let mut reference = Message::default();
    reference.text(1, place);
    reference.wrapped(2)
}

fn schema(value: &Value) -> Message {
    let mut schema = Message::default();
    schema.flag(20, &value["uniqueItems"]);
    schema.texts(23, &value["required"]);
    schema.text(25, &value["type"]);
    for (name, number) in [("allOf", 26), ("oneOf", 27)] {
        let parts = value[name].as_array().into_iter().flatten();
        parts.for_each(|part| schema.message(number, schema_or_reference(part)));
    }
    if let Some(value) = value.get("items") {
        schema.message(30, schema_or_reference(value).wrapped(1));
    }
    if let Some(value) = value.get("properties") {
        schema.message(31, Message::of_entries(1, value, schema_or_reference));
    }
    if let Some(value) = value.get("additionalProperties") {
        schema.message(32, schema_or_reference(value).wrapped(1));
    }
    if let Some(value) = value.get("default") {
        schema.message(33, default(value));
    }
    schema.text(34, &value["description"]);
    schema.text(35, &value["format"]);
    schema.extensions(36, value);
    schema
}

/// A number, a flag or a text; of an object, which has no place in the message, only that there is a default.
fn default(value: &Value) -> Message {
    let mut default = Message::default();
    match value {
        Value::Number(number) => default.double(1, number.as_f64().unwrap_or_default()),
        Value::Bool(flag) => default.boolean(2, *flag),
        text => default.text(3, text),
    }
    default
}
