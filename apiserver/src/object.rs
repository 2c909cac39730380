//! An object as the API server holds it in memory: its encoded bytes, and the little that is asked of it often.
//!
//! Upstream: apiserver/pkg/storage/cacher (store.go, watch_cache.go), where objects are decoded structs
//! Left out: bytes in other encodings; answers are JSON.
//!
//! The stored form of an object is its JSON without a resourceVersion; `kind`, `apiVersion` and `metadata` come first,
//! so the place where the resourceVersion belongs is found without parsing. An object is spliced once, when its
//! transaction is applied, and every list and watch that shows it shares those bytes.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use store::Revision;

use crate::row::Row;

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
    pub revision: Revision,
    /// The whole object as JSON, with its resourceVersion.
    pub bytes: Bytes,
    pub meta: Meta,
}

/// What selectors, indexes and authorizers read of an object without decoding it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Meta {
    pub uid: Box<str>,
    /// Sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// The values of the row's `selectable_fields`, in its order.
    pub fields: Box<[Box<str>]>,
    pub deleting: bool,
}

impl Meta {
    /// Reads them off a decoded object.
    pub fn of(row: &Row, value: &Value) -> Meta {
        let metadata = &value["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Meta {
            uid: metadata["uid"].as_str().unwrap_or_default().into(),
            labels: labels
                .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or_default().into()))
                .collect(),
            fields: row.selectable_fields.iter().map(|field| (field.read)(value).into()).collect(),
            deleting: metadata.get("deletionTimestamp").is_some(),
        }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(each, _)| (**each).cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }
}

impl Object {
    /// Makes the object that `stored` is at `revision`.
    ///
    /// # Errors
    /// When `stored` is not the JSON of an object that we wrote: the store holds something foreign.
    pub fn load(row: &Row, key: ObjectKey, stored: &[u8], revision: Revision) -> Result<Object, serde_json::Error> {
        let value: Value = serde_json::from_slice(stored)?;
        let meta = Meta::of(row, &value);
        Ok(Object { key, revision, bytes: splice(stored, revision), meta })
    }

    /// Makes an object that was never stored: the answer to a dry run, without a resourceVersion.
    ///
    /// # Errors
    /// As [`Object::load`].
    pub fn unversioned(row: &Row, key: ObjectKey, encoded: Bytes) -> Result<Object, serde_json::Error> {
        let value: Value = serde_json::from_slice(&encoded)?;
        Ok(Object { key, revision: Revision(0), meta: Meta::of(row, &value), bytes: encoded })
    }

    /// The object decoded. Costs microseconds; hot paths read `meta` instead.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("only JSON that we encoded ourselves is stored")
    }

    /// The same object under a later revision: the last state, as a DELETED event shows it.
    pub fn at(&self, revision: Revision) -> Bytes {
        let version = format!("\"resourceVersion\":\"{}\",", self.revision);
        let place = metadata_start(&self.bytes);
        let mut stored = Vec::with_capacity(self.bytes.len());
        stored.extend_from_slice(&self.bytes[..place]);
        stored.extend_from_slice(&self.bytes[place + version.len()..]);
        splice(&stored, revision)
    }
}

/// Encodes an object for the store.
pub fn encode(value: &Value) -> Bytes {
    let mut out = Vec::with_capacity(2048);
    let empty = serde_json::Map::new();
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
    out.into()
}

const METADATA: &[u8] = b"\"metadata\":{";

fn write_entry(out: &mut Vec<u8>, name: &str, value: &Value) {
    serde_json::to_writer(&mut *out, name).expect("writing to memory does not fail");
    out.push(b':');
    serde_json::to_writer(out, value).expect("writing to memory does not fail");
}

/// The offset behind `"metadata":{`. Only kind and apiVersion, which hold no quotes, stand before it.
fn metadata_start(encoded: &[u8]) -> usize {
    let found = encoded.windows(METADATA.len()).position(|window| window == METADATA);
    found.map_or(0, |at| at + METADATA.len())
}

/// The stored form with the resourceVersion put in.
pub fn splice(stored: &[u8], revision: Revision) -> Bytes {
    let place = metadata_start(stored);
    let version = format!("\"resourceVersion\":\"{revision}\",");
    let mut out = Vec::with_capacity(stored.len() + version.len());
    out.extend_from_slice(&stored[..place]);
    out.extend_from_slice(version.as_bytes());
    out.extend_from_slice(&stored[place..]);
    out.into()
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
        let read: Value = serde_json::from_slice(&splice(&stored, Revision(17))).unwrap();
        let mut expected = object;
        expected["metadata"]["resourceVersion"] = "17".into();
        assert_eq!(read, expected);
    }
}
