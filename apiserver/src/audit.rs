//! Who asked for what, when, and how it ended: one line of JSON for each stage of each request that the policy names.
//!
//! Only metadata is ever written: no bodies, and no headers but the client's name, so that no Secret gets into the log.
//! Lines are made where the request is served and written by a thread of their own; a full queue makes requests wait,
//! as upstream's log backend does, rather than lose lines.
//!
//! Upstream: apiserver/pkg/audit, apiserver/pkg/endpoints/filters/audit.go, plugin/pkg/audit/log
//! Left out: the levels Request and RequestResponse (written as Metadata), webhooks, batches, the legacy format.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header, request::Parts};
use http_body::{Frame, SizeHint};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::attributes::{RequestInfo, UserInfo};

mod log;
mod policy;

pub use log::{Log, Rotation};
pub use policy::{Policy, Stage};

/// The header that names a request in the log, on every answer; clients may give it.
pub const HEADER: &str = "audit-id";
/// As long as a client's name for its request may be.
const MAX_ID_BYTES: usize = 64;

/// The name of a request: the client's, if it gave one, or a new one.
pub fn id_of(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(HEADER).filter(|given| !given.is_empty() && given.len() <= MAX_ID_BYTES);
    if let Some(given) = given {
        return given.clone();
    }
    // Nobody's safety depends on this number.
    let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    HeaderValue::from_str(&id.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The audit log of a server.
#[derive(Clone)]
pub struct Audit {
    pub policy: Arc<Policy>,
    pub log: Log,
}

/// A request of which something is written.
pub struct Event {
    log: Log,
    omitted: Vec<Stage>,
    /// Everything that all stages have in common.
    about: Value,
    is_long: bool,
}

impl Audit {
    /// Begins the record of a request, if the policy wants one, and writes that it was received. `claimed` is the user
    /// that `user` acts as.
    pub async fn begin(
        &self,
        id: &HeaderValue,
        parts: &Parts,
        info: &RequestInfo,
        user: &UserInfo,
        claimed: Option<&UserInfo>,
        received: Timestamp,
    ) -> Option<Event> {
        let omitted = self.policy.omitted(claimed.unwrap_or(user), info)?;
        let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let mut about = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": id.to_str().unwrap_or_default(), "requestURI": parts.uri.path_and_query().map(|uri| uri.as_str()),
            "verb": info.verb, "user": user_of(user), "sourceIPs": source_ips(parts),
            "requestReceivedTimestamp": api::time::to_micros(received),
        });
        if let Some(claimed) = claimed {
            about["impersonatedUser"] = user_of(claimed);
        }
        if let Some(agent) = text(header::USER_AGENT) {
            about["userAgent"] = agent.into();
        }
        if info.is_resource {
            about["objectRef"] = reference(info);
        }
        let is_tunnel = matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy");
        let is_long = info.verb == "watch" || is_tunnel || (info.subresource == "log");
        let event = Event { log: self.log.clone(), omitted, about, is_long };
        if let Some(line) = event.line(Stage::RequestReceived, received) {
            event.log.write(line).await;
        }
        Some(event)
    }
}

impl Event {
    /// Notes what authorization said.
    pub fn decided(&mut self, allowed: Result<(), &Status>) {
        let reason = allowed.err().map(|status| status.message.as_str()).unwrap_or_default();
        let decision = if allowed.is_ok() { "allow" } else { "forbid" };
        self.about["annotations"] =
            json!({"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason});
    }

    /// Writes how the request ended, or for an answer that goes on how it began, and at its end how it ended.
    pub async fn answered(mut self, response: Response<Body>, failure: Option<&Status>) -> Response<Body> {
        let mut status = json!({"metadata": {}, "code": response.status().as_u16()});
        if let Some(failure) = failure {
            status["status"] = "Failure".into();
            status["message"] = failure.message.as_str().into();
            status["reason"] = failure.reason.into();
        }
        self.about["responseStatus"] = status;
        if !self.is_long {
            if let Some(line) = self.line(Stage::ResponseComplete, Timestamp::now()) {
                self.log.write(line).await;
            }
            return response;
        }
        if let Some(line) = self.line(Stage::ResponseStarted, Timestamp::now()) {
            self.log.write(line).await;
        }
        response.map(|body| Body::new(Watched { body, event: self }))
    }

    fn line(&self, stage: Stage, now: Timestamp) -> Option<Vec<u8>> {
        if self.omitted.contains(&stage) {
            return None;
        }
        let mut event = self.about.clone();
        event["stage"] = stage.name().into();
        event["stageTimestamp"] = api::time::to_micros(now).into();
        let mut line = event.to_string().into_bytes();
        line.push(b'\n');
        Some(line)
    }
}

/// A body whose end, whoever makes it, is the end of the request.
struct Watched {
    body: Body,
    event: Event,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(line) = self.event.line(Stage::ResponseComplete, Timestamp::now()) {
            self.event.log.write_now(line);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn user_of(user: &UserInfo) -> Value {
    let mut shown = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}

fn reference(info: &RequestInfo) -> Value {
    let mut reference = json!({"resource": info.resource, "apiVersion": info.version});
    for (field, value) in [
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("subresource", &info.subresource),
    ] {
        if !value.is_empty() {
            reference[field] = value.as_str().into();
        }
    }
    reference
}

/// Where the request says that it came from, and at last where it did; of a component in this process that is here.
fn source_ips(parts: &Parts) -> Vec<String> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let claimed = text("x-forwarded-for").split(',').chain([text("x-real-ip")]).map(str::trim);
    let claimed = claimed.filter_map(|ip| ip.parse::<std::net::IpAddr>().ok()).map(|ip| ip.to_string());
    let mut ips: Vec<String> = claimed.collect();
    let peer = parts.extensions.get::<component::serve::PeerAddress>();
    let peer = peer.map_or_else(|| "127.0.0.1".to_owned(), |peer| peer.0.ip().to_string());
    if ips.last() != Some(&peer) {
        ips.push(peer);
    }
    ips
}
