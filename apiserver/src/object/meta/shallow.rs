//! Reads of an object's JSON only what lies near its top: single values up to one level down, and the labels.
//!
//! Upstream: none
//! Left out: everything else; it is skipped, not kept.
//!
//! Selectable fields are of that kind (`spec.nodeName`, `type`). A load of many objects costs a fraction of decoding them.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The upper part of the object in `encoded`.
///
/// # Errors
/// It is no JSON, or no object.
pub(super) fn read(encoded: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(encoded);
    let object = Shallow { levels: 2 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    if object.is_object() { Ok(object) } else { Err(Error::custom("it is no object")) }
}

/// A value of which objects are kept `levels` deep; what lies deeper, and lists, are null.
struct Shallow {
    levels: u8,
}

impl<'de> DeserializeSeed<'de> for Shallow {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shallow {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        if self.levels == 0 {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut kept = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let levels = if key == "labels" { self.levels } else { self.levels - 1 };
            let value = entries.next_value_seed(Shallow { levels })?;
            if !value.is_null() {
                kept.insert(key, value);
            }
        }
        Ok(Value::Object(kept))
    }
}
