//! What expressions see and evaluate to.
//!
//! Upstream: cel-go common/types, apiserver/pkg/cel/common/values.go
//! Left out: lists with the semantics of sets and maps, whose order upstream does not compare.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;

use crate::{
    escaping::unescape,
    literals::{duration, timestamp},
    types::{Constructor, Type},
};

/// A value. Cheap to copy: what has parts shares them. An object is a map from the names of its fields.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    /// In nanoseconds.
    Duration(i64),
    /// In nanoseconds since 1970, from year 1 to year 9999.
    Timestamp(i128),
    List(Arc<Vec<Value>>),
    Map(Arc<BTreeMap<Key, Value>>),
    Optional(Option<Arc<Value>>),
    /// The name of a type.
    Type(Arc<str>),
}

/// A key of a map. An `int` and a `uint` of the same number are the same key.
#[derive(Clone, Debug)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

const NANOSECONDS: i128 = 1_000_000_000;

impl Value {
    pub fn string(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    pub fn list(elements: Vec<Value>) -> Value {
        Value::List(Arc::new(elements))
    }

    /// A value of JSON as what it is declared to be. Fields that are not declared are not there.
    ///
    /// # Errors
    ///
    /// Text that is not of its format.
    pub fn from_json(json: &Json, of: &Type) -> Result<Value, String> {
        Ok(match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (of, number.as_i64()) {
                (Type::Double, _) | (_, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
                (_, Some(number)) => Value::Int(number),
            },
            Json::String(text) => of_text(text, of)?,
            Json::Array(elements) => {
                let of = of.arguments(Constructor::List).and_then(<[Type]>::first).unwrap_or(&Type::Dyn);
                Value::list(elements.iter().map(|element| Value::from_json(element, of)).collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                let mut map = BTreeMap::new();
                if let Type::Object(object) = of
                    && let Some(declared) = &object.fields
                {
                    for (name, of) in declared {
                        if let Some(field) = fields.get(&unescape(name)) {
                            map.insert(Key::String(name.as_str().into()), Value::from_json(field, of)?);
                        }
                    }
                } else {
                    let of = of.arguments(Constructor::Map).and_then(<[Type]>::last).unwrap_or(&Type::Dyn);
                    for (name, value) in fields {
                        map.insert(Key::String(name.as_str().into()), Value::from_json(value, of)?);
                    }
                }
                Value::Map(Arc::new(map))
            }
        })
    }

    /// What the type of the value is called.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
        }
    }

    /// The value as a key; none for what can't be one.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Value::Bool(value) => Key::Bool(*value),
            Value::Int(value) => Key::Int(*value),
            Value::Uint(value) => Key::Uint(*value),
            Value::String(value) => Key::String(value.clone()),
            _ => return None,
        })
    }

    /// The order of two values; none if they have none.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        Some(match (self, other) {
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (Value::String(one), Value::String(other)) => one.cmp(other),
            (Value::Bytes(one), Value::Bytes(other)) => one.cmp(other),
            (Value::Duration(one), Value::Duration(other)) => one.cmp(other),
            (Value::Timestamp(one), Value::Timestamp(other)) => one.cmp(other),
            (Value::Double(one), Value::Double(other)) => return one.partial_cmp(other),
            (Value::Double(one), _) => return compare_double(*one, other.whole()?),
            (_, Value::Double(other)) => return compare_double(*other, self.whole()?).map(Ordering::reverse),
            _ => self.whole()?.cmp(&other.whole()?),
        })
    }

    /// The number of an `int` or `uint`.
    pub fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(value) => Some(i128::from(*value)),
            Value::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }
}

/// Compares a double with a whole number, both exactly.
fn compare_double(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Doubles beyond are larger than each `uint`, or less than each `int`; all others have room in an i128.
    if double.abs() >= 1e30 {
        return double.partial_cmp(&0.0);
    }
    Some((double.trunc() as i128).cmp(&whole).then(double.fract().partial_cmp(&0.0)?))
}

impl Key {
    pub fn value(&self) -> Value {
        match self {
            Key::Bool(value) => Value::Bool(*value),
            Key::Int(value) => Value::Int(*value),
            Key::Uint(value) => Value::Uint(*value),
            Key::String(value) => Value::String(value.clone()),
        }
    }

    fn rank(&self) -> (u8, i128, &str) {
        match self {
            Key::Bool(value) => (0, i128::from(*value), ""),
            Key::Int(value) => (1, i128::from(*value), ""),
            Key::Uint(value) => (1, i128::from(*value), ""),
            Key::String(value) => (2, 0, value),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

fn of_text(text: &str, of: &Type) -> Result<Value, String> {
    Ok(match of {
        Type::Bytes => {
            let bytes = STANDARD.decode(text).map_err(|why| format!("Invalid bytes {text}: {why}"))?;
            Value::Bytes(bytes.into())
        }
        Type::Duration => Value::Duration(duration::read(text).ok_or_else(|| format!("Invalid duration {text}"))?),
        Type::Timestamp => {
            let date = || nanoseconds(&format!("{text}T00:00:00Z"));
            let time = nanoseconds(text).or_else(date);
            Value::Timestamp(time.ok_or_else(|| format!("Invalid date-time {text}"))?)
        }
        _ => Value::string(text),
    })
}

/// The nanoseconds from 1970 to a time.
pub(super) fn nanoseconds(text: &str) -> Option<i128> {
    let seconds = timestamp::read(text)?;
    let fraction = text.split_once(['.', ',']).map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    Some(i128::from(seconds) * NANOSECONDS + nanoseconds)
}
