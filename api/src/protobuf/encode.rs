//! From the JSON of an object to its protobuf bytes, along the schema table.
//!
//! Upstream: apimachinery/pkg/runtime/serializer/protobuf/protobuf.go, and the Marshal that gogo/protobuf generates
//! Left out: zero values of fields that the JSON doesn't have; who decodes gets the same from their absence.
//!
//! The JSON is read once and never built: the bytes of a message are written behind one another, and the length of a
//! nested one is put in front of it when it has ended.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::PREFIX;
use crate::decode::scanner::{Scanner, Token};
use crate::schema::{Field, Shape, Type, TypeId, Value as Kind, schema};
use crate::time;

/// The message of an object of a type, without its envelope. `kind` and `apiVersion` are not part of it.
///
/// # Errors
/// JSON that is no such object.
pub fn from_json(json: &[u8], type_id: TypeId) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(json).map_err(|error| error.to_string())?;
    let mut encoder = Encoder { scanner: Scanner::new(text), out: Vec::with_capacity(json.len()) };
    encoder.message(type_id, 0)?;
    Ok(encoder.out)
}

/// A message in the envelope that names its kind: the magic, then a `runtime.Unknown`.
pub fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut out = envelope_start(api_version, kind, raw.len());
    out.reserve(raw.len() + ENVELOPE_END.len());
    out.extend_from_slice(raw);
    out.extend_from_slice(&ENVELOPE_END);
    out
}

/// What stands in an envelope before its message, which is `length` bytes long.
pub fn envelope_start(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut type_meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    field(&mut type_meta, 1, api_version.as_bytes());
    field(&mut type_meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(type_meta.len() + 16);
    out.extend_from_slice(&PREFIX);
    field(&mut out, 1, &type_meta);
    tag(&mut out, 2, LENGTH_DELIMITED);
    varint(&mut out, length as u64);
    out
}

/// What stands behind the message: content encoding and type, which Go writes although they are empty.
pub const ENVELOPE_END: [u8; 4] = [3 << 3 | LENGTH_DELIMITED as u8, 0, 4 << 3 | LENGTH_DELIMITED as u8, 0];

/// An event of a watch: its type and the object in its envelope.
pub fn watch_event(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    field(&mut raw, 1, object);
    let mut out = Vec::with_capacity(raw.len() + kind.len() + 12);
    field(&mut out, 1, kind.as_bytes());
    field(&mut out, 2, &raw);
    out
}

/// Puts a field of bytes behind what is there.
pub fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    tag(out, number, LENGTH_DELIMITED);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`field`] puts for `length` bytes.
pub fn field_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

fn tag(out: &mut Vec<u8>, number: u8, wire_type: u64) {
    varint(out, u64::from(number) << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

struct Encoder<'a> {
    scanner: Scanner<'a>,
    out: Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Writes the fields of the object that comes next; nothing for null.
    fn message(&mut self, type_id: TypeId, depth: usize) -> Result<(), String> {
        let one: &Type = schema().get(type_id);
        if self.scanner.peek()? != Token::Object {
            return self.scanner.skip(depth);
        }
        self.scanner.enter();
        let mut first = true;
        while let Some(name) = self.scanner.key(&mut first)? {
            match one.field(&name).filter(|field| field.tags[0] != 0) {
                Some(field) if self.scanner.peek()? != Token::Null => self.field(field, depth)?,
                _ => self.scanner.skip(depth + 1)?,
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, depth: usize) -> Result<(), String> {
        let steps = field.tags.iter().filter(|tag| **tag != 0).count();
        let (&number, inlined) = field.tags[..steps].split_last().expect("the caller asked whether there is one");
        self.within(inlined, &mut |encoder: &mut Self| match field.shape {
            Shape::One(kind) => encoder.value(number, kind, depth + 1),
            Shape::List(kind) => encoder.elements(depth, &mut |encoder| encoder.value(number, kind, depth + 2)),
            Shape::Map(kind) => encoder.entries(number, depth, &mut |encoder| encoder.value(2, kind, depth + 2)),
            Shape::MapOfLists => encoder.entries(number, depth, &mut |encoder| {
                encoder.nested(2, |encoder| {
                    encoder.elements(depth + 2, &mut |encoder| encoder.value(1, Kind::String, depth + 3))
                })
            }),
        })
    }

    /// Writes inside of the messages that JSON inlines.
    fn within(&mut self, numbers: &[u8], write: &mut dyn FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        match numbers.split_first() {
            None => write(self),
            Some((number, rest)) => self.nested(*number, |encoder| encoder.within(rest, write)),
        }
    }

    /// Writes a length-delimited field with what `write` writes.
    fn nested(&mut self, number: u8, write: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        tag(&mut self.out, number, LENGTH_DELIMITED);
        let start = self.out.len();
        // One byte is enough for most lengths; for others what was written moves to make room.
        self.out.push(0);
        write(self)?;
        let end = self.out.len();
        let mut length = end - start - 1;
        let width = varint_length(length as u64);
        if width > 1 {
            self.out.resize(end + width - 1, 0);
            self.out.copy_within(start + 1..end, start + width);
        }
        for byte in &mut self.out[start..start + width] {
            *byte = length as u8 | 0x80;
            length >>= 7;
        }
        self.out[start + width - 1] &= 0x7f;
        Ok(())
    }

    fn elements(&mut self, depth: usize, write: &mut dyn FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.scanner.peek()? != Token::Array {
            return self.scanner.skip(depth + 1);
        }
        self.scanner.enter();
        let mut first = true;
        while self.scanner.element(&mut first)? {
            write(self)?;
        }
        Ok(())
    }

    /// A map is a list of messages of key and value.
    fn entries(
        &mut self,
        number: u8,
        depth: usize,
        write: &mut dyn FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.scanner.peek()? != Token::Object {
            return self.scanner.skip(depth + 1);
        }
        self.scanner.enter();
        let mut first = true;
        while let Some(key) = self.scanner.key(&mut first)? {
            self.nested(number, |encoder| {
                field(&mut encoder.out, 1, key.as_bytes());
                write(encoder)
            })?;
        }
        Ok(())
    }

    fn value(&mut self, number: u8, kind: Kind, depth: usize) -> Result<(), String> {
        match kind {
            Kind::Object(type_id) => self.nested(number, |encoder| encoder.message(type_id, depth)),
            Kind::String => {
                let text = self.text(depth)?;
                field(&mut self.out, number, text.as_bytes());
                Ok(())
            }
            Kind::Bytes => {
                let text = self.text(depth)?;
                let bytes = STANDARD.decode(text.as_bytes()).map_err(|error| error.to_string())?;
                field(&mut self.out, number, &bytes);
                Ok(())
            }
            Kind::Bool => {
                let flag = self.flag(depth)?;
                tag(&mut self.out, number, VARINT);
                varint(&mut self.out, u64::from(flag));
                Ok(())
            }
            Kind::Int32 | Kind::Int64 => {
                let value = self.integer(depth)?;
                tag(&mut self.out, number, VARINT);
                varint(&mut self.out, value as u64);
                Ok(())
            }
            Kind::Double => {
                let value: f64 = self.number(depth)?.parse().unwrap_or_default();
                tag(&mut self.out, number, FIXED64);
                self.out.extend_from_slice(&value.to_bits().to_le_bytes());
                Ok(())
            }
            Kind::Quantity => {
                // A quantity may be a bare number in JSON.
                let text = match self.scanner.peek()? {
                    Token::Number => Cow::Borrowed(self.scanner.number()?),
                    _ => self.text(depth)?,
                };
                self.nested(number, |encoder| {
                    field(&mut encoder.out, 1, text.as_bytes());
                    Ok(())
                })
            }
            Kind::IntOrString => self.int_or_string(number, depth),
            Kind::Time | Kind::MicroTime => self.point_in_time(number, depth),
            Kind::Raw | Kind::FieldsV1 | Kind::Json => {
                let raw = self.scanner.raw(depth)?;
                self.nested(number, |encoder| {
                    field(&mut encoder.out, 1, raw.as_bytes());
                    Ok(())
                })
            }
            Kind::SchemaOrArray | Kind::SchemaOrBool | Kind::SchemaOrStrings => {
                self.nested(number, |encoder| encoder.schema_or(kind, depth))
            }
        }
    }

    fn int_or_string(&mut self, number: u8, depth: usize) -> Result<(), String> {
        let is_string = self.scanner.peek()? == Token::String;
        self.nested(number, |encoder| {
            tag(&mut encoder.out, 1, VARINT);
            varint(&mut encoder.out, u64::from(is_string));
            if is_string {
                let text = encoder.text(depth)?;
                field(&mut encoder.out, 3, text.as_bytes());
            } else {
                let value = encoder.integer(depth)?;
                tag(&mut encoder.out, 2, VARINT);
                varint(&mut encoder.out, value as u64);
            }
            Ok(())
        })
    }

    fn point_in_time(&mut self, number: u8, depth: usize) -> Result<(), String> {
        let text = self.text(depth)?;
        let point = time::parse(&text).ok_or_else(|| format!("{text:?} is no time"))?;
        self.nested(number, |encoder| {
            tag(&mut encoder.out, 1, VARINT);
            varint(&mut encoder.out, point.as_second() as u64);
            tag(&mut encoder.out, 2, VARINT);
            varint(&mut encoder.out, point.subsec_nanosecond() as u64);
            Ok(())
        })
    }

    /// The unions of a JSON schema with a list, a flag or strings.
    fn schema_or(&mut self, kind: Kind, depth: usize) -> Result<(), String> {
        let props = Kind::Object(schema().named("apiextensions.v1.JSONSchemaProps").expect("the table has it"));
        match (self.scanner.peek()?, kind) {
            (Token::Array, Kind::SchemaOrArray) => {
                self.elements(depth, &mut |encoder| encoder.value(2, props, depth + 1))
            }
            (Token::Array, Kind::SchemaOrStrings) => {
                self.elements(depth, &mut |encoder| encoder.value(2, Kind::String, depth + 1))
            }
            (Token::Object, Kind::SchemaOrBool) => {
                tag(&mut self.out, 1, VARINT);
                varint(&mut self.out, 1);
                self.value(2, props, depth + 1)
            }
            (Token::Object, _) => self.value(1, props, depth + 1),
            (Token::True | Token::False, Kind::SchemaOrBool) => self.value(1, Kind::Bool, depth + 1),
            _ => self.scanner.skip(depth + 1),
        }
    }

    /// The string that comes next; "" for anything else.
    fn text(&mut self, depth: usize) -> Result<Cow<'a, str>, String> {
        if self.scanner.peek()? == Token::String {
            return self.scanner.string();
        }
        self.scanner.skip(depth).map(|()| Cow::Borrowed(""))
    }

    fn flag(&mut self, depth: usize) -> Result<bool, String> {
        let flag = self.scanner.peek()? == Token::True;
        self.scanner.skip(depth).map(|()| flag)
    }

    fn number(&mut self, depth: usize) -> Result<&'a str, String> {
        if self.scanner.peek()? == Token::Number {
            return self.scanner.number();
        }
        self.scanner.skip(depth).map(|()| "0")
    }

    fn integer(&mut self, depth: usize) -> Result<i64, String> {
        let text = self.number(depth)?;
        Ok(text.parse().unwrap_or_else(|_| text.parse::<f64>().unwrap_or_default() as i64))
    }
}
