//! Documents of OpenAPI 3 in protobuf, as gnostic describes them, turned back into JSON.
//!
//! Upstream: github.com/google/gnostic-models/openapiv3/OpenAPIv3.proto
//! Left out: messages and fields that our documents have nothing for; a document that had would not come back whole.

use prost::{Message, Oneof};
use serde_json::{Value, json};

/// The JSON of a document.
pub fn read(bytes: &[u8]) -> Value {
    Document::decode(bytes).unwrap().json()
}

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    openapi: String,
    #[prost(message, required, tag = "2")]
    info: Info,
    #[prost(message, required, tag = "4")]
    paths: Paths,
    #[prost(message, required, tag = "5")]
    components: Components,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "6")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Components {
    #[prost(message, required, tag = "1")]
    schemas: Schemas,
    #[prost(message, required, tag = "7")]
    security_schemes: SecuritySchemes,
}

#[derive(Clone, PartialEq, Message)]
struct SecuritySchemeOrReference {
    #[prost(message, required, tag = "1")]
    security_scheme: SecurityScheme,
}

#[derive(Clone, PartialEq, Message)]
struct SecurityScheme {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    place: String,
}

#[derive(Clone, PartialEq, Message)]
struct PathItem {
    #[prost(message, optional, tag = "4")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "6")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "7")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    options: Option<Operation>,
    #[prost(message, optional, tag = "9")]
    head: Option<Operation>,
    #[prost(message, optional, tag = "10")]
    patch: Option<Operation>,
    #[prost(message, repeated, tag = "13")]
    parameters: Vec<ParameterOrReference>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, repeated, tag = "1")]
    tags: Vec<String>,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "5")]
    operation_id: String,
    #[prost(message, repeated, tag = "6")]
    parameters: Vec<ParameterOrReference>,
    #[prost(message, optional, tag = "7")]
    request_body: Option<RequestBodyOrReference>,
    #[prost(message, required, tag = "8")]
    responses: Responses,
    #[prost(message, repeated, tag = "13")]
    specification_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ParameterOrReference {
    #[prost(message, required, tag = "1")]
    parameter: Parameter,
}

#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, required, tag = "10")]
    schema: SchemaOrReference,
}

#[derive(Clone, PartialEq, Message)]
struct RequestBodyOrReference {
    #[prost(message, required, tag = "1")]
    request_body: RequestBody,
}

#[derive(Clone, PartialEq, Message)]
struct RequestBody {
    #[prost(message, required, tag = "2")]
    content: MediaTypes,
    #[prost(bool, tag = "3")]
    required: bool,
}

#[derive(Clone, PartialEq, Message)]
struct MediaType {
    #[prost(message, required, tag = "1")]
    schema: SchemaOrReference,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseOrReference {
    #[prost(message, required, tag = "1")]
    response: Response,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "3")]
    content: Option<MediaTypes>,
}

#[derive(Clone, PartialEq, Message)]
struct SchemaOrReference {
    #[prost(oneof = "Named", tags = "1, 2")]
    which: Option<Named>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Named {
    #[prost(message, tag = "1")]
    Schema(Box<Schema>),
    #[prost(message, tag = "2")]
    Reference(Reference),
}

#[derive(Clone, PartialEq, Message)]
struct Reference {
    #[prost(string, tag = "1")]
    place: String,
}

#[derive(Clone, PartialEq, Message)]
struct Schema {
    #[prost(bool, tag = "20")]
    unique_items: bool,
    #[prost(string, repeated, tag = "23")]
    required: Vec<String>,
    #[prost(string, tag = "25")]
    kind: String,
    #[prost(message, repeated, tag = "26")]
    all_of: Vec<SchemaOrReference>,
    #[prost(message, repeated, tag = "27")]
    one_of: Vec<SchemaOrReference>,
    #[prost(message, optional, tag = "30")]
    items: Option<ItemsItem>,
    #[prost(message, optional, tag = "31")]
    properties: Option<Schemas>,
    #[prost(message, optional, boxed, tag = "32")]
    additional_properties: Option<Box<AdditionalPropertiesItem>>,
    #[prost(message, optional, tag = "33")]
    default: Option<DefaultType>,
    #[prost(string, tag = "34")]
    description: String,
    #[prost(string, tag = "35")]
    format: String,
    #[prost(message, repeated, tag = "36")]
    specification_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ItemsItem {
    #[prost(message, repeated, tag = "1")]
    schema_or_reference: Vec<SchemaOrReference>,
}

#[derive(Clone, PartialEq, Message)]
struct AdditionalPropertiesItem {
    #[prost(message, required, tag = "1")]
    schema_or_reference: SchemaOrReference,
}

#[derive(Clone, PartialEq, Message)]
struct DefaultType {
    #[prost(oneof = "Scalar", tags = "1, 2, 3")]
    which: Option<Scalar>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Scalar {
    #[prost(double, tag = "1")]
    Number(f64),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(string, tag = "3")]
    Text(String),
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, required, tag = "2")]
    value: Any,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

/// A map: entries of a name and a value, which the map has under a number.
macro_rules! entries {
    ($entries:ident, $entry:ident, $value:ident, $tag:tt) => {
        #[derive(Clone, PartialEq, Message)]
        struct $entries {
            #[prost(message, repeated, tag = $tag)]
            entries: Vec<$entry>,
        }

        #[derive(Clone, PartialEq, Message)]
        struct $entry {
            #[prost(string, tag = "1")]
            name: String,
            #[prost(message, required, tag = "2")]
            value: $value,
        }

        impl $entries {
            fn json(&self) -> Value {
                self.entries.iter().map(|entry| (entry.name.clone(), entry.value.json())).collect()
            }
        }
    };
}

entries!(Paths, NamedPathItem, PathItem, "1");
entries!(MediaTypes, NamedMediaType, MediaType, "1");
entries!(Responses, NamedResponseOrReference, ResponseOrReference, "2");
entries!(Schemas, NamedSchemaOrReference, SchemaOrReference, "1");
entries!(SecuritySchemes, NamedSecuritySchemeOrReference, SecuritySchemeOrReference, "1");

/// An object of the fields that are there.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

fn flag(flag: bool) -> Value {
    if flag { true.into() } else { Value::Null }
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.collect();
    if items.is_empty() { Value::Null } else { items.into() }
}

fn extend(object: &mut Value, extensions: &[NamedAny]) {
    for extension in extensions {
        object[&extension.name] = serde_json::from_str(&extension.value.yaml).unwrap();
    }
}

impl Document {
    fn json(&self) -> Value {
        let components = &self.components;
        json!({
            "openapi": self.openapi,
            "info": {"title": self.info.title, "version": self.info.version},
            "paths": self.paths.json(),
            "components": {
                "schemas": components.schemas.json(), "securitySchemes": components.security_schemes.json(),
            },
        })
    }
}

impl SecuritySchemeOrReference {
    fn json(&self) -> Value {
        let scheme = &self.security_scheme;
        object([
            ("type", text(&scheme.kind)),
            ("description", text(&scheme.description)),
            ("name", text(&scheme.name)),
            ("in", text(&scheme.place)),
        ])
    }
}

impl PathItem {
    fn json(&self) -> Value {
        let operation = |operation: &Option<Operation>| operation.as_ref().map_or(Value::Null, Operation::json);
        object([
            ("get", operation(&self.get)),
            ("put", operation(&self.put)),
            ("post", operation(&self.post)),
            ("delete", operation(&self.delete)),
            ("options", operation(&self.options)),
            ("head", operation(&self.head)),
            ("patch", operation(&self.patch)),
            ("parameters", list(self.parameters.iter().map(ParameterOrReference::json))),
        ])
    }
}

impl Operation {
    fn json(&self) -> Value {
        let body = self.request_body.as_ref().map(|body| &body.request_body);
        let body = body.map(|body| object([("content", body.content.json()), ("required", flag(body.required))]));
        let mut json = object([
            ("tags", list(self.tags.iter().map(|tag| tag.as_str().into()))),
            ("description", text(&self.description)),
            ("operationId", text(&self.operation_id)),
            ("parameters", list(self.parameters.iter().map(ParameterOrReference::json))),
            ("requestBody", body.unwrap_or_default()),
            ("responses", self.responses.json()),
        ]);
        extend(&mut json, &self.specification_extension);
        json
    }
}

impl ParameterOrReference {
    fn json(&self) -> Value {
        let parameter = &self.parameter;
        object([
            ("name", text(&parameter.name)),
            ("in", text(&parameter.place)),
            ("description", text(&parameter.description)),
            ("required", flag(parameter.required)),
            ("schema", parameter.schema.json()),
        ])
    }
}

impl MediaType {
    fn json(&self) -> Value {
        json!({"schema": self.schema.json()})
    }
}

impl ResponseOrReference {
    fn json(&self) -> Value {
        let content = self.response.content.as_ref().map(MediaTypes::json);
        object([("description", text(&self.response.description)), ("content", content.unwrap_or_default())])
    }
}

impl SchemaOrReference {
    fn json(&self) -> Value {
        match self.which.as_ref().expect("one of the two") {
            Named::Schema(schema) => schema.json(),
            Named::Reference(reference) => json!({"$ref": reference.place}),
        }
    }
}

impl Schema {
    fn json(&self) -> Value {
        let items = self.items.as_ref().map(|items| items.schema_or_reference[0].json());
        let additional = self.additional_properties.as_ref().map(|additional| additional.schema_or_reference.json());
        let mut json = object([
            ("uniqueItems", flag(self.unique_items)),
            ("required", list(self.required.iter().map(|name| name.as_str().into()))),
            ("type", text(&self.kind)),
            ("allOf", list(self.all_of.iter().map(SchemaOrReference::json))),
            ("oneOf", list(self.one_of.iter().map(SchemaOrReference::json))),
            ("items", items.unwrap_or_default()),
            ("properties", self.properties.as_ref().map(Schemas::json).unwrap_or_default()),
            ("additionalProperties", additional.unwrap_or_default()),
            ("default", self.default.as_ref().map(DefaultType::json).unwrap_or_default()),
            ("description", text(&self.description)),
            ("format", text(&self.format)),
        ]);
        extend(&mut json, &self.specification_extension);
        json
    }
}

impl DefaultType {
    /// Nothing is what is left of an empty object. All our numbers are whole.
    fn json(&self) -> Value {
        match &self.which {
            None => json!({}),
            Some(Scalar::Number(number)) => json!(*number as i64),
            Some(Scalar::Boolean(flag)) => json!(flag),
            Some(Scalar::Text(text)) => json!(text),
        }
    }
}
