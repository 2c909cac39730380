//! LIST: the selected objects of a row at one revision, whole or in pages.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/get.go (ListResource), apiserver/pkg/storage/continue.go,
//!   apiserver/pkg/storage/cacher/delegator.go
//! Left out: nothing.
//!
//! A list is served from a snapshot of memory that it shares with whoever else looks at the same moment; its bytes
//! are the objects' own, sent item by item. A list at an older revision reads the store's history.

use std::sync::Arc;

use api::status::{Cause, Details, Status};
use axum::body::Body;
use base64::{DecodeError, Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};
use store::{Range, Revision, StoreError};

use super::{
    call::Call,
    options::{integer, resource_version},
    write::store_failure,
};
use crate::{
    answer::{Encoding, Extent, Shape, chunked, metadata_at, metadata_only, protobuf, value},
    memory::table_prefix,
    object::{Object, ObjectKey},
    selection::Selection,
    table,
};

/// What one LIST answers.
pub struct Page {
    /// The state this is of.
    pub revision: Revision,
    pub items: Vec<Arc<Object>>,
    /// Where the next page starts, when there is more.
    next: Option<ObjectKey>,
    /// How many objects follow, where that is known.
    remaining: Option<usize>,
}

impl Page {
    /// All there is of a kind that is not stored.
    pub fn of_unstored(items: Vec<Arc<Object>>) -> Page {
        Page { revision: Revision(0), items, next: None, remaining: None }
    }
}

/// Lists the selected objects.
pub async fn list(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let selection = Selection::of(call.info(), call.row)?;
    let page = page(call, &selection).await?;
    answer(call, page)
}

/// Which state a list is of.
enum Moment {
    Now,
    NotBefore(Revision),
    Exactly(Revision),
}

/// The selected objects that the request's limit, continue and resourceVersion ask for.
pub async fn page(call: &Call<'_>, selection: &Selection) -> Result<Page, Status> {
    let limit = integer(call.query, "limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    integer(call.query, "timeoutSeconds")?;
    let token = call.query.get("continue").filter(|token| !token.is_empty());
    let version = resource_version(call.query.get("resourceVersion"))?;
    let matching = call.query.get("resourceVersionMatch").unwrap_or_default();
    check_match(matching, version, token.is_some())?;
    // Who takes whatever there is, gets all of it.
    let limit = limit.filter(|_| token.is_some() || version != Some(Revision(0)));
    let (at, start) = match token {
        Some(token) => {
            let (revision, start) = decode_continue(token)?;
            (revision.map_or(Moment::Now, Moment::Exactly), Some(start))
        }
        None => match (version, matching) {
            (None, _) => (Moment::Now, None),
            (Some(version), "Exact") => (Moment::Exactly(version), None),
            (Some(version), "") if limit.is_some() && version.0 > 0 => (Moment::Exactly(version), None),
            (Some(version), _) => (Moment::NotBefore(version), None),
        },
    };
    let namespace = if call.row.scope == crate::row::Scope::Cluster { "" } else { call.info().namespace.as_str() };
    let start = start.unwrap_or_else(|| ObjectKey::new(namespace, ""));
    match at {
        Moment::Now => call.server.fresh().await?,
        Moment::NotBefore(revision) => call.server.at_least(revision).await?,
        // Checked below, on the very snapshot that is shown: what memory has applied may move on meanwhile.
        Moment::Exactly(_) => {}
    }
    let indexed = selection.required_index_value(call.table.indexed_field());
    let applied = call.server.memory.revision();
    let (snapshot, revision) = call.table.snapshot_at(indexed, applied);
    if let Moment::Exactly(wanted) = at
        && wanted != revision
    {
        return from_history(call, selection, wanted, &start, limit).await;
    }
    let mut page = Page { revision, items: Vec::new(), next: None, remaining: None };
    let mut walk = snapshot.from(namespace, start).filter(|object| selection.matches(call.stored_row(), object));
    match limit {
        None => page.items.extend(walk.cloned()),
        Some(limit) => {
            page.items.extend(walk.by_ref().take(limit).cloned());
            if let Some(next) = walk.next() {
                page.next = Some(next.key.clone());
                page.remaining = selection.is_everything().then(|| 1 + walk.count());
            }
        }
    }
    Ok(page)
}

/// A page of a state that has passed, read from the store.
async fn from_history(
    call: &Call<'_>,
    selection: &Selection,
    revision: Revision,
    start: &ObjectKey,
    limit: Option<usize>,
) -> Result<Page, Status> {
    let row = call.stored_row();
    let prefix = table_prefix(row);
    let snapshot = call.server.store.range(Range::prefix(prefix.clone()), Some(revision), None).await;
    let snapshot = snapshot.map_err(|error| expired(call, &error, start))?;
    let mut page = Page { revision, items: Vec::new(), next: None, remaining: None };
    for item in snapshot.items {
        let text = String::from_utf8_lossy(&item.key[prefix.len()..]).into_owned();
        let (namespace, name) = text.split_once('/').unwrap_or(("", &text));
        let key = ObjectKey::new(namespace, name);
        if key < *start {
            continue;
        }
        let object = Object::load(row, key, item.value, item.modified).map_err(Status::internal)?;
        if !selection.matches(row, &object) {
            continue;
        }
        if limit.is_some_and(|limit| page.items.len() == limit) {
            page.next.get_or_insert(object.key);
            *page.remaining.get_or_insert(0) += 1;
        } else {
            page.items.push(Arc::new(object));
        }
    }
    if !selection.is_everything() {
        page.remaining = None;
    }
    Ok(page)
}

fn expired(call: &Call<'_>, error: &StoreError, start: &ObjectKey) -> Status {
    if !matches!(error, StoreError::Compacted { .. }) || call.query.get("continue").is_none() {
        return store_failure(error);
    }
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
        list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
        the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
        modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    Status { continue_token: Some(encode_continue(None, start)), ..Status::expired(message) }
}

fn list_options_invalid(field: &str, reason: &str, message: &str) -> Status {
    let text = message.split_once(": ").map_or(message, |(_, text)| text).to_owned();
    let cause = Cause { reason: reason.into(), message: text, field: field.into() };
    let details =
        Details { group: "meta.k8s.io".into(), kind: "ListOptions".into(), causes: vec![cause], ..Details::default() };
    let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {message}");
    Status { details: Some(details), ..Status::new(422, "Invalid", message) }
}

/// Upstream's rules for which parameters go together.
fn check_match(matching: &str, version: Option<Revision>, continued: bool) -> Result<(), Status> {
    let forbidden = |detail: &str| {
        let message = format!("resourceVersionMatch: Forbidden: {detail}");
        Err(list_options_invalid("resourceVersionMatch", "FieldValueForbidden", &message))
    };
    match matching {
        "" => {
            if continued && version.is_some_and(|version| version.0 > 0) {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            Ok(())
        }
        _ if continued => forbidden("resourceVersionMatch is forbidden when continue is provided"),
        _ if version.is_none() => forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        "Exact" if version == Some(Revision(0)) => {
            forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        "Exact" | "NotOlderThan" => Ok(()),
        other => {
            let message = format!(
                "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
            );
            Err(list_options_invalid("resourceVersionMatch", "FieldValueNotSupported", &message))
        }
    }
}

/// The token of the next page: where it starts, and of which state (`None`: whatever is there then).
fn encode_continue(revision: Option<Revision>, start: &ObjectKey) -> String {
    let revision = revision.map_or(-1, |revision| i64::try_from(revision.0).unwrap_or(i64::MAX));
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{}/{}", start.namespace, start.name)});
    BASE64_URL_SAFE_NO_PAD.encode(token.to_string())
}

fn decode_continue(token: &str) -> Result<(Option<Revision>, ObjectKey), Status> {
    decoded_continue(token)
        .map_err(|why| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}")))
}

/// The same; what is wrong with it in Go's words.
fn decoded_continue(token: &str) -> Result<(Option<Revision>, ObjectKey), String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => token.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })?;
    let token = api::decode::plain(&bytes)?;
    let (version, start) = (token["v"].as_str().unwrap_or_default(), token["start"].as_str().unwrap_or_default());
    if version != "meta.k8s.io/v1" {
        return Err(format!("server does not recognize this encoded version {version:?}"));
    }
    let revision = match token["rv"].as_i64() {
        None | Some(0) => return Err("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned()),
        Some(revision) => u64::try_from(revision).ok().map(Revision),
    };
    match start.split_once('/').filter(|_| !start.contains("..")) {
        Some((namespace, name)) => Ok((revision, ObjectKey::new(namespace, name))),
        None => Err(start.to_owned()),
    }
}

/// Encodes a page in the form that the request asks for.
pub fn answer(call: &Call<'_>, page: Page) -> Result<Response<Body>, Status> {
    call.format.shape.check_extent(call.row, Extent::List)?;
    let mut metadata = metadata_at(page.revision);
    if let Some(next) = &page.next {
        metadata["continue"] = encode_continue(Some(page.revision), next).into();
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let shown = |object: &Arc<Object>| {
        let mut value = object.value();
        call.shown(&mut value);
        value
    };
    let kind = format!("{}List", call.row.kind);
    if call.format.encoding == Encoding::Protobuf
        && call.format.shape == Shape::Object
        && call.row.stored_as.is_none()
        && let Some(list) = protobuf::list(&call.row.kind, &call.api_version(), &metadata, &page.items)
    {
        return Ok(list);
    }
    match call.format.shape {
        Shape::Object if call.format.is_plain_json() && call.row.stored_as.is_none() => {
            Ok(stream(&kind, &call.api_version(), &metadata, page.items))
        }
        Shape::Object => {
            let items: Vec<Value> = page.items.iter().map(shown).map(without_type).collect();
            let list = json!({"kind": kind, "apiVersion": call.api_version(), "metadata": metadata, "items": items});
            Ok(value(200, call.format, &list))
        }
        Shape::Table(version, include) => {
            let objects: Vec<Value> = page.items.iter().map(shown).collect();
            let now = call.now().as_second();
            Ok(value(200, call.format, &table::render(call.row, version, include, &objects, metadata, now)))
        }
        Shape::Metadata(version, _) => {
            let items: Vec<Value> = page.items.iter().map(|object| metadata_only(version, shown(object))).collect();
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata, "items": items,
            });
            Ok(value(200, call.format, &list))
        }
    }
}

fn without_type(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

/// The list as a stream of chunks, made as the connection takes them: no list is ever whole in memory.
fn stream(kind: &str, api_version: &str, metadata: &Value, items: Vec<Arc<Object>>) -> Response<Body> {
    let start = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[");
    let mut first = true;
    let write = move |chunk: &mut Vec<u8>, object: Arc<Object>| {
        chunk.extend_from_slice(if std::mem::take(&mut first) { b"{" } else { b",{" });
        object.write_item(chunk);
    };
    let mut response = Response::new(chunked(start.into_bytes(), items, write, b"]}\n"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_what_is_none_is_refused_in_gos_words() {
        let key = ObjectKey::new("ns", "b");
        for revision in [Some(Revision(7)), None] {
            assert_eq!(decode_continue(&encode_continue(revision, &key)).unwrap(), (revision, key.clone()));
        }
        let refused = |token: &str| decode_continue(token).unwrap_err().message;
        let of = |json: &str| refused(&BASE64_URL_SAFE_NO_PAD.encode(json));
        let prefix = "invalid continue token: continue key is not valid: ";
        for (message, why) in [
            (refused("!!!"), "illegal base64 data at input byte 0"),
            (refused("foo"), "invalid character '~' looking for beginning of value"),
            (of("{}"), r#"server does not recognize this encoded version """#),
            (of(r#"{"v":"foo"}"#), r#"server does not recognize this encoded version "foo""#),
            (
                of(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (of(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}"#), "../x"),
        ] {
            assert_eq!(message, format!("{prefix}{why}"));
        }
    }
}
