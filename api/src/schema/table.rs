//! Reads the generated table.
//!
//! Upstream: none
//! Left out: error handling; the table is part of the program, so a line that can't be read is a bug of the generator.

use rustc_hash::FxHashMap;

use super::{Field, Kind, ListType, PatchStrategy, Schema, Shape, Type, TypeId, Value};

const TABLE: &str = include_str!("types.txt");
pub(super) const CUSTOM_RESOURCE: &str = "skiff.CustomResource";

/// The types that the generator's source lacks: the shell of custom resources, and objects of which only the metadata
/// is shown (apimachinery/pkg/apis/meta/v1/generated.proto).
const ADDED: &str = "\
skiff.CustomResource open
 apiVersion string -
 kind string -
 metadata meta.v1.ObjectMeta -
meta.v1.PartialObjectMetadata kind=meta.k8s.io/v1/PartialObjectMetadata
 apiVersion string -
 kind string -
 metadata meta.v1.ObjectMeta 1
meta.v1.PartialObjectMetadataList kind=meta.k8s.io/v1/PartialObjectMetadataList
 apiVersion string -
 items! []meta.v1.PartialObjectMetadata 2
 kind string -
 metadata meta.v1.ListMeta 1
";

pub(super) fn load() -> Schema {
    let mut types: Vec<(&'static str, Vec<&'static str>)> = Vec::with_capacity(800);
    for line in TABLE.lines().chain(ADDED.lines()) {
        match line.strip_prefix(' ') {
            None => types.push((line, Vec::new())),
            Some(field) => types.last_mut().expect("a field stands below its type").1.push(field),
        }
    }
    types.sort_by_key(|(head, _)| type_name(head));
    let names: FxHashMap<&'static str, TypeId> =
        types.iter().enumerate().map(|(index, (head, _))| (type_name(head), TypeId(index as u16))).collect();
    let types: Vec<Type> = types.into_iter().map(|(head, fields)| read_type(head, &fields, &names)).collect();
    let mut kinds = FxHashMap::default();
    for (index, one) in types.iter().enumerate() {
        for kind in &one.kinds {
            kinds.insert((kind.group, kind.version, kind.kind), TypeId(index as u16));
        }
    }
    Schema { types, kinds }
}

fn type_name(head: &'static str) -> &'static str {
    head.split_once(' ').map_or(head, |(name, _)| name)
}

fn read_type(head: &'static str, fields: &[&'static str], names: &FxHashMap<&'static str, TypeId>) -> Type {
    let mut one = Type { name: type_name(head), kinds: Vec::new(), atomic: false, open: false, fields: Vec::new() };
    for word in head.split(' ').skip(1) {
        match word.split_once('=') {
            Some(("kind", kind)) => {
                let mut parts = kind.split('/');
                let mut part = || parts.next().expect("a kind has three parts");
                one.kinds.push(Kind { group: part(), version: part(), kind: part() });
            }
            _ if word == "atomic" => one.atomic = true,
            _ if word == "open" => one.open = true,
            _ => panic!("{word:?} of type {head:?} means nothing"),
        }
    }
    one.fields = fields.iter().map(|line| read_field(line, names)).collect();
    one.fields.sort_by_key(|field| field.name);
    one
}

fn read_field(line: &'static str, names: &FxHashMap<&'static str, TypeId>) -> Field {
    let mut words = line.split(' ');
    let mut word = || words.next().expect("a field has a name, a type and a number");
    let (name, kind, tag) = (word(), word(), word());
    let mut field = Field {
        name: name.trim_end_matches('!'),
        shape: read_shape(kind, names),
        required: name.ends_with('!'),
        list: ListType::Unset,
        list_keys: Vec::new(),
        patch: PatchStrategy::default(),
        atomic: false,
        default: None,
        keep_empty: false,
        tags: [0; 3],
    };
    for (place, part) in field.tags.iter_mut().zip(tag.split('.')).filter(|(_, part)| *part != "-") {
        *place = part.parse().expect("protobuf numbers fit a byte");
    }
    for word in words {
        match word.split_once('=') {
            Some(("list", list)) => {
                let (list, keys) = list.split_once(':').unwrap_or((list, ""));
                field.list_keys = keys.split(',').filter(|key| !key.is_empty()).collect();
                field.list = match list {
                    "atomic" => ListType::Atomic,
                    "set" => ListType::Set,
                    "map" => ListType::Map,
                    _ => panic!("there is no list type {list:?}"),
                };
            }
            Some(("patch", patch)) => {
                let (strategies, key) = patch.split_once(':').map_or((patch, None), |(all, key)| (all, Some(key)));
                let has = |strategy| strategies.split(',').any(|one| one == strategy);
                field.patch = PatchStrategy {
                    merge: has("merge"),
                    retain_keys: has("retainKeys"),
                    replace: has("replace"),
                    merge_key: key,
                };
            }
            Some(("default", value)) => field.default = Some(value),
            _ if word == "atomic" => field.atomic = true,
            _ if word == "keep-empty" => field.keep_empty = true,
            _ => panic!("{word:?} of field {line:?} means nothing"),
        }
    }
    field
}

fn read_shape(kind: &'static str, names: &FxHashMap<&'static str, TypeId>) -> Shape {
    let value = |kind: &'static str| match kind {
        "string" => Value::String,
        "bool" => Value::Bool,
        "int32" => Value::Int32,
        "int64" => Value::Int64,
        "double" => Value::Double,
        "bytes" => Value::Bytes,
        "quantity" => Value::Quantity,
        "int-or-string" => Value::IntOrString,
        "time" => Value::Time,
        "micro-time" => Value::MicroTime,
        "raw" => Value::Raw,
        "fields-v1" => Value::FieldsV1,
        "json" => Value::Json,
        "schema-or-array" => Value::SchemaOrArray,
        "schema-or-bool" => Value::SchemaOrBool,
        "schema-or-strings" => Value::SchemaOrStrings,
        name => Value::Object(*names.get(name).unwrap_or_else(|| panic!("there is no type {name:?}"))),
    };
    match (kind.strip_prefix("[]"), kind.strip_prefix("{}")) {
        (_, Some("[]string")) => Shape::MapOfLists,
        (Some(element), _) => Shape::List(value(element)),
        (_, Some(element)) => Shape::Map(value(element)),
        _ => Shape::One(value(kind)),
    }
}
