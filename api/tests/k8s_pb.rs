//! Protobuf as others read and write it: for every message of the schema table, k8s-pb sees in our bytes what we meant,
//! and we see in its bytes what it meant.
//!
//! The table's messages are named once, below, with k8s-pb's path; a kind that is in the table but not there fails.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::collections::BTreeSet;

use api::{
    protobuf::{encode, to_json},
    schema::{Field, Shape, Type, TypeId, Value as Kind, schema},
};
use serde_json::{Map, Value, json};

/// What k8s-pb makes of the bytes of a message: its text, and the bytes that it writes again.
type Read = fn(&[u8]) -> Result<(String, Vec<u8>), prost::DecodeError>;

fn read<M: prost::Message + Default + std::fmt::Debug>(bytes: &[u8]) -> Result<(String, Vec<u8>), prost::DecodeError> {
    let message = M::decode(bytes)?;
    Ok((format!("{message:?}"), message.encode_to_vec()))
}

/// `"core.v1.Pod" api::core::v1::Pod` for every message of both.
macro_rules! messages {
    ($($name:literal $($path:ident)::+;)*) => {
        const MESSAGES: &[(&str, Read)] = &[$(($name, read::<k8s_pb::$($path)::+>),)*];
    };
}

include!("k8s_pb/generated/messages.rs");

/// Messages of the table that k8s-pb lacks.
const LEFT_OUT: [&str; 0] = [];

/// A value of a kind that no other field has: `text` is its place.
fn sentinel(kind: Kind, text: &str, number: i64) -> Value {
    match kind {
        Kind::Object(_) => json!({}),
        Kind::String => text.into(),
        Kind::Bool => true.into(),
        Kind::Int32 | Kind::Int64 | Kind::IntOrString => number.into(),
        Kind::Double => json!(number as f64 + 0.5),
        Kind::Bytes => {
            use base64::Engine;
            base64::prelude::BASE64_STANDARD.encode(text).into()
        }
        Kind::Quantity => format!("{number}Mi").into(),
        Kind::Time => api::time::to_seconds(api::time::from_unix(number, 0)).into(),
        Kind::MicroTime => api::time::to_micros(api::time::from_unix(number, 123_456_000)).into(),
        Kind::Raw | Kind::FieldsV1 | Kind::Json => json!({"f:said": text}),
        Kind::SchemaOrArray => json!([{"title": text}, {}]),
        Kind::SchemaOrBool => json!({"title": text}),
        Kind::SchemaOrStrings => json!([text, "other"]),
    }
}

fn field_sentinel(field: &Field, text: &str, number: i64) -> Value {
    match field.shape {
        Shape::One(kind) => sentinel(kind, text, number),
        Shape::List(kind) => json!([sentinel(kind, text, number)]),
        Shape::Map(kind) => json!({"key": sentinel(kind, text, number)}),
        Shape::MapOfLists => json!({"key": [text, "other"]}),
    }
}

/// The fields that protobuf has, with the place of each among all fields of the table.
fn fields(one: &'static Type) -> impl Iterator<Item = (i64, &'static Field)> {
    let in_message = one.fields.iter().filter(|field| field.tags[0] != 0);
    (1000..).zip(in_message)
}

fn folded(name: &str) -> String {
    name.replace(['_', '-', '$'], "").replace("r#", "").to_ascii_lowercase()
}

#[test]
fn every_field_arrives_under_its_name_in_another_decoder() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, read) in MESSAGES {
        let type_id = schema().named(name).unwrap();
        let one = schema().get(type_id);
        let (empty, _) = read(&[]).unwrap();
        for (number, field) in fields(one) {
            count += 1;
            let text = format!("{name}.{}", field.name);
            let mut object = Map::new();
            object.insert(field.name.to_owned(), field_sentinel(field, &text, number));
            let raw = encode::from_json(Value::Object(object).to_string().as_bytes(), type_id).unwrap();
            let seen = match read(&raw) {
                Ok((seen, _)) => seen,
                Err(error) => {
                    wrong.push(format!("{text}: {error}"));
                    continue;
                }
            };
            if !says(&empty, &seen, field, &text, number) {
                wrong.push(format!("{text} is seen as {seen}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 2000, "only {count} fields");
}

/// Whether the one field that `seen` has and `empty` lacks is the right one, with the right value.
fn says(empty: &str, seen: &str, field: &Field, text: &str, number: i64) -> bool {
    let same = empty.bytes().zip(seen.bytes()).take_while(|(one, other)| one == other).count();
    // `None` and `Some`, `[]` and `[x`, `{}` and `{k` all differ behind the field's name.
    let from = seen[..same].rfind(": ").map_or(0, |colon| seen[..colon].rfind([' ', '{']).map_or(0, |at| at + 1));
    let changed = &seen[from..];
    let names: Vec<String> =
        changed.split(": ").filter_map(|before| before.rsplit([' ', '{', '(']).next()).map(folded).collect();
    // Inlined messages name themselves first.
    let depth = field.tags.iter().filter(|tag| **tag != 0).count();
    let is_named = match depth {
        1 => names.first() == Some(&folded(&field.name.replace("x-kubernetes-", "xKubernetes"))),
        _ => names.contains(&folded(field.name)),
    };
    is_named && contains_value(changed, field, text, number)
}

fn contains_value(changed: &str, field: &Field, text: &str, number: i64) -> bool {
    let kind = match field.shape {
        Shape::One(kind) | Shape::List(kind) | Shape::Map(kind) => kind,
        Shape::MapOfLists => Kind::String,
    };
    match kind {
        Kind::Object(_) => true,
        Kind::Bool => changed.contains("true"),
        Kind::Int32 | Kind::Int64 | Kind::IntOrString | Kind::Time | Kind::MicroTime => {
            changed.contains(&number.to_string())
        }
        Kind::Double => changed.contains(&format!("{number}.5")),
        Kind::Quantity => changed.contains(&format!("{number}Mi")),
        Kind::Bytes => changed.contains(&format!("{:?}", text.as_bytes())),
        Kind::Raw | Kind::FieldsV1 | Kind::Json => {
            changed.contains(&format!("{:?}", json!({"f:said": text}).to_string().as_bytes()))
        }
        _ => changed.contains(text),
    }
}

/// An object with every field down to a depth set.
fn whole(type_id: TypeId, depth: usize) -> Value {
    let one = schema().get(type_id);
    let mut object = Map::new();
    for (number, field) in fields(one) {
        let text = format!("{}.{}", one.name, field.name);
        let deeper = |kind| match kind {
            Kind::Object(inner) if depth > 0 => whole(inner, depth - 1),
            Kind::Object(_) => json!({}),
            scalar => sentinel(scalar, &text, number),
        };
        let value = match field.shape {
            Shape::One(kind) => deeper(kind),
            Shape::List(kind) => json!([deeper(kind), deeper(kind)]),
            Shape::Map(kind) => json!({"a": deeper(kind), "b": deeper(kind)}),
            Shape::MapOfLists => json!({"a": [text, "x"], "b": []}),
        };
        object.insert(field.name.to_owned(), value);
    }
    Value::Object(object)
}

#[test]
fn what_another_encoder_writes_is_read_as_the_same_json() {
    let mut wrong = Vec::new();
    for (name, read) in MESSAGES {
        let type_id = schema().named(name).unwrap();
        let object = whole(type_id, 2);
        let raw = encode::from_json(object.to_string().as_bytes(), type_id).unwrap();
        let (_, written) = match read(&raw) {
            Ok(read) => read,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let back = Value::Object(to_json(&written, type_id).unwrap());
        if back != object {
            wrong.push(format!("{name}: {}", difference(&object, &back, "")));
        }
        // And our own bytes, without the other's help.
        assert_eq!(Value::Object(to_json(&raw, type_id).unwrap()), object, "{name}");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The first place where two values differ.
fn difference(one: &Value, other: &Value, path: &str) -> String {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let differing = names.into_iter().find(|name| a.get(*name) != b.get(*name));
            let null = &Value::Null;
            differing.map_or(String::new(), |name| {
                difference(a.get(name).unwrap_or(null), b.get(name).unwrap_or(null), &format!("{path}.{name}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or_default();
            difference(&a[at], &b[at], &format!("{path}[{at}]"))
        }
        _ => format!("{path}: {one} is read back as {other}"),
    }
}

#[test]
fn every_message_of_the_table_is_compared() {
    let compared: BTreeSet<&str> = MESSAGES.iter().map(|(name, _)| *name).collect();
    let all = schema().types().map(|(_, one)| one);
    let has_message = |one: &&Type| one.fields.iter().any(|field| field.tags[0] != 0);
    let lost: Vec<&str> = all.filter(has_message).map(|one| one.name).filter(|name| !compared.contains(name)).collect();
    assert_eq!(lost, LEFT_OUT);
}
