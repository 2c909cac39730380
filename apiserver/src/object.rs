//! An object as the API server holds it in memory: its encoded bytes, and the little that is asked of it often.
//!
//! Upstream: apiserver/pkg/storage/cacher (store.go, watch_cache.go), where objects are decoded structs
//! Left out: CBOR.
//!
//! The stored form of an object is its JSON without a resourceVersion; `kind`, `apiVersion` and `metadata` come first,
//! so the place where the resourceVersion belongs is found without parsing. An object keeps the very bytes that the store
//! keeps; the resourceVersion is put in when it is shown. Once it was asked for in protobuf, that form is kept beside them.

mod meta;

use std::sync::{Arc, OnceLock};

use api::{protobuf, schema::TypeId};
use bytes::Bytes;
use serde_json::{Map, Value};
use store::Revision;

use crate::row::Row;

pub use meta::Meta;

/// A namespace ("" for cluster-scoped kinds) and a name; ordered as lists are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectKey {
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.into(), name: name.into() }
    }
}

/// One version of one object. Immutable; shared by every list, watch and index that shows it.
#[derive(Debug)]
pub struct Object {
    pub key: ObjectKey,
    /// 0: it was never stored (the answer to a dry run, a component's status), and shows no resourceVersion.
    pub revision: Revision,
    pub meta: Meta,
    /// The stored form, whose bytes the store has too.
    stored: Bytes,
    /// The offset in it behind `"metadata":{`.
    metadata: u32,
    decoded: OnceLock<Box<Value>>,
    message: OnceLock<Box<Message>>,
}

/// The protobuf message of an object.
#[derive(Debug)]
struct Message {
    type_id: TypeId,
    bytes: Bytes,
}

/// An object as it shall be stored: what the store keeps and what memory asks of it, both made from the one value that
/// a request holds, so that nobody reads those bytes again.
#[derive(Debug, Default, Clone)]
pub struct Draft {
    pub stored: Bytes,
    pub meta: Meta,
}

impl Draft {
    pub fn of(row: &Row, value: &Value) -> Draft {
        Draft { stored: encode(value), meta: Meta::of(row, value) }
    }

    /// The object that this is at `revision`.
    pub fn at(self, key: ObjectKey, revision: Revision) -> Object {
        let metadata = metadata_start(&self.stored).unwrap_or_default();
        let (decoded, message) = Default::default();
        Object { key, revision, meta: self.meta, stored: self.stored, metadata, decoded, message }
    }
}

impl Object {
    /// Makes the object that `stored` is at `revision`.
    ///
    /// # Errors
    /// When `stored` is not the JSON of an object that we wrote: the store holds something foreign.
    pub fn load(row: &Row, key: ObjectKey, stored: Bytes, revision: Revision) -> Result<Object, serde_json::Error> {
        let meta = Meta::read(row, &stored)?;
        metadata_start(&stored).ok_or_else(|| serde::de::Error::custom("it has no metadata"))?;
        Ok(Draft { stored, meta }.at(key, revision))
    }

    /// The object decoded. Costs microseconds; hot paths read `meta` instead.
    pub fn value(&self) -> Value {
        let mut value: Value =
            serde_json::from_slice(&self.stored).expect("only JSON that we encoded ourselves is stored");
        if self.revision > Revision(0)
            && let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.insert("resourceVersion".into(), self.revision.to_string().into());
        }
        value
    }

    /// The object decoded, and kept so: many times its size in memory. For the few objects that many requests look into.
    pub fn decoded(&self) -> &Value {
        self.decoded.get_or_init(|| Box::new(self.value()))
    }

    /// The object's message in protobuf, without an envelope; none when it is no object of the type. It is made once for
    /// the type that is asked for first: there is seldom another.
    pub fn message(&self, type_id: TypeId) -> Option<Bytes> {
        let encode = || protobuf::encode::from_json(&self.bytes(), type_id).ok().map(Bytes::from);
        if self.message.get().is_none() {
            let message = Box::new(Message { type_id, bytes: encode()? });
            let _ = self.message.set(message);
        }
        match self.message.get() {
            Some(message) if message.type_id == type_id => Some(message.bytes.clone()),
            _ => encode(),
        }
    }

    /// The stored form: the whole object as JSON, without its resourceVersion.
    pub fn stored(&self) -> &Bytes {
        &self.stored
    }

    /// The whole object as JSON, with its resourceVersion.
    pub fn bytes(&self) -> Bytes {
        self.at(self.revision)
    }

    /// The same under a later revision: the last state, as a DELETED event shows it.
    pub fn at(&self, revision: Revision) -> Bytes {
        if revision == Revision(0) {
            return self.stored.clone();
        }
        let mut out = Vec::with_capacity(self.stored.len() + VERSION_BYTES);
        self.write(&mut out, 0, revision);
        out.into()
    }

    /// Appends the object as it stands in a list: without kind and apiVersion, which the list's own kind implies, and
    /// without the brace that opens it.
    pub fn write_item(&self, out: &mut Vec<u8>) {
        self.write(out, (self.metadata as usize).saturating_sub(METADATA.len()), self.revision);
    }

    /// Appends the whole object, with its resourceVersion.
    pub fn write_whole(&self, out: &mut Vec<u8>, revision: Revision) {
        self.write(out, 0, revision);
    }

    fn write(&self, out: &mut Vec<u8>, from: usize, revision: Revision) {
        let metadata = self.metadata as usize;
        out.extend_from_slice(&self.stored[from..metadata]);
        if revision > Revision(0) {
            out.extend_from_slice(b"\"resourceVersion\":\"");
            let _ = std::io::Write::write_fmt(out, format_args!("{revision}"));
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(&self.stored[metadata..]);
    }
}

/// At least as many bytes as a resourceVersion takes in an object.
const VERSION_BYTES: usize = 44;

/// Encodes an object for the store.
pub fn encode(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    out.push(b'{');
    for name in ["kind", "apiVersion"] {
        if let Some(text) = object.get(name) {
            write_entry(&mut out, name, text);
            out.push(b',');
        }
    }
    out.extend_from_slice(METADATA);
    let mut first = true;
    for (name, entry) in object.get("metadata").and_then(Value::as_object).unwrap_or(&empty) {
        if name != "resourceVersion" {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            write_entry(&mut out, name, entry);
        }
    }
    out.push(b'}');
    for (name, entry) in object {
        if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            write_entry(&mut out, name, entry);
        }
    }
    out.push(b'}');
    // It is kept for long: in a piece of memory of its very size.
    Bytes::copy_from_slice(&out)
}

const METADATA: &[u8] = b"\"metadata\":{";

fn write_entry(out: &mut Vec<u8>, name: &str, value: &Value) {
    write_text(out, name);
    out.push(b':');
    write_value(out, value);
}

/// As serde_json writes it, in half the time: nearly everything in an object is a text without anything to escape.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            out.push(b'{');
            for (index, (name, entry)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_entry(out, name, entry);
            }
            out.push(b'}');
        }
        other => serde_json::to_writer(out, other).expect("writing to memory does not fail"),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Without a branch per byte, so that many are looked at at once.
    let escapes = text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\'));
    if escapes {
        return serde_json::to_writer(out, text).expect("writing to memory does not fail");
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// The offset behind `"metadata":{`. Only kind and apiVersion, which hold no quotes, stand before it.
fn metadata_start(encoded: &[u8]) -> Option<u32> {
    let at = encoded.windows(METADATA.len()).position(|window| window == METADATA)?;
    u32::try_from(at + METADATA.len()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_resource_version_is_put_into_the_encoded_bytes() {
        let object = json!({"apiVersion": "v1", "data": {"metadata": {}}, "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "3"}});
        let stored = encode(&object);
        assert!(!stored.windows(15).any(|window| window == b"resourceVersion"));
        let rows = crate::rows::rows();
        let row = rows.iter().find(|row| row.kind == "ConfigMap").unwrap();
        let loaded = Object::load(row, ObjectKey::new("", "a"), stored.clone(), Revision(17)).unwrap();
        let mut expected = object;
        expected["metadata"]["resourceVersion"] = "17".into();
        let mut item = b"{".to_vec();
        loaded.write_item(&mut item);
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!((read(&loaded.bytes()), loaded.value()), (expected.clone(), expected.clone()));
        expected["metadata"]["resourceVersion"] = "18".into();
        assert_eq!(read(&loaded.at(Revision(18))), expected);
        expected["metadata"]["resourceVersion"] = "17".into();
        expected.as_object_mut().unwrap().retain(|name, _| !["kind", "apiVersion"].contains(&name.as_str()));
        assert_eq!(read(&item), expected);
        assert_eq!(Draft::of(row, &expected).at(loaded.key.clone(), Revision(0)).bytes(), encode(&expected));
        assert!(Object::load(row, loaded.key, Bytes::from_static(b"{}"), Revision(1)).is_err());
    }

    #[test]
    fn values_are_written_as_serde_json_writes_them() {
        let texts: Vec<String> = (0..0x80).map(|code| format!("a{}b", char::from(code))).collect();
        let value = json!({
            "": [], "none": {}, "texts": texts, "\"\u{e9}": "\u{1f600}\u{2028}\u{7f}", "null": null,
            "numbers": [0, -1, u64::MAX, i64::MIN, 1.5, 1e300, 0.1], "flags": [true, false, [{"a": [[]], "b": ""}]],
        });
        let mut out = Vec::new();
        write_value(&mut out, &value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }

    #[test]
    fn a_message_is_kept_for_the_type_that_was_asked_for_first() {
        let schema = api::schema::schema();
        let (map, secret) = (schema.kind("", "v1", "ConfigMap").unwrap(), schema.kind("", "v1", "Secret").unwrap());
        let rows = crate::rows::rows();
        let row = rows.iter().find(|row| row.kind == "ConfigMap").unwrap();
        let value = json!({"apiVersion": "v1", "data": {"k": "v"}, "kind": "ConfigMap", "metadata": {"name": "a"}});
        let object = Draft::of(row, &value).at(ObjectKey::new("", "a"), Revision(17));
        let first = object.message(map).unwrap();
        assert_eq!(first, protobuf::encode::from_json(&object.bytes(), map).unwrap());
        assert_eq!(first.as_ptr(), object.message(map).unwrap().as_ptr(), "it is the same memory");
        assert_ne!(object.message(secret), Some(first), "another type is another message");
        let read = protobuf::to_json(&object.message(map).unwrap(), map).unwrap();
        assert_eq!(read["metadata"]["resourceVersion"], "17");
    }
}
