//! WATCH: the changes of the selected objects, as a stream of JSON lines or of frames of protobuf.
//!
//! Upstream: apiserver/pkg/endpoints/handlers/watch.go, apiserver/pkg/storage/cacher/cache_watcher.go
//! Left out: starting from history that the ring no longer has: such a watch is told 410 and lists again.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use api::status::Status;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::Response;
use serde_json::{Value, json};
use store::Revision;
use tokio::time::Instant;

use super::{
    call::Call,
    options::{integer, resource_version},
};
use crate::{
    answer::{Encoding, Format, Shape, metadata_only, protobuf},
    memory::{
        Memory,
        event::{Change, Event, frame},
        table::{Cursor, Table},
    },
    object::Object,
    row::{Row, StoredAs},
    selection::Selection,
    table,
};

/// How often a watcher that allows bookmarks gets one when nothing else is sent.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Upstream ends watches without a timeout of their own after 30 to 60 minutes, so that clients spread out.
const SHORTEST_WATCH: Duration = Duration::from_secs(1800);
/// How many events are looked at in one go.
const BATCH: usize = 256;

/// Everything that one watcher needs; a few hundred bytes.
struct Watcher {
    memory: Arc<Memory>,
    table: Arc<Table>,
    row: Arc<Row>,
    cursor: Cursor,
    selection: Selection,
    format: Format,
    api_version: String,
    bookmarks: bool,
    /// What is to be sent before the first event: current objects, and the bookmark that ends them.
    initial: VecDeque<Bytes>,
    deadline: Instant,
    next_bookmark: Instant,
    columns_sent: bool,
    done: bool,
}

/// Opens a watch.
pub async fn watch(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let selection = Selection::of(call.info(), call.row)?;
    let timeout = match integer(call.query, "timeoutSeconds")? {
        None | Some(0) => SHORTEST_WATCH + Duration::from_secs(fastrand::u64(0..SHORTEST_WATCH.as_secs())),
        // A watch whose time is over before it begins ends at once.
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
    };
    let version = resource_version(call.query.get("resourceVersion"))?;
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let send_initial = call.query.get("sendInitialEvents").map(|value| value == "true" || value == "1");
    if send_initial == Some(true) && call.query.get("resourceVersionMatch") != Some("NotOlderThan") {
        let message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(Status::bad_request(message));
    }
    let from_now = send_initial == Some(true) || version.is_none_or(|version| version.0 == 0);
    match version {
        Some(version) if version.0 > 0 => call.server.at_least(version).await?,
        _ => call.server.fresh().await?,
    }
    let applied = call.server.memory.revision();
    let scope = selection.scope(call.stored_row(), call.table.indexed_field());
    let after = if from_now { None } else { version };
    let subscribed = call.table.subscribe(scope, after);
    let now = Instant::now();
    let (cursor, snapshot) = match subscribed {
        Ok(subscribed) => subscribed,
        Err(too_old) => {
            let requested = version.unwrap_or_default();
            let message = format!("too old resource version: {requested} ({})", too_old.oldest);
            let line = value_frame(call.format, "ERROR", &Status::expired(message).to_json());
            return Ok(respond(call.format, Body::from(line)));
        }
    };
    let served = call.server.registry.served(&call.row.group, &call.info().version, &call.row.plural);
    let mut watcher = Watcher {
        memory: call.server.memory.clone(),
        table: call.table.clone(),
        row: served.unwrap_or(&call.table.row).clone(),
        cursor,
        selection,
        format: call.format,
        api_version: call.api_version(),
        bookmarks,
        initial: VecDeque::new(),
        deadline: now + timeout,
        next_bookmark: now + BOOKMARK_INTERVAL,
        columns_sent: false,
        done: false,
    };
    if from_now && send_initial != Some(false) {
        let mut revision = applied;
        for object in snapshot.in_namespace("") {
            revision = revision.max(object.revision);
            if watcher.selection.matches(&watcher.table.row, object) {
                let line = watcher.added(object);
                watcher.initial.push_back(line);
            }
        }
        if send_initial == Some(true) && bookmarks {
            let line = watcher.bookmark(revision, true);
            watcher.initial.push_back(line);
        }
    }
    let stream = futures::stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.next().await?;
        Some((Ok::<Bytes, Infallible>(chunk), watcher))
    });
    Ok(respond(call.format, Body::from_stream(stream)))
}

fn respond(format: Format, body: Body) -> Response<Body> {
    match format.encoding {
        Encoding::Protobuf => protobuf::respond(body, STREAM_OF_PROTOBUF),
        _ => protobuf::respond(body, "application/json"),
    }
}

const STREAM_OF_PROTOBUF: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// An event around a value.
fn value_frame(format: Format, kind: &str, value: &Value) -> Bytes {
    if format.encoding == Encoding::Protobuf {
        // Whatever has no message is sent as an object without any field, which no client mistakes for another.
        return protobuf::frame(kind, &protobuf::value(value).unwrap_or_default());
    }
    frame(kind, value.to_string().as_bytes())
}

impl Watcher {
    /// The next bytes to send; none when the watch has ended.
    async fn next(&mut self) -> Option<Bytes> {
        let mut chunk = BytesMut::new();
        while let Some(line) = self.initial.pop_front() {
            chunk.extend_from_slice(&line);
            if chunk.len() > 64 << 10 {
                break;
            }
        }
        if !chunk.is_empty() {
            return Some(chunk.freeze());
        }
        while !self.done {
            let woken = self.cursor.woken();
            let applied = self.memory.revision();
            let events = match self.cursor.take(BATCH) {
                Ok(events) => events,
                Err(too_old) => {
                    self.done = true;
                    let message = format!("too old resource version: the watch is behind {}", too_old.oldest);
                    return Some(value_frame(self.format, "ERROR", &Status::expired(message).to_json()));
                }
            };
            if events.is_empty() {
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep_until(self.deadline) => {
                        self.done = true;
                        return self.bookmarks.then(|| self.bookmark(applied, false));
                    }
                    () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                        self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                        return Some(self.bookmark(applied, false));
                    }
                }
                continue;
            }
            let mut lines = events.iter().filter_map(|event| self.see(event));
            let (Some(first), second) = (lines.next(), lines.next()) else { continue };
            let Some(second) = second else { return Some(first) };
            chunk.extend_from_slice(&first);
            chunk.extend_from_slice(&second);
            lines.for_each(|line| chunk.extend_from_slice(&line));
            return Some(chunk.freeze());
        }
        None
    }

    /// The line that this watcher is sent about an event.
    fn see(&mut self, event: &Event) -> Option<Bytes> {
        let selected = |object: &Option<Arc<Object>>| {
            object.as_ref().is_some_and(|object| self.selection.matches(&self.table.row, object))
        };
        let change = Change::seen(selected(&event.before), selected(&event.after))?;
        if self.is_plain() && self.format.encoding != Encoding::Protobuf {
            return Some(event.frame(change));
        }
        if self.shares_protobuf() {
            return Some(event.protobuf_frame(change, |object| self.line(change.name(), object)));
        }
        Some(self.line(change.name(), &event.object(change)))
    }

    /// The line about an object that was there before the watch.
    fn added(&mut self, object: &Object) -> Bytes {
        let kind = Change::Added.name();
        if self.shares_protobuf() {
            return protobuf::frame(kind, &protobuf::stored(&self.row, object).unwrap_or_default());
        }
        self.line(kind, &object.bytes())
    }

    /// Whether it is sent in protobuf what every watcher of the row's own version is sent.
    fn shares_protobuf(&self) -> bool {
        let in_protobuf = self.is_plain() && self.format.encoding == Encoding::Protobuf;
        in_protobuf && self.api_version == self.row.api_version()
    }

    /// Whether the objects are shown as they are stored.
    fn is_plain(&self) -> bool {
        self.format.shape == Shape::Object && self.row.stored_as.is_none()
    }

    fn line(&mut self, kind: &str, object: &[u8]) -> Bytes {
        if self.is_plain() && self.format.encoding == Encoding::Protobuf {
            let object = protobuf::object(&self.api_version, &self.row.kind, object);
            return protobuf::frame(kind, &object.unwrap_or_default());
        }
        if self.is_plain() {
            return frame(kind, object);
        }
        let mut value: Value = serde_json::from_slice(object).unwrap_or_default();
        if let Some(StoredAs { from_stored, .. }) = &self.row.stored_as {
            from_stored(&mut value);
        }
        let shown = match self.format.shape {
            Shape::Object => value,
            Shape::Metadata(version, _) => metadata_only(version, value),
            Shape::Table(version, include) => {
                let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                let now = jiff::Timestamp::now().as_second();
                let mut table = table::render(&self.row, version, include, &[value], metadata, now);
                if std::mem::replace(&mut self.columns_sent, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
        };
        value_frame(self.format, kind, &shown)
    }

    /// A bookmark: everything up to `revision` has been sent. The one that ends the initial events says so.
    fn bookmark(&mut self, revision: Revision, ends_initial: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if ends_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, api_version) = match self.format.shape {
            Shape::Metadata(version, _) => ("PartialObjectMetadata".to_owned(), format!("meta.k8s.io/{version}")),
            _ => (self.row.kind.to_string(), self.api_version.clone()),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        value_frame(self.format, "BOOKMARK", &object)
    }
}
