//! The schema table: every built-in type with its fields, list kinds, merge keys and protobuf numbers.
//!
//! Upstream: api/openapi-spec, the generated.proto of each API package, struct tags (patchStrategy, patchMergeKey)
//! Left out: descriptions (k8s-openapi has them) and what validation says about values.
//!
//! Decoding, pruning, patches, protobuf and OpenAPI all read this one table. It is generated (`api/generator`) into
//! `schema/types.txt` and read once, on first use. A line without indentation begins a type, the lines below it are its
//! fields:
//!
//! ```text
//! core.v1.Pod kind=/v1/Pod
//!  metadata meta.v1.ObjectMeta 1
//! core.v1.Container
//!  env []core.v1.EnvVar 7 list=map:name patch=merge:name
//!  name! string 1
//! ```
//!
//! A field has its JSON name (`!`: required), its type (`[]` list of, `{}` map from strings to), and its protobuf
//! number: `2.1` is field 1 of a message that protobuf keeps in field 2 and JSON inlines; `-` is not in protobuf.

mod table;

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// A type of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u16);

/// All types.
#[derive(Debug)]
pub struct Schema {
    /// Sorted by name.
    types: Vec<Type>,
    kinds: FxHashMap<(&'static str, &'static str, &'static str), TypeId>,
}

/// A type whose JSON is an object with known fields.
#[derive(Debug)]
pub struct Type {
    /// The name in the table: `core.v1.Pod`, `meta.v1.ObjectMeta`.
    pub name: &'static str,
    /// The kinds it is: one for most objects, many for DeleteOptions, none for the types inside objects.
    pub kinds: Vec<Kind>,
    /// Merges treat the whole object as one value (x-kubernetes-map-type: atomic).
    pub atomic: bool,
    /// Unknown fields are kept: the shell of custom resources, whose own schema says what they have.
    pub open: bool,
    /// Sorted by name.
    pub fields: Vec<Field>,
}

/// A group, version and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
}

#[derive(Debug)]
pub struct Field {
    /// As in JSON.
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    pub list: ListType,
    /// The fields that identify an element of a `ListType::Map`; else empty.
    pub list_keys: Vec<&'static str>,
    pub patch: PatchStrategy,
    /// A map or object that merges treat as one value.
    pub atomic: bool,
    /// What an absent list key counts as.
    pub default: Option<&'static str>,
    /// In Go the field is a pointer, or is written even when empty: an empty value says something an absent one does not.
    pub keep_empty: bool,
    /// The way to the field in protobuf: its number, after those of the messages that JSON inlines; unused steps at the
    /// end are 0, and all are 0 when protobuf does not have the field.
    pub tags: [u8; 3],
}

/// A value, a list, a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    One(Value),
    List(Value),
    Map(Value),
    /// A map to lists of strings (`extra` of a user).
    MapOfLists,
}

/// What a single value can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Object(TypeId),
    String,
    Bool,
    Int32,
    Int64,
    Double,
    /// Base64 in JSON.
    Bytes,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// runtime.RawExtension: any JSON, meant to be an object.
    Raw,
    /// The tree of a managed fields entry.
    FieldsV1,
    /// apiextensions' JSON: any JSON.
    Json,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrStrings,
}

/// How server-side apply treats a list (x-kubernetes-list-type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListType {
    /// Not said, which means atomic.
    #[default]
    Unset,
    Atomic,
    Set,
    /// Elements are identified by `list_keys`.
    Map,
}

/// How a strategic merge patch treats a field (patchStrategy, patchMergeKey).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PatchStrategy {
    /// Lists merge by element; else they are replaced.
    pub merge: bool,
    /// The patch says with `$retainKeys` which fields stay.
    pub retain_keys: bool,
    /// The map is replaced as a whole.
    pub replace: bool,
    /// The field that identifies an element; without it elements are scalars.
    pub merge_key: Option<&'static str>,
}

/// The table of all built-in types. The first call reads it (a few milliseconds); later ones cost nothing.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(table::load);
    &SCHEMA
}

impl Schema {
    /// The type of a kind, if it is built in. The core group is "".
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        // The key's strings are 'static in the map's type only; looking up needs just equal text.
        self.types_of_kind(group, version, kind)
    }

    fn types_of_kind<'a>(&'a self, group: &'a str, version: &'a str, kind: &'a str) -> Option<TypeId> {
        let kinds: &'a FxHashMap<(&'a str, &'a str, &'a str), TypeId> = &self.kinds;
        kinds.get(&(group, version, kind)).copied()
    }

    /// The type with this name in the table: `core.v1.PodSpec`.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        let index = self.types.binary_search_by(|one| one.name.cmp(name)).ok()?;
        Some(TypeId(index as u16))
    }

    /// The shell of a custom resource: apiVersion, kind and metadata are typed, everything else is kept as it is.
    pub fn custom_resource(&self) -> TypeId {
        self.named(table::CUSTOM_RESOURCE).expect("the table reader adds it")
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[usize::from(id.0)]
    }

    /// Every type, sorted by name.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(index, one)| (TypeId(index as u16), one))
    }
}

impl Type {
    /// The field with this JSON name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.field_index(name).map(|index| &self.fields[index])
    }

    pub(crate) fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.binary_search_by(|field| field.name.cmp(name)).ok()
    }

    /// The name without its package: `Pod`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The name in Go's error messages: `v1.Pod`.
    pub fn go_name(&self) -> &'static str {
        match self.name.rmatch_indices('.').nth(1) {
            Some((dot, _)) => &self.name[dot + 1..],
            None => self.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_kinds_fields_and_merge_keys() {
        let schema = schema();
        let pod = schema.get(schema.kind("", "v1", "Pod").unwrap());
        assert_eq!((pod.name, pod.short_name(), pod.go_name()), ("core.v1.Pod", "Pod", "v1.Pod"));
        let Shape::One(Value::Object(spec)) = pod.field("spec").unwrap().shape else { panic!("spec is an object") };
        let containers = schema.get(spec).field("containers").unwrap();
        assert_eq!(containers.shape, Shape::List(Value::Object(schema.named("core.v1.Container").unwrap())));
        assert_eq!((containers.list, containers.list_keys.as_slice()), (ListType::Map, ["name"].as_slice()));
        assert_eq!(containers.patch.merge_key, Some("name"));
        assert!(containers.required && containers.tags == [2, 0, 0]);
        let volume = schema.get(schema.named("core.v1.Volume").unwrap());
        assert_eq!(volume.field("hostPath").unwrap().tags, [2, 1, 0]);
        assert!(schema.kind("apps", "v1", "Pod").is_none());
        assert!(schema.kind("apps", "v1", "DeleteOptions").is_some());
        assert!(schema.get(schema.custom_resource()).open);
    }

    #[test]
    fn every_kind_with_a_protobuf_message_numbers_all_its_fields() {
        let mut missing = Vec::new();
        for (_, one) in schema().types().filter(|(_, one)| !one.open && !one.name.starts_with("version.")) {
            for field in &one.fields {
                let from_envelope = ["apiVersion", "kind"].contains(&field.name);
                if field.tags[0] == 0 && !from_envelope {
                    missing.push(format!("{}.{}", one.name, field.name));
                }
            }
        }
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn no_type_has_more_fields_than_the_decoder_can_mark_as_seen() {
        assert!(schema().types().all(|(_, one)| one.fields.len() <= 128));
    }
}
