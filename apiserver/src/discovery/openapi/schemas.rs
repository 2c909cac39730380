//! The schema table's types as OpenAPI schemas, in the words of either version.
//!
//! Upstream: the generated openapi of each API package, kube-openapi/pkg/builder3, kube-openapi/pkg/builder
//! Left out: the default `{}` of an object that Go holds by value, where only Go knows that it does; x-kubernetes-unions.

use std::{borrow::Cow, collections::BTreeSet};

use api::schema::{Field, ListType, Shape, Type, TypeId, Value as Kind, schema};
use serde_json::Value;

use super::{
    descriptions::{Descriptions, OfType},
    json::Json,
};

/// The version of OpenAPI that a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

/// A schema that a path refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Type(TypeId),
    Scalar(&'static Scalar),
}

/// A type that is no object with fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) name: &'static str,
    /// What stands beside the description, as JSON without the braces.
    v2: &'static str,
    v3: &'static str,
}

pub(super) static PATCH: Scalar =
    Scalar { name: "io.k8s.apimachinery.pkg.apis.meta.v1.Patch", v2: r#""type":"object""#, v3: r#""type":"object""# };
static QUANTITY: Scalar = Scalar {
    name: "io.k8s.apimachinery.pkg.api.resource.Quantity",
    v2: r#""type":"string""#,
    v3: r#""oneOf":[{"type":"string"},{"type":"number"}]"#,
};
static INT_OR_STRING: Scalar = Scalar {
    name: "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    v2: r#""type":"string","format":"int-or-string""#,
    v3: r#""format":"int-or-string","oneOf":[{"type":"integer"},{"type":"string"}]"#,
};
static TIME: Scalar = Scalar {
    name: "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    v2: r#""type":"string","format":"date-time""#,
    v3: r#""type":"string","format":"date-time""#,
};
static MICRO_TIME: Scalar = Scalar {
    name: "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
    v2: r#""type":"string","format":"date-time""#,
    v3: r#""type":"string","format":"date-time""#,
};
static RAW_EXTENSION: Scalar =
    Scalar { name: "io.k8s.apimachinery.pkg.runtime.RawExtension", v2: r#""type":"object""#, v3: r#""type":"object""# };
static FIELDS_V1: Scalar = Scalar {
    name: "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    v2: r#""type":"object""#,
    v3: r#""type":"object""#,
};
static ANY_JSON: Scalar =
    Scalar { name: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", v2: "", v3: "" };
static SCHEMA_OR_ARRAY: Scalar =
    Scalar { name: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", v2: "", v3: "" };
static SCHEMA_OR_BOOL: Scalar =
    Scalar { name: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", v2: "", v3: "" };
static SCHEMA_OR_STRINGS: Scalar = Scalar {
    name: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    v2: "",
    v3: "",
};

/// The schemas that a document refers to, with all that they refer to.
pub(super) struct Used<'a> {
    dialect: Dialect,
    descriptions: &'a Descriptions,
    types: BTreeSet<TypeId>,
    scalars: Vec<&'static Scalar>,
}

impl Dialect {
    fn prefix(self) -> &'static str {
        match self {
            Dialect::V2 => "#/definitions/",
            Dialect::V3 => "#/components/schemas/",
        }
    }
}

impl<'a> Used<'a> {
    pub(super) fn new(dialect: Dialect, descriptions: &'a Descriptions) -> Used<'a> {
        Used { dialect, descriptions, types: BTreeSet::new(), scalars: Vec::new() }
    }

    /// Writes `{"$ref": ...}`.
    pub(super) fn reference(&mut self, json: &mut Json, named: Named) {
        json.object(|json| self.reference_entry(json, named));
    }

    fn reference_entry(&mut self, json: &mut Json, named: Named) {
        let name = match named {
            Named::Type(type_id) => {
                self.types.insert(type_id);
                full_name(schema().get(type_id))
            }
            Named::Scalar(scalar) => {
                if !self.scalars.contains(&scalar) {
                    self.scalars.push(scalar);
                }
                scalar.name.to_owned()
            }
        };
        json.key("$ref").string(&format!("{}{name}", self.dialect.prefix()));
    }

    /// Every schema referred to so far and by those, each written by itself: name and JSON, sorted by name.
    pub(super) fn into_schemas(mut self) -> Vec<(String, String)> {
        let mut schemas = Vec::new();
        let mut open: Vec<TypeId> = self.types.iter().copied().collect();
        while let Some(type_id) = open.pop() {
            let before = self.types.clone();
            let one = schema().get(type_id);
            schemas.push((full_name(one), self.describe(one)));
            open.extend(self.types.difference(&before));
        }
        for scalar in &self.scalars {
            schemas.push((scalar.name.to_owned(), self.describe_scalar(scalar)));
        }
        schemas.sort();
        schemas
    }

    fn describe_scalar(&self, scalar: &Scalar) -> String {
        let rest = if self.dialect == Dialect::V2 { scalar.v2 } else { scalar.v3 };
        let mut json = Json::default();
        json.object(|json| {
            description(json, self.descriptions.of(scalar.name).own);
            if !rest.is_empty() {
                json.literal(rest);
            }
        });
        json.into_text()
    }

    fn describe(&mut self, one: &Type) -> String {
        let texts = self.descriptions.of(&full_name(one));
        let mut json = Json::default();
        json.object(|json| {
            description(json, texts.own);
            if !one.fields.is_empty() {
                json.key("properties").object(|json| {
                    for field in &one.fields {
                        json.key(field.name).object(|json| self.property(json, one, field, texts));
                    }
                });
            }
            let required: Vec<&str> = one.fields.iter().filter(|field| field.required).map(|each| each.name).collect();
            if !required.is_empty() {
                json.key("required").strings(&required);
            }
            json.key("type").string("object");
            if !one.kinds.is_empty() {
                json.key("x-kubernetes-group-version-kind").array(|json| {
                    for kind in &one.kinds {
                        group_version_kind(json, [kind.group, kind.version, kind.kind]);
                    }
                });
            }
            if one.atomic {
                json.key("x-kubernetes-map-type").string("atomic");
            }
        });
        json.into_text()
    }

    fn property(&mut self, json: &mut Json, one: &Type, field: &Field, texts: OfType<'_>) {
        let text = texts.field(field.name);
        match field.shape {
            Shape::One(kind) => {
                let default = default_of_field(one, field, kind);
                self.value(json, kind, default.as_deref(), text, has_extensions(field));
            }
            Shape::List(kind) => {
                description(json, text);
                json.key("items").object(|json| self.value(json, kind, default_of_element(kind), "", false));
                json.key("type").string("array");
            }
            Shape::Map(kind) => {
                json.key("additionalProperties")
                    .object(|json| self.value(json, kind, default_of_element(kind), "", false));
                description(json, text);
                json.key("type").string("object");
            }
            Shape::MapOfLists => {
                json.key("additionalProperties").object(|json| {
                    json.key("items").object(|json| self.value(json, Kind::String, Some("\"\""), "", false));
                    json.key("type").string("array");
                });
                description(json, text);
                json.key("type").string("object");
            }
        }
        extensions(json, field);
    }

    /// The schema of one value, without braces. A reference that something stands beside is wrapped in version 3.
    fn value(&mut self, json: &mut Json, kind: Kind, default: Option<&str>, text: &str, followed: bool) {
        let default = default.filter(|_| self.dialect == Dialect::V3);
        let (kind_name, format) = match kind {
            Kind::String => ("string", None),
            Kind::Bool => ("boolean", None),
            Kind::Int32 => ("integer", Some("int32")),
            Kind::Int64 => ("integer", Some("int64")),
            Kind::Double => ("number", Some("double")),
            Kind::Bytes => ("string", Some("byte")),
            other => {
                let named = named(other);
                let alone = text.is_empty() && default.is_none() && !followed;
                if alone || self.dialect == Dialect::V2 {
                    self.reference_entry(json, named);
                } else {
                    json.key("allOf").array(|json| self.reference(json, named));
                }
                if let Some(default) = default {
                    json.key("default").literal(default);
                }
                return description(json, text);
            }
        };
        if let Some(default) = default {
            json.key("default").literal(default);
        }
        description(json, text);
        if let Some(format) = format {
            json.key("format").string(format);
        }
        json.key("type").string(kind_name);
    }
}

fn named(kind: Kind) -> Named {
    match kind {
        Kind::Object(type_id) => Named::Type(type_id),
        Kind::Quantity => Named::Scalar(&QUANTITY),
        Kind::IntOrString => Named::Scalar(&INT_OR_STRING),
        Kind::Time => Named::Scalar(&TIME),
        Kind::MicroTime => Named::Scalar(&MICRO_TIME),
        Kind::Raw => Named::Scalar(&RAW_EXTENSION),
        Kind::FieldsV1 => Named::Scalar(&FIELDS_V1),
        Kind::SchemaOrArray => Named::Scalar(&SCHEMA_OR_ARRAY),
        Kind::SchemaOrBool => Named::Scalar(&SCHEMA_OR_BOOL),
        Kind::SchemaOrStrings => Named::Scalar(&SCHEMA_OR_STRINGS),
        Kind::Json | Kind::String | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double | Kind::Bytes => {
            Named::Scalar(&ANY_JSON)
        }
    }
}

/// What Go puts where nothing was said: an element of a list or map is never a pointer.
fn default_of_element(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Object(_) => Some("{}"),
        Kind::String => Some("\"\""),
        Kind::Bool => Some("false"),
        Kind::Int32 | Kind::Int64 | Kind::Double => Some("0"),
        _ => None,
    }
}

/// As [`default_of_element`] for a field. A required scalar is no pointer; of the objects that is known of an object's
/// three parts.
fn default_of_field(one: &Type, field: &Field, kind: Kind) -> Option<Cow<'static, str>> {
    if let Some(text) = field.default {
        return Some(Value::from(text).to_string().into());
    }
    match kind {
        Kind::Object(_) => {
            let part = !one.kinds.is_empty() && matches!(field.name, "metadata" | "spec" | "status");
            part.then_some("{}".into())
        }
        scalar if field.required && !field.keep_empty => default_of_element(scalar).map(Cow::Borrowed),
        _ => None,
    }
}

fn description(json: &mut Json, text: &str) {
    if !text.is_empty() {
        json.key("description").escaped_string(text);
    }
}

fn has_extensions(field: &Field) -> bool {
    field.atomic || field.patch.merge || field.patch.retain_keys || field.patch.replace
}

fn extensions(json: &mut Json, field: &Field) {
    if !field.list_keys.is_empty() {
        json.key("x-kubernetes-list-map-keys").strings(&field.list_keys);
    }
    let list = match field.list {
        ListType::Unset => None,
        ListType::Atomic => Some("atomic"),
        ListType::Set => Some("set"),
        ListType::Map => Some("map"),
    };
    if let Some(list) = list {
        json.key("x-kubernetes-list-type").string(list);
    }
    if field.atomic {
        json.key("x-kubernetes-map-type").string("atomic");
    }
    if let Some(key) = field.patch.merge_key {
        json.key("x-kubernetes-patch-merge-key").string(key);
    }
    let strategies =
        [(field.patch.merge, "merge"), (field.patch.retain_keys, "retainKeys"), (field.patch.replace, "replace")];
    let strategies: Vec<&str> = strategies.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
    if !strategies.is_empty() {
        json.key("x-kubernetes-patch-strategy").string(&strategies.join(","));
    }
}

pub(super) fn group_version_kind(json: &mut Json, [group, version, kind]: [&str; 3]) {
    json.object(|json| {
        json.key("group").string(group);
        json.key("kind").string(kind);
        json.key("version").string(version);
    });
}

/// The name that upstream's documents give a type of the table.
pub(super) fn full_name(one: &Type) -> String {
    let (package, _) = one.name.split_once('.').unwrap_or((one.name, ""));
    let before = match package {
        "meta" => "io.k8s.apimachinery.pkg.apis",
        "version" => "io.k8s.apimachinery.pkg",
        "apiextensions" => "io.k8s.apiextensions-apiserver.pkg.apis",
        "apiregistration" => "io.k8s.kube-aggregator.pkg.apis",
        _ => "io.k8s.api",
    };
    format!("{before}.{}", one.name)
}
