//! The document of OpenAPI 2 in protobuf, which kubectl, Helm and Argo CD ask for.
//!
//! Upstream: github.com/google/gnostic-models/openapiv2 (OpenAPIv2.proto, document.go)
//! Left out: what our own document never has: headers, forms, files, tags, licences, limits of numbers.
//!
//! Every piece comes as the JSON that the JSON document has, so that the two can't differ.

use serde_json::Value;

use super::version_2::Parts;

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, number: u8, message: Message) {
        self.bytes(number, &message.0);
    }

    /// A field of text, if the JSON has it.
    fn text(&mut self, number: u8, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u8, value: &Value) {
        value.as_array().into_iter().flatten().for_each(|item| self.text(number, item));
    }

    fn flag(&mut self, number: u8, value: &Value) {
        if value.as_bool() == Some(true) {
            self.varint(u64::from(number) << 3);
            self.0.push(1);
        }
    }

    fn wrapped(self, number: u8) -> Message {
        let mut outer = Message::default();
        outer.message(number, self);
        outer
    }

    /// A list entry of a name and what stands under it.
    fn named(&mut self, number: u8, name: &str, value: Message) {
        let mut entry = Message::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, value);
        self.message(number, entry);
    }

    /// The `x-` entries. JSON is YAML too.
    fn extensions(&mut self, number: u8, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
            self.named(number, name, any(value));
        }
    }
}

fn any(value: &Value) -> Message {
    let mut any = Message::default();
    any.bytes(2, value.to_string().as_bytes());
    any
}

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
    document.0
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
    let token: Value = serde_json::from_str(super::BEARER_TOKEN).expect("the JSON is our own");
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
    let mut responses = Message::default();
    for (code, value) in value["responses"].as_object().into_iter().flatten() {
        let mut response = Message::default();
        response.text(1, &value["description"]);
        if let Some(value) = value.get("schema") {
            response.message(2, schema(value).wrapped(1));
        }
        responses.named(1, code, response.wrapped(1));
    }
    operation.message(9, responses);
    operation.texts(10, &value["schemes"]);
    operation.extensions(13, value);
    operation
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
    if let Some(fields) = value["properties"].as_object() {
        let mut properties = Message::default();
        fields.iter().for_each(|(name, value)| properties.named(1, name, schema(value)));
        message.message(25, properties);
    }
    message.extensions(31, value);
    message
}
