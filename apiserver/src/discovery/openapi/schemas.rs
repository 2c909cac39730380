//! The schema table's types as OpenAPI schemas.
//!
//! Upstream: the generated openapi of each API package, kube-openapi/pkg/builder3
//! Left out: descriptions, formats of strings, defaults.

use std::collections::{BTreeMap, BTreeSet};

use api::schema::{Field, ListType, Shape, Type, TypeId, Value as Kind, schema};
use serde_json::{Map, Value, json};

/// The types that a document refers to, with all that they refer to.
#[derive(Default)]
pub(super) struct Used {
    types: BTreeSet<TypeId>,
    scalars: BTreeMap<&'static str, Value>,
}

impl Used {
    /// A reference to a kind's schema; any object when the table lacks the kind.
    pub(super) fn kind(&mut self, group: &str, version: &str, kind: &str) -> Value {
        match schema().kind(group, version, kind) {
            Some(type_id) => self.object(type_id),
            None => json!({"type": "object"}),
        }
    }

    /// The schemas by name.
    pub(super) fn into_schemas(mut self) -> Map<String, Value> {
        let mut schemas = BTreeMap::new();
        let mut open: Vec<TypeId> = self.types.iter().copied().collect();
        while let Some(type_id) = open.pop() {
            let one = schema().get(type_id);
            let before = self.types.clone();
            schemas.insert(full_name(one), self.describe(one));
            open.extend(self.types.difference(&before));
        }
        let scalars = self.scalars.into_iter().map(|(name, value)| (name.to_owned(), value));
        schemas.into_iter().chain(scalars).collect()
    }

    fn object(&mut self, type_id: TypeId) -> Value {
        self.types.insert(type_id);
        reference(&full_name(schema().get(type_id)))
    }

    fn describe(&mut self, one: &Type) -> Value {
        let properties: Map<String, Value> =
            one.fields.iter().map(|field| (field.name.to_owned(), self.property(field))).collect();
        let mut described = json!({"type": "object"});
        if !properties.is_empty() {
            described["properties"] = properties.into();
        }
        let required: Vec<&str> = one.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        if !required.is_empty() {
            described["required"] = json!(required);
        }
        if one.atomic {
            described["x-kubernetes-map-type"] = "atomic".into();
        }
        if !one.kinds.is_empty() {
            let kinds = one.kinds.iter();
            let kinds = kinds.map(|kind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind}));
            described["x-kubernetes-group-version-kind"] = kinds.collect();
        }
        described
    }

    fn property(&mut self, field: &Field) -> Value {
        let mut property = match field.shape {
            Shape::One(kind) => self.value(kind),
            Shape::List(kind) => json!({"type": "array", "items": self.value(kind)}),
            Shape::Map(kind) => json!({"type": "object", "additionalProperties": self.value(kind)}),
            Shape::MapOfLists => {
                let strings = json!({"type": "array", "items": {"type": "string"}});
                json!({"type": "object", "additionalProperties": strings})
            }
        };
        let list = match field.list {
            ListType::Unset => None,
            ListType::Atomic => Some("atomic"),
            ListType::Set => Some("set"),
            ListType::Map => Some("map"),
        };
        if let Some(list) = list {
            property["x-kubernetes-list-type"] = list.into();
        }
        if !field.list_keys.is_empty() {
            property["x-kubernetes-list-map-keys"] = json!(field.list_keys);
        }
        if field.atomic {
            property["x-kubernetes-map-type"] = "atomic".into();
        }
        if let Some(key) = field.patch.merge_key {
            property["x-kubernetes-patch-merge-key"] = key.into();
        }
        let strategies = [(field.patch.merge, "merge"), (field.patch.retain_keys, "retainKeys")];
        let strategies = strategies.into_iter().chain([(field.patch.replace, "replace")]);
        let strategies: Vec<&str> = strategies.filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
        if !strategies.is_empty() {
            property["x-kubernetes-patch-strategy"] = strategies.join(",").into();
        }
        property
    }

    fn value(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Object(type_id) => self.object(type_id),
            Kind::String => json!({"type": "string"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Int32 => json!({"type": "integer", "format": "int32"}),
            Kind::Int64 => json!({"type": "integer", "format": "int64"}),
            Kind::Double => json!({"type": "number", "format": "double"}),
            Kind::Bytes => json!({"type": "string", "format": "byte"}),
            Kind::Quantity => self.scalar(
                "io.k8s.apimachinery.pkg.api.resource.Quantity",
                json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            ),
            Kind::IntOrString => self.scalar(
                "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            ),
            Kind::Time => self
                .scalar("io.k8s.apimachinery.pkg.apis.meta.v1.Time", json!({"type": "string", "format": "date-time"})),
            Kind::MicroTime => self.scalar(
                "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
                json!({"type": "string", "format": "date-time"}),
            ),
            Kind::Raw => self.scalar("io.k8s.apimachinery.pkg.runtime.RawExtension", json!({"type": "object"})),
            Kind::FieldsV1 => self.scalar("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"type": "object"})),
            Kind::Json | Kind::SchemaOrArray | Kind::SchemaOrBool | Kind::SchemaOrStrings => json!({}),
        }
    }

    fn scalar(&mut self, name: &'static str, described: Value) -> Value {
        self.scalars.insert(name, described);
        reference(name)
    }
}

/// A reference as upstream writes it, so that other keys may stand beside it.
fn reference(name: &str) -> Value {
    json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]})
}

/// The name that upstream's documents give a type of the table.
fn full_name(one: &Type) -> String {
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
