//! Why a merged object is not one of its type, in the words of Go's conversion from maps to structs.
//!
//! Upstream: apimachinery/pkg/runtime/converter.go (FromUnstructured)
//! Left out: types with a decoder of their own (quantities, times); the schema's decoder tells about those.

use serde_json::Value;

use super::go;
use crate::schema::{Shape, TypeId, Value as Kind, schema};

/// A patch as messages quote it.
pub fn shown(patch: &Value) -> String {
    go::display(patch)
}

/// The first value of a wrong type; none when all fit, or when only a type with a decoder of its own objects.
pub fn complaint(object: &Value, type_id: TypeId) -> Option<String> {
    let Some(map) = object.as_object() else {
        return Some(format!("cannot restore struct from: {}", go::kind(object)));
    };
    let one = schema().get(type_id);
    map.iter().find_map(|(name, value)| {
        let field = one.field(name).filter(|_| !value.is_null())?;
        match (field.shape, value) {
            (Shape::One(kind), value) => single(value, kind),
            (Shape::List(kind), Value::Array(items)) => items.iter().find_map(|item| single(item, kind)),
            (Shape::List(_), other) => Some(format!("cannot restore slice from {}", go::kind(other))),
            (Shape::Map(kind), Value::Object(map)) => map.values().find_map(|item| single(item, kind)),
            (Shape::MapOfLists, Value::Object(map)) => {
                let wrong = map.values().find(|item| !item.is_array() && !item.is_null())?;
                Some(format!("cannot restore slice from {}", go::kind(wrong)))
            }
            (_, other) => Some(format!("cannot restore map from {}", go::kind(other))),
        }
    })
}

fn single(value: &Value, kind: Kind) -> Option<String> {
    let (fits, wanted) = match kind {
        Kind::Object(type_id) => return complaint(value, type_id),
        Kind::String => (value.is_string(), "string"),
        Kind::Bool => (value.is_boolean(), "bool"),
        Kind::Int32 => (value.is_number(), "int32"),
        Kind::Int64 => (value.is_number(), "int64"),
        Kind::Double => (value.is_number(), "float64"),
        _ => return None,
    };
    (!fits && !value.is_null()).then(|| format!("unrecognized type: {wanted}"))
}
