//! From the protobuf bytes of a request to the JSON of the same object, along the schema table; `encode` goes back.
//!
//! Upstream: apimachinery/pkg/runtime/serializer/protobuf/protobuf.go, and the Unmarshal that gogo/protobuf generates
//! Left out: groups (wire types 3 and 4), which are refused.
//!
//! The bytes are an envelope, `k8s` and a zero, then a `runtime.Unknown` that names the kind and holds the object. What
//! comes out says the same as the client's JSON would: zero values of fields that Go has no pointer to are left out.

pub mod encode;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::decode::MAX_DEPTH;
use crate::schema::{Field, Shape, Type, TypeId, Value as Kind, schema};
use crate::time;
use wire::{Payload, Reader};

/// The first bytes of every object in protobuf.
const PREFIX: [u8; 4] = *b"k8s\0";

/// The most values that one body may hold. Two bytes can say "an empty object", which costs a hundred in memory.
const MAX_VALUES: usize = 250_000;

/// An object in its envelope.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// "" when the client did not say.
    pub api_version: String,
    pub kind: String,
    /// The object, without them.
    pub raw: &'a [u8],
}

/// Opens the envelope.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub fn envelope(body: &[u8]) -> Result<Envelope<'_>, String> {
    if body.is_empty() {
        return Err("empty data".into());
    }
    let Some(unknown) = body.strip_prefix(&PREFIX) else {
        let message = "provided data does not appear to be a protobuf message, expected prefix";
        return Err(format!("{message} {}", shown_bytes(&PREFIX)));
    };
    let mut envelope = Envelope { api_version: String::new(), kind: String::new(), raw: &[] };
    let mut reader = Reader::new(unknown);
    while let Some((number, payload)) = reader.field()? {
        match number {
            1 => {
                let mut reader = Reader::new(payload.bytes("TypeMeta")?);
                while let Some((number, payload)) = reader.field()? {
                    match number {
                        1 => envelope.api_version = text(payload, "APIVersion")?,
                        2 => envelope.kind = text(payload, "Kind")?,
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = payload.bytes("Raw")?,
            _ => {}
        }
    }
    Ok(envelope)
}

fn shown_bytes(bytes: &[u8]) -> String {
    format!("[{}]", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "))
}

/// The JSON of a message of a type. Not yet in normal form: `decode` does that, and checks what protobuf can't say.
///
/// # Errors
/// Bytes that are no such message; nesting or more values than any object needs.
pub fn to_json(raw: &[u8], type_id: TypeId) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    Transcoder { depth: 0, values_left: MAX_VALUES }.message(raw, type_id, &[], &mut map)?;
    Ok(map)
}

struct Transcoder {
    depth: usize,
    values_left: usize,
}

/// What a field number means.
enum Meaning {
    Field(&'static Field),
    /// A message whose fields JSON has one level further up.
    Inlined,
    Unknown,
}

fn meaning(one: &'static Type, way: &[u8]) -> Meaning {
    let mut tags = [0; 3];
    tags[..way.len()].copy_from_slice(way);
    if let Some(field) = one.fields.iter().find(|field| field.tags == tags) {
        return Meaning::Field(field);
    }
    match way.len() < tags.len() && one.fields.iter().any(|field| field.tags.starts_with(way)) {
        true => Meaning::Inlined,
        false => Meaning::Unknown,
    }
}

impl Transcoder {
    /// Reads a message into `map`. `way` leads to it from the message of the type itself: it is not empty for one
    /// that JSON inlines.
    fn message(&mut self, raw: &[u8], type_id: TypeId, way: &[u8], map: &mut Map<String, Value>) -> Result<(), String> {
        self.enter()?;
        let one = schema().get(type_id);
        let mut reader = Reader::new(raw);
        while let Some((number, payload)) = reader.field()? {
            let Ok(number) = u8::try_from(number) else { continue };
            let way = [way, &[number]].concat();
            match meaning(one, &way) {
                Meaning::Field(field) => self.field(field, payload, map)?,
                Meaning::Inlined => self.message(payload.bytes(one.short_name())?, type_id, &way, map)?,
                Meaning::Unknown => {}
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn field(&mut self, field: &Field, payload: Payload<'_>, map: &mut Map<String, Value>) -> Result<(), String> {
        self.count()?;
        let name = field.name;
        match field.shape {
            Shape::One(Kind::Object(type_id)) => {
                let mut object = match map.remove(name) {
                    Some(Value::Object(object)) => object,
                    _ => Map::new(),
                };
                self.message(payload.bytes(name)?, type_id, &[], &mut object)?;
                map.insert(name.to_owned(), Value::Object(object));
            }
            Shape::One(kind) => {
                let value = self.single(kind, payload, name)?;
                if is_zero(&value, kind) && !field.required && !field.keep_empty {
                    map.remove(name);
                } else {
                    map.insert(name.to_owned(), value);
                }
            }
            Shape::List(kind) => {
                let mut items = Vec::new();
                match payload {
                    Payload::Bytes(packed) if wire::is_packable(kind) => {
                        let mut reader = Reader::new(packed);
                        while let Some(payload) = reader.packed(kind)? {
                            self.count()?;
                            items.push(self.single(kind, payload, name)?);
                        }
                    }
                    payload => items.push(self.single(kind, payload, name)?),
                }
                if let Value::Array(list) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    list.append(&mut items);
                }
            }
            Shape::Map(kind) => self.entry(payload, name, map, |this, value| match value {
                Some(payload) => this.single(kind, payload, name),
                None => Ok(zero(kind)),
            })?,
            Shape::MapOfLists => self.entry(payload, name, map, |this, value| match value {
                Some(payload) => this.strings(payload.bytes(name)?, name),
                None => Ok(Value::Array(Vec::new())),
            })?,
        }
        Ok(())
    }

    /// An entry of a map: a message of key and value.
    fn entry<'a>(
        &mut self,
        payload: Payload<'a>,
        name: &str,
        map: &mut Map<String, Value>,
        read: impl FnOnce(&mut Transcoder, Option<Payload<'a>>) -> Result<Value, String>,
    ) -> Result<(), String> {
        let (mut key, mut value) = (String::new(), None);
        let mut reader = Reader::new(payload.bytes(name)?);
        while let Some((number, payload)) = reader.field()? {
            match number {
                1 => key = text(payload, name)?,
                2 => value = Some(payload),
                _ => {}
            }
        }
        let value = read(self, value)?;
        if let Value::Object(entries) = map.entry(name).or_insert_with(|| Value::Object(Map::new())) {
            entries.insert(key, value);
        }
        Ok(())
    }

    /// One value of a kind.
    fn single(&mut self, kind: Kind, payload: Payload<'_>, name: &str) -> Result<Value, String> {
        Ok(match kind {
            Kind::Object(type_id) => {
                let mut object = Map::new();
                self.message(payload.bytes(name)?, type_id, &[], &mut object)?;
                Value::Object(object)
            }
            Kind::String => text(payload, name)?.into(),
            Kind::Bool => (payload.varint(name)? != 0).into(),
            // Both are written as 64 bits, negative ones too.
            Kind::Int32 => (payload.varint(name)? as i32).into(),
            Kind::Int64 => (payload.varint(name)? as i64).into(),
            Kind::Double => {
                let number = f64::from_bits(payload.fixed64(name)?);
                Number::from_f64(number)
                    .map(Value::Number)
                    .ok_or_else(|| format!("{name}: {number} is no JSON number"))?
            }
            Kind::Bytes => STANDARD.encode(payload.bytes(name)?).into(),
            Kind::Quantity => match text_field(payload.bytes(name)?, 1, name)? {
                Some(text) if !text.is_empty() => text.into(),
                _ => "0".into(),
            },
            Kind::IntOrString => int_or_string(payload.bytes(name)?, name)?,
            Kind::Time | Kind::MicroTime => point_in_time(payload.bytes(name)?, kind, name)?,
            Kind::Raw | Kind::FieldsV1 | Kind::Json => embedded(payload.bytes(name)?, name)?,
            Kind::SchemaOrArray | Kind::SchemaOrBool | Kind::SchemaOrStrings => {
                self.schema_or(payload.bytes(name)?, kind, name)?
            }
        })
    }

    /// A list of strings in a message of its own.
    fn strings(&mut self, raw: &[u8], name: &str) -> Result<Value, String> {
        let (mut items, mut reader) = (Vec::new(), Reader::new(raw));
        while let Some((number, payload)) = reader.field()? {
            if number == 1 {
                self.count()?;
                items.push(Value::String(text(payload, name)?));
            }
        }
        Ok(Value::Array(items))
    }

    /// The unions of a JSON schema with a list, a flag or strings.
    fn schema_or(&mut self, raw: &[u8], kind: Kind, name: &str) -> Result<Value, String> {
        let props = schema().named("apiextensions.v1.JSONSchemaProps").expect("the table has it");
        let (mut single, mut others, mut allows) = (None, Vec::new(), false);
        let mut reader = Reader::new(raw);
        while let Some((number, payload)) = reader.field()? {
            self.count()?;
            match (kind, number) {
                (Kind::SchemaOrBool, 1) => allows = payload.varint(name)? != 0,
                (Kind::SchemaOrBool, 2) | (Kind::SchemaOrArray | Kind::SchemaOrStrings, 1) => {
                    single = Some(self.single(Kind::Object(props), payload, name)?);
                }
                (Kind::SchemaOrArray, 2) => others.push(self.single(Kind::Object(props), payload, name)?),
                (Kind::SchemaOrStrings, 2) => others.push(Value::String(text(payload, name)?)),
                _ => {}
            }
        }
        Ok(match (single, kind) {
            (Some(single), _) => single,
            (None, Kind::SchemaOrBool) => allows.into(),
            (None, _) => Value::Array(others),
        })
    }

    fn enter(&mut self) -> Result<(), String> {
        if self.depth >= MAX_DEPTH {
            return Err("exceeded max depth".into());
        }
        self.depth += 1;
        self.count()
    }

    fn count(&mut self) -> Result<(), String> {
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => Err(format!("the message holds more than {MAX_VALUES} values")),
        }
    }
}

/// A string; what is not UTF-8 becomes replacement characters, as when Go writes it into JSON.
fn text(payload: Payload<'_>, name: &str) -> Result<String, String> {
    Ok(String::from_utf8_lossy(payload.bytes(name)?).into_owned())
}

/// The string in one field of a message.
fn text_field(raw: &[u8], wanted: u64, name: &str) -> Result<Option<String>, String> {
    let (mut found, mut reader) = (None, Reader::new(raw));
    while let Some((number, payload)) = reader.field()? {
        if number == wanted {
            found = Some(text(payload, name)?);
        }
    }
    Ok(found)
}

fn int_or_string(raw: &[u8], name: &str) -> Result<Value, String> {
    let (mut is_string, mut number, mut string) = (false, 0, String::new());
    let mut reader = Reader::new(raw);
    while let Some((field, payload)) = reader.field()? {
        match field {
            1 => is_string = payload.varint(name)? != 0,
            2 => number = payload.varint(name)? as i32,
            3 => string = text(payload, name)?,
            _ => {}
        }
    }
    Ok(if is_string { string.into() } else { number.into() })
}

/// Seconds and nanoseconds; an empty message is no time at all.
fn point_in_time(raw: &[u8], kind: Kind, name: &str) -> Result<Value, String> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos, mut reader) = (0, 0, Reader::new(raw));
    while let Some((number, payload)) = reader.field()? {
        match number {
            1 => seconds = payload.varint(name)? as i64,
            2 => nanos = (payload.varint(name)? as i32).clamp(0, 999_999_999),
            _ => {}
        }
    }
    Ok(match kind {
        Kind::Time => time::to_seconds(time::from_unix(seconds, 0)).into(),
        _ => time::to_micros(time::from_unix(seconds, nanos)).into(),
    })
}

/// JSON inside protobuf: the bytes in field 1.
fn embedded(raw: &[u8], name: &str) -> Result<Value, String> {
    let (mut found, mut reader): (&[u8], _) = (&[], Reader::new(raw));
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            found = payload.bytes(name)?;
        }
    }
    if found.is_empty() { Ok(Value::Null) } else { crate::decode::plain(found) }
}

/// Whether Go's JSON leaves such a value out when the field has no pointer.
fn is_zero(value: &Value, kind: Kind) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => !matches!(kind, Kind::IntOrString) && number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The value of a map's entry that has none.
fn zero(kind: Kind) -> Value {
    match kind {
        Kind::Object(_) => Value::Object(Map::new()),
        Kind::Bool => false.into(),
        Kind::Int32 | Kind::Int64 | Kind::Double | Kind::IntOrString => 0.into(),
        Kind::String | Kind::Bytes => "".into(),
        Kind::Quantity => "0".into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
