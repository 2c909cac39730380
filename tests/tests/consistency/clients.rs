//! Clients of the API server that record what they asked and were told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use apiserver::{attributes::UserInfo, service::ApiServer};
use futures::StreamExt;
use http::Method;
use http_body_util::{BodyExt, BodyStream};
use serde_json::{Value, json};
use store::{Range, Revision, Store};
use tests::history::{Answer, Called, Change, Event, Item, Record, Request, WatchOpened};
use tokio::sync::watch;
use tower::ServiceExt;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Keys of the history are names in this namespace.
const STORE_PREFIX: &str = "/registry/core/configmaps/default/";
const NAMES: u32 = 8;
const LAST: [&str; 2] = ["last-x", "last-y"];

/// What all clients of a run share.
#[derive(Clone)]
pub struct Clients(Arc<Shared>);

struct Shared {
    server: ApiServer,
    started: Instant,
    records: Mutex<Vec<Record>>,
    /// The revision up to which the store's account is recorded.
    accounted: watch::Sender<u64>,
    ids: AtomicU64,
    written: watch::Sender<u32>,
    store_is_up: watch::Sender<bool>,
}

impl Clients {
    pub fn new(server: ApiServer) -> Clients {
        Clients(Arc::new(Shared {
            server,
            started: Instant::now(),
            records: Mutex::default(),
            accounted: watch::Sender::new(0),
            ids: AtomicU64::new(0),
            written: watch::Sender::new(0),
            store_is_up: watch::Sender::new(true),
        }))
    }

    pub fn now_ns(&self) -> u64 {
        self.0.started.elapsed().as_nanos() as u64
    }

    pub fn record(&self, record: Record) {
        self.0.records.lock().unwrap().push(record);
    }

    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.0.records.lock().unwrap())
    }

    /// Up to which revision the store's account is recorded, once that is more than `than`.
    pub async fn accounted(&self, than: u64) -> u64 {
        *self.0.accounted.subscribe().wait_for(|accounted| *accounted > than).await.unwrap()
    }

    /// While the store is down, writers whose write failed wait for it.
    pub fn store_is_up(&self, up: bool) {
        self.0.store_is_up.send_replace(up);
    }

    pub async fn wait_until_written(&self, count: u32) {
        self.0.written.subscribe().wait_for(|written| *written >= count).await.unwrap();
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.open(method, path, body).await;
        let code = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => (code, serde_json::from_slice(&body.to_bytes()).unwrap_or_default()),
            Err(_) => (500, Value::Null),
        }
    }

    async fn open(&self, method: Method, path: &str, body: Option<Value>) -> http::Response<axum::body::Body> {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(http_body_util::Full::from(text)).unwrap();
        let user = UserInfo::new("admin", &["skiff:cluster-admins"]);
        self.0.server.service_as(user).oneshot(request).await.unwrap()
    }

    /// Asks, and records the question before and the answer after.
    async fn ask(&self, client: u32, request: Request) -> Answer {
        let id = self.0.ids.fetch_add(1, Ordering::Relaxed);
        self.record(Record::Called(Called { client, id, at_ns: self.now_ns(), request: request.clone() }));
        let answer = self.answer(&request).await;
        self.record(Record::Returned { client, id, at_ns: self.now_ns(), answer: answer.clone() });
        answer
    }

    async fn answer(&self, request: &Request) -> Answer {
        let (code, body) = match request {
            Request::Create { key, tag } => {
                self.send(Method::POST, CONFIG_MAPS, Some(config_map(key, tag, None))).await
            }
            Request::Update { key, tag, expected } => {
                let body = config_map(key, tag, *expected);
                self.send(Method::PUT, &format!("{CONFIG_MAPS}/{key}"), Some(body)).await
            }
            Request::Delete { key, expected } => {
                let body = expected.map(|expected| {
                    json!({"kind": "DeleteOptions", "apiVersion": "v1",
                           "preconditions": {"resourceVersion": expected.to_string()}})
                });
                self.send(Method::DELETE, &format!("{CONFIG_MAPS}/{key}"), body).await
            }
            Request::List { .. } => return self.pages().await,
        };
        match code {
            200 | 201 if body["kind"] == "Status" => Answer::Done,
            200 | 201 => Answer::Written { revision: revision_of(&body) },
            404 | 409 => Answer::Refused,
            500.. => Answer::Unknown,
            _ => panic!("{request:?}: {code} {body}"),
        }
    }

    /// A list in pages of three, all of the first one's state; unknown when that is gone before the last.
    async fn pages(&self) -> Answer {
        let (mut items, mut next, mut first) = (Vec::new(), String::new(), None);
        loop {
            let (code, body) = self.send(Method::GET, &format!("{CONFIG_MAPS}?limit=3&continue={next}"), None).await;
            match code {
                200 => {}
                410 | 500.. => return Answer::Unknown,
                _ => panic!("a list: {code} {body}"),
            }
            let revision = *first.get_or_insert(revision_of(&body));
            items.extend(body["items"].as_array().unwrap().iter().map(item));
            next = body["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Answer::Listed { revision, items };
            }
        }
    }

    /// Lists everything; the revision, if there was an answer.
    pub async fn list(&self, client: u32) -> Option<u64> {
        match self.ask(client, Request::List { prefix: String::new(), at: None }).await {
            Answer::Listed { revision, .. } => Some(revision),
            _ => None,
        }
    }

    /// Creates, changes and deletes objects until `writes` have succeeded.
    pub async fn write(self, client: u32, writes: u32) {
        let mut known = vec![0; NAMES as usize];
        let (mut done, mut number) = (0, 0);
        while done < writes {
            number += 1;
            let index = fastrand::usize(..known.len());
            let (key, tag) = (format!("o-{index}"), format!("c{client}-{number}"));
            let request = match (fastrand::u32(..12), known[index]) {
                (0, _) => Request::List { prefix: String::new(), at: None },
                (_, 0) => Request::Create { key, tag },
                (1..3, expected) => Request::Delete { key, expected: Some(expected) },
                (_, expected) => Request::Update { key, tag, expected: Some(expected) },
            };
            match self.ask(client, request).await {
                Answer::Written { revision } => {
                    known[index] = revision;
                    done += 1;
                    self.0.written.send_modify(|written| *written += 1);
                }
                Answer::Done => known[index] = 0,
                Answer::Refused => known[index] = self.current(index).await,
                Answer::Unknown => {
                    self.0.store_is_up.subscribe().wait_for(|up| *up).await.unwrap();
                }
                Answer::Listed { .. } => {}
            }
        }
    }

    /// The object's revision; 0 when there is none.
    async fn current(&self, index: usize) -> u64 {
        let (code, body) = self.send(Method::GET, &format!("{CONFIG_MAPS}/o-{index}"), None).await;
        if code == 200 { revision_of(&body) } else { 0 }
    }

    /// Writes what tells the watchers that nothing more comes.
    pub async fn finish(&self) {
        for key in LAST {
            let request = Request::Create { key: key.into(), tag: format!("the {key}") };
            while let Answer::Unknown = self.ask(91, request.clone()).await {}
        }
    }

    /// Watches from `after` until the end of the run; goes on where a watch broke off, and from a list after 410.
    pub async fn watch(self, first_id: u32, label: Option<&'static str>, mut after: u64) {
        let mut id = first_id;
        loop {
            let opened = WatchOpened {
                watch: id,
                at_ns: self.now_ns(),
                prefix: String::new(),
                label: label.map(str::to_owned),
                after,
            };
            let selector = label.map(|label| format!("&labelSelector=app%3D{label}")).unwrap_or_default();
            let query = format!("?watch=1&allowWatchBookmarks=true&resourceVersion={after}{selector}");
            self.record(Record::WatchOpened(opened));
            match self.show(id, &format!("{CONFIG_MAPS}{query}"), label, &mut after).await {
                Ended::Finished => return,
                Ended::Broken => {}
                Ended::Gone => loop {
                    if let Some(revision) = self.list(1000 + id).await {
                        after = revision;
                        break;
                    }
                    self.0.store_is_up.subscribe().wait_for(|up| *up).await.unwrap();
                },
            }
            id += 1;
        }
    }

    async fn show(&self, watch: u32, path: &str, label: Option<&str>, after: &mut u64) -> Ended {
        let response = self.open(Method::GET, path, None).await;
        let code = response.status().as_u16();
        if code == 410 {
            self.record(Record::Shown { watch, at_ns: self.now_ns(), event: Event::Gone });
            return Ended::Gone;
        }
        assert_eq!(code, 200, "{path}");
        let mut frames = BodyStream::new(response.into_body());
        let mut text = Vec::new();
        let last = if label == Some("x") { LAST[0] } else { LAST[1] };
        while let Some(Ok(frame)) = frames.next().await {
            text.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let event = event(&serde_json::from_slice(&line).unwrap());
                self.record(Record::Shown { watch, at_ns: self.now_ns(), event: event.clone() });
                match event {
                    Event::Gone => return Ended::Gone,
                    Event::Bookmark { revision } => *after = revision,
                    Event::Added(item) if item.key == last => return Ended::Finished,
                    Event::Added(item) | Event::Modified(item) | Event::Deleted(item) => *after = item.revision,
                }
            }
        }
        Ended::Broken
    }
}

enum Ended {
    Finished,
    Broken,
    Gone,
}

/// The store's own account of the run, up to the last object.
pub async fn follow_store(clients: Clients, store: Arc<dyn Store>, from: Revision) {
    let mut log = store.watch(Range::prefix(STORE_PREFIX), from).await.unwrap();
    loop {
        let commit = log.next().await.unwrap().unwrap();
        for event in commit.events {
            let key = String::from_utf8_lossy(&event.key)[STORE_PREFIX.len()..].to_owned();
            let object: Option<Value> = event.value.map(|value| serde_json::from_slice(&value).unwrap());
            let text = |object: &Value, pointer: &str| {
                object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let tag = object.as_ref().map(|object| text(object, "/data/tag"));
            let label = object.as_ref().map(|object| text(object, "/metadata/labels/app")).unwrap_or_default();
            let is_last = key == LAST[1];
            clients.record(Record::Changed(Change { revision: commit.revision.0, key, tag, label }));
            if is_last {
                return;
            }
        }
        clients.0.accounted.send_replace(commit.revision.0);
    }
}

/// Objects change between two labels as they are written, so that selections gain and lose them.
fn config_map(key: &str, tag: &str, expected: Option<u64>) -> Value {
    let label = match key {
        "last-x" => "x",
        "last-y" => "y",
        _ if tag.len().is_multiple_of(2) || tag.ends_with(['1', '4', '7']) => "x",
        _ => "y",
    };
    let mut metadata = json!({"name": key, "labels": {"app": label}});
    if let Some(expected) = expected {
        metadata["resourceVersion"] = expected.to_string().into();
    }
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"tag": tag}})
}

fn revision_of(body: &Value) -> u64 {
    let text = body["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no resourceVersion in {body}"))
}

fn item(object: &Value) -> Item {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Item { key: text("/metadata/name"), revision: revision_of(object), tag: text("/data/tag") }
}

fn event(line: &Value) -> Event {
    let object = &line["object"];
    match line["type"].as_str() {
        Some("ADDED") => Event::Added(item(object)),
        Some("MODIFIED") => Event::Modified(item(object)),
        Some("DELETED") => Event::Deleted(item(object)),
        Some("BOOKMARK") => Event::Bookmark { revision: revision_of(object) },
        Some("ERROR") if object["code"] == 410 => Event::Gone,
        _ => panic!("{line}"),
    }
}
