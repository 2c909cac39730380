//! Answers in protobuf, for clients that take it before JSON: client-go's do for every built-in kind.
//!
//! Upstream: apimachinery/pkg/runtime/serializer/protobuf (protobuf.go, collections.go), serializer/streaming
//! Left out: Tables, which upstream has no protobuf of either.

use std::sync::Arc;

use api::{
    object::group_version,
    protobuf::encode,
    schema::{TypeId, schema},
};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::Value;

use super::chunked;
use crate::{object::Object, row::Row};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The fields of every list: its metadata and its items.
const LIST_METADATA: u8 = 1;
const LIST_ITEM: u8 = 2;

/// An object of a kind in its envelope; none when the kind has no message.
pub fn object(api_version: &str, kind: &str, json: &[u8]) -> Option<Vec<u8>> {
    let raw = encode::from_json(json, message(api_version, kind)?).ok()?;
    Some(encode::enveloped(api_version, kind, &raw))
}

/// What a value says that it is, in its envelope; none when that has no message.
pub fn value(value: &Value) -> Option<Vec<u8>> {
    let (api_version, kind) = (value["apiVersion"].as_str()?, value["kind"].as_str()?);
    object(api_version, kind, value.to_string().as_bytes())
}

/// Whether objects of a kind can be answered in protobuf.
pub fn has_message(api_version: &str, kind: &str) -> bool {
    message(api_version, kind).is_some()
}

fn message(api_version: &str, kind: &str) -> Option<TypeId> {
    let (group, version) = group_version(api_version);
    schema().kind(group, version, kind).filter(|type_id| !schema().get(*type_id).open)
}

/// A stored object of a row in its envelope; none when the kind has no message.
pub fn stored(row: &Row, object: &Object) -> Option<Vec<u8>> {
    let api_version = row.api_version();
    let raw = object.message(message(&api_version, &row.kind)?)?;
    Some(encode::enveloped(&api_version, &row.kind, &raw))
}

/// A list of objects of a kind, in pieces; none when the kind has no message. Its length stands before it, so the
/// messages of all items are there before the first piece is sent.
pub fn list(kind: &str, api_version: &str, metadata: &Value, items: &[Arc<Object>]) -> Option<Response<Body>> {
    let list_kind = format!("{kind}List");
    message(api_version, &list_kind)?;
    let (of_metadata, of_item) = (schema().named("meta.v1.ListMeta")?, message(api_version, kind)?);
    let metadata = encode::from_json(metadata.to_string().as_bytes(), of_metadata).ok()?;
    let items = items.iter().map(|item| item.message(of_item)).collect::<Option<Vec<_>>>()?;
    let of_items: usize = items.iter().map(|item| encode::field_length(item.len())).sum();
    let mut start = encode::envelope_start(api_version, &list_kind, encode::field_length(metadata.len()) + of_items);
    encode::field(&mut start, LIST_METADATA, &metadata);
    let write = |chunk: &mut Vec<u8>, item: Bytes| encode::field(chunk, LIST_ITEM, &item);
    Some(respond(chunked(start, items, write, &encode::ENVELOPE_END), MEDIA_TYPE))
}

/// A frame of a watch: its length, then an event around the object, which is in its envelope.
pub fn frame(kind: &str, object: &[u8]) -> Bytes {
    let event = encode::watch_event(kind, object);
    let length = u32::try_from(event.len()).expect("an object is smaller than 4 GB");
    [&length.to_be_bytes(), &event[..]].concat().into()
}

pub fn respond(body: impl Into<Body>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_read_back_as_the_object() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"hostname": "h"}});
        let bytes = value(&pod).unwrap();
        let envelope = api::protobuf::envelope(&bytes).unwrap();
        assert_eq!((envelope.api_version.as_str(), envelope.kind.as_str()), ("v1", "Pod"));
        let read = api::protobuf::to_json(envelope.raw, message("v1", "Pod").unwrap()).unwrap();
        assert_eq!(read["spec"], pod["spec"]);
        assert!(value(&json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table"})).is_none());
        assert!(value(&json!({"kind": "Nothing", "apiVersion": "x/v1"})).is_none());
    }

    #[test]
    fn every_list_has_its_metadata_and_items_in_the_same_fields() {
        for (_, one) in schema().types().filter(|(_, one)| one.name.ends_with("List") && !one.kinds.is_empty()) {
            let tag = |name: &str| one.field(name).map(|field| field.tags);
            if let Some(items) = tag("items") {
                assert_eq!((items, tag("metadata")), ([LIST_ITEM, 0, 0], Some([LIST_METADATA, 0, 0])), "{}", one.name);
            }
        }
    }

    #[test]
    fn a_frame_says_its_length_first() {
        let frame = frame("ADDED", b"xy");
        assert_eq!(&frame[..4], [0, 0, 0, 13]);
        assert_eq!(&frame[4..], b"\x0a\x05ADDED\x12\x04\x0a\x02xy");
    }
}
