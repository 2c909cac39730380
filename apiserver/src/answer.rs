//! What goes back to the client, and in which form: whole objects, their metadata alone, or rows of a table.
//!
//! Upstream: apiserver/pkg/endpoints/handlers (response.go, responsewriters), handlers/negotiation
//! Left out: CBOR answers; every client that asks for them accepts JSON too.

mod lane;
pub mod protobuf;

use std::convert::Infallible;

use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use store::Revision;

use self::lane::Place;
use crate::{object::Object, row::Row, rows::print, table};

/// The form of an answer that a request accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub shape: Shape,
    pub encoding: Encoding,
    /// Indented for people.
    pub pretty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
    /// JSON where a kind has no message.
    Protobuf,
}

/// What of an object is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    /// A meta.k8s.io Table of this version.
    Table(&'static str, IncludeObject),
    /// PartialObjectMetadata or its list, of this version.
    Metadata(&'static str, Extent),
}

/// How much of the object each row of a table carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    Metadata,
    Object,
}

/// Whether one object or a list is asked for: `PartialObjectMetadata` is for one, `...List` for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    One,
    List,
}

/// The media types of answers, as 406 names them.
pub const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

impl Format {
    /// Plain JSON.
    pub const JSON: Format = Format { shape: Shape::Object, encoding: Encoding::Json, pretty: false };

    /// Whether the answer is the object's JSON as it is kept.
    pub fn is_plain_json(self) -> bool {
        self == Format::JSON
    }

    /// The form for objects of a kind: JSON where protobuf has no message of it.
    pub fn for_kind(self, api_version: &str, kind: &str) -> Format {
        match self.encoding == Encoding::Protobuf && !protobuf::has_message(api_version, kind) {
            true => Format { encoding: Encoding::Json, ..self },
            false => self,
        }
    }

    /// Checks that an object is asked for, where there are no tables.
    ///
    /// # Errors
    /// 406 when it is not.
    pub fn is_of_objects(self) -> Result<(), Status> {
        if self.shape == Shape::Object { Ok(()) } else { Err(Status::not_acceptable(&MEDIA_TYPES)) }
    }

    /// Picks the first acceptable form that the Accept header names, best quality first.
    ///
    /// # Errors
    /// 406 when there is none.
    pub fn negotiate(headers: &HeaderMap, query: &component::query::Query) -> Result<Format, Status> {
        let accept: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accept = accept.join(",");
        let include = match query.get("includeObject") {
            Some("None") => IncludeObject::None,
            Some("Object") => IncludeObject::Object,
            None | Some("" | "Metadata") => IncludeObject::Metadata,
            Some(other) => {
                return Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}")));
            }
        };
        let pretty = query.get("pretty").is_some_and(|value| value != "0" && value != "false");
        if accept.trim().is_empty() {
            return Ok(Format { pretty, ..Format::JSON });
        }
        let mut any_ours = false;
        for clause in clauses(&accept) {
            let mut parts = clause.split(';').map(str::trim);
            let encoding = match parts.next().unwrap_or_default() {
                "application/json" | "*/*" | "application/*" => Encoding::Json,
                "application/yaml" => Encoding::Yaml,
                protobuf::MEDIA_TYPE => Encoding::Protobuf,
                _ => continue,
            };
            any_ours = true;
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name| parameters.iter().find(|(each, _)| *each == name).map(|(_, value)| *value);
            let version = match parameter("v") {
                Some("v1") => Some("v1"),
                Some("v1beta1") => Some("v1beta1"),
                _ => None,
            };
            let shape = match (parameter("as"), parameter("g"), version) {
                (None, _, _) => Some(Shape::Object),
                (Some("Table"), Some("meta.k8s.io"), Some(version)) if encoding != Encoding::Protobuf => {
                    Some(Shape::Table(version, include))
                }
                (Some("PartialObjectMetadata"), Some("meta.k8s.io"), Some(version)) => {
                    Some(Shape::Metadata(version, Extent::One))
                }
                (Some("PartialObjectMetadataList"), Some("meta.k8s.io"), Some(version)) => {
                    Some(Shape::Metadata(version, Extent::List))
                }
                _ => None,
            };
            if let Some(shape) = shape {
                return Ok(Format { shape, encoding, pretty });
            }
        }
        if any_ours {
            return Err(Status::not_acceptable(&MEDIA_TYPES));
        }
        Err(Status { details: Some(Default::default()), ..Status::new(406, "NotAcceptable", "406: Not Acceptable") })
    }
}

impl Shape {
    /// Refuses the metadata of a list where there is one object, and of one object where there is a list.
    ///
    /// # Errors
    /// 406 in upstream's words, which name its own type.
    pub fn check_extent(self, row: &Row, answer: Extent) -> Result<(), Status> {
        self.check_extent_of(&row.group, &row.kind, answer)
    }

    /// As [`Shape::check_extent`], for objects of a kind without a row.
    ///
    /// # Errors
    /// 406.
    pub fn check_extent_of(self, group: &str, kind: &str, answer: Extent) -> Result<(), Status> {
        let package = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or_default() };
        let message = match (self, answer) {
            (Shape::Metadata(_, Extent::One), Extent::List) => format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{package}.{kind}List)"
            ),
            (Shape::Metadata(_, Extent::List), Extent::One) => format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{package}.{kind})"
            ),
            _ => return Ok(()),
        };
        Err(Status::new(406, "NotAcceptable", message))
    }
}

/// The clauses of an Accept header, best quality first.
pub fn clauses(accept: &str) -> Vec<&str> {
    let mut clauses: Vec<&str> = accept.split(',').map(str::trim).collect();
    clauses.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
    clauses
}

fn quality(clause: &str) -> f32 {
    clause.split(';').find_map(|part| part.trim().strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0)
}

/// An answer with a JSON body.
pub fn json(code: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer of plain text.
pub fn text(code: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = json(code, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A failure, in protobuf for who prefers that.
pub fn failure(status: &Status, accept: Option<&HeaderValue>) -> Response<Body> {
    let headers: HeaderMap = accept.map(|accept| (header::ACCEPT, accept.clone())).into_iter().collect();
    let format = Format::negotiate(&headers, &component::query::Query::parse(""));
    let encoding = format.map_or(Encoding::Json, |format| format.encoding);
    let mut response = match encoding {
        Encoding::Protobuf => value(status.code, Format { encoding, ..Format::JSON }, &status.to_json()),
        _ => json(status.code, status.to_json().to_string()),
    };
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A value in the form's encoding.
pub fn value(code: u16, format: Format, value: &Value) -> Response<Body> {
    if format.encoding == Encoding::Protobuf
        && let Some(bytes) = protobuf::value(value)
    {
        return as_protobuf(code, bytes);
    }
    if format.encoding == Encoding::Yaml {
        let text = serde_saphyr::to_string(value).unwrap_or_default();
        let mut response = json(code, text);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
        return response;
    }
    let body = if format.pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    json(code, body.unwrap_or_default())
}

fn as_protobuf(code: u16, bytes: Vec<u8>) -> Response<Body> {
    let mut response = json(code, bytes);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(protobuf::MEDIA_TYPE));
    response
}

/// One object, in the form asked for.
pub fn object(code: u16, format: Format, row: &Row, object: &Object, now: i64) -> Response<Body> {
    match format.shape {
        Shape::Object if format.is_plain_json() => json(code, object.bytes()),
        Shape::Object => {
            let bytes = (format.encoding == Encoding::Protobuf).then(|| protobuf::stored(row, object)).flatten();
            bytes.map_or_else(|| value(code, format, &object.value()), |bytes| as_protobuf(code, bytes))
        }
        Shape::Table(version, include) => {
            let table = table::render(row, version, include, &[object.value()], metadata_at(object.revision), now);
            value(code, format, &table)
        }
        Shape::Metadata(version, _) => value(code, format, &metadata_only(version, object.value())),
    }
}

/// One object of a kind that is only a part of others, in the form asked for.
///
/// # Errors
/// 406 when the metadata of a list is asked for.
pub fn part(
    format: Format,
    group: &str,
    shows: &print::Table,
    part: Value,
    now: i64,
) -> Result<Response<Body>, Status> {
    format.shape.check_extent_of(group, part["kind"].as_str().unwrap_or_default(), Extent::One)?;
    let shaped = match format.shape {
        Shape::Object => part,
        Shape::Table(version, include) => table::render_part(shows, version, include, &part, now),
        Shape::Metadata(version, _) => metadata_only(version, part),
    };
    Ok(value(200, format, &shaped))
}

/// How many bytes of a list are put into one chunk.
const CHUNK_BYTES: usize = 64 << 10;

/// A body of many items, made in chunks as the connection takes them: `start`, what `write` appends for each, `end`.
/// Long ones take turns.
pub fn chunked<T: Send + 'static>(
    start: Vec<u8>,
    items: Vec<T>,
    mut write: impl FnMut(&mut Vec<u8>, T) + Send + 'static,
    end: &'static [u8],
) -> Body {
    // What the next chunk begins with; none after the last one.
    let (mut next, mut items) = (Some(start), items.into_iter());
    let next_chunk = move || {
        let mut chunk = next.take()?;
        chunk.reserve(CHUNK_BYTES);
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = items.next() else {
                chunk.extend_from_slice(end);
                return Some(chunk);
            };
            write(&mut chunk, item);
        }
        next = Some(Vec::new());
        Some(chunk)
    };
    Body::from_stream(futures::stream::unfold((Place::new(), next_chunk), async |(mut place, mut next_chunk)| {
        place.turn().await;
        let chunk = next_chunk()?;
        place.sent(chunk.len());
        Some((Ok::<Bytes, Infallible>(chunk.into()), (place, next_chunk)))
    }))
}

/// The metadata of what was at a revision as a whole: a list, a table. What was never stored has none.
pub fn metadata_at(revision: Revision) -> Value {
    if revision == Revision(0) { json!({}) } else { json!({"resourceVersion": revision.to_string()}) }
}

/// The object with nothing but its metadata.
pub fn metadata_only(version: &str, mut object: Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": object["metadata"].take()})
}
