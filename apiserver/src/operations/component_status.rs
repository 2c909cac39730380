//! Component statuses: how the store, the scheduler and the controller manager are, asked when somebody wants to know.
//!
//! Upstream: pkg/registry/core/componentstatus, pkg/registry/core/rest/storage_core.go (serversToValidate), pkg/probe/http
//! Left out: redirects; they are no answer. Upstream lists in whatever order the answers come, we by name.
//!
//! `etcd-0` is the store, whichever it is: tools look for it under that name, as they do in /livez.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use api::status::Status;
use axum::body::Body;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, join_all};
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use store::{Revision, StoreError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{call::Call, list, proxy::forward::unverified_tls};
use crate::{
    answer::{self, Extent},
    core::Core,
    object::{Draft, Object, ObjectKey},
    row::Row,
    selection::Selection,
};

/// Upstream's `probeTimeOut`.
const PATIENCE: Duration = Duration::from_secs(20);
/// As much as probes read.
const LONGEST_BODY_BYTES: usize = 10 << 10;

/// Where the components on this machine say how they are. As upstream, nobody can say otherwise but a test.
#[derive(Debug, Clone, Copy)]
pub struct HealthPorts {
    pub controller_manager: u16,
    pub scheduler: u16,
}

impl Default for HealthPorts {
    fn default() -> HealthPorts {
        HealthPorts { controller_manager: 10257, scheduler: 10259 }
    }
}

/// What a probe found.
#[derive(Debug, PartialEq)]
enum Finding {
    /// And what it said.
    Healthy(String),
    /// What it said of itself, or why nobody could ask.
    Unhealthy { message: String, error: String },
    /// The answer broke off.
    Unknown { error: String },
}

/// Lists the components, or gets one.
///
/// # Errors
/// 500, as upstream, for a component that there is not; 405 for everything but reading.
pub async fn answer(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let (info, shape) = (call.info(), call.format.shape);
    match info.verb {
        "list" => {
            let selection = Selection::of(info, call.row)?;
            shape.check_extent(call.row, Extent::List)?;
            let probes = probes(call.server).map(async |(name, probe)| object(call.row, name, probe.await));
            let mut found: Vec<Arc<Object>> = join_all(probes).await;
            found.retain(|object| selection.matches(call.row, object));
            list::answer(call, list::Page::of_unstored(found))
        }
        "get" => {
            let probe = probes(call.server).into_iter().find(|(name, _)| *name == info.name);
            let missing = || Status::new(500, "", format!("Component not found: {}", info.name));
            let (name, probe) = probe.ok_or_else(missing)?;
            shape.check_extent(call.row, Extent::One)?;
            let object = object(call.row, name, probe.await);
            Ok(answer::object(200, call.format, call.row, &object, call.now().as_second()))
        }
        _ => Err(Status::method_not_allowed()),
    }
}

/// The components in the order of their names, each with what finds out how it is once it is awaited.
fn probes(server: &Core) -> [(&'static str, BoxFuture<'_, Finding>); 3] {
    let ports = server.health_ports;
    [
        ("controller-manager", probe_port(ports.controller_manager).boxed()),
        ("etcd-0", probe_store(server).boxed()),
        ("scheduler", probe_port(ports.scheduler).boxed()),
    ]
}

fn object(row: &Row, name: &str, finding: Finding) -> Arc<Object> {
    let object = Draft::of(row, &component_status(name, finding));
    Arc::new(object.at(ObjectKey::new("", name), Revision(0)))
}

/// The object that tells what was found.
fn component_status(name: &str, finding: Finding) -> Value {
    let (status, message, error) = match finding {
        Finding::Healthy(message) => ("True", message, String::new()),
        Finding::Unhealthy { message, error } => ("False", message, error),
        Finding::Unknown { error } => ("Unknown", String::new(), error),
    };
    let mut condition = json!({"type": "Healthy", "status": status});
    for (field, text) in [("message", message), ("error", error)] {
        if !text.is_empty() {
            condition[field] = text.into();
        }
    }
    json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition],
    })
}

/// Whether the store answers; there is nothing more to say of one that does.
async fn probe_store(server: &Core) -> Finding {
    let late = || StoreError::Unavailable("context deadline exceeded".into());
    let answered = tokio::time::timeout(PATIENCE, server.store.current()).await.unwrap_or_else(|_| Err(late()));
    match answered {
        Ok(_) => Finding::Healthy("ok".into()),
        Err(error) => Finding::Unhealthy { message: String::new(), error: error.to_string() },
    }
}

/// What is said at /healthz of a port of this machine.
async fn probe_port(port: u16) -> Finding {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let asked = async {
        let response = match get_health(address).await {
            Ok(response) => response,
            Err(why) => return unreached(address, &why),
        };
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST_BODY_BYTES).collect().await;
        judge(code, body.map(|body| body.to_bytes()).map_err(|error| error.to_string()))
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| unreached(address, "context deadline exceeded"))
}

/// Sends the request. As upstream, whoever answers at the port is believed: components sign their own certificates.
async fn get_health(address: SocketAddr) -> Result<Response<hyper::body::Incoming>, String> {
    let dialled = TcpStream::connect(address).await;
    let stream = dialled.map_err(|error| format!("dial tcp {address}: connect: {}", plain(&error)))?;
    let tls = TlsConnector::from(Arc::new(unverified_tls())).connect(ServerName::from(address.ip()), stream).await;
    let stream = TokioIo::new(tls.map_err(|error| error.to_string())?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get("/healthz")
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "kube-probe/1.35")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a request of constants and an address is well formed");
    sender.send_request(request).await.map_err(|error| error.to_string())
}

/// A socket error in Go's words, without the number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}

fn unreached(address: SocketAddr, why: &str) -> Finding {
    Finding::Unhealthy { message: format!("Get \"https://{address}/healthz\": {why}"), error: String::new() }
}

/// What an answer means.
fn judge(code: u16, body: Result<Bytes, String>) -> Finding {
    match (code, body) {
        (_, Err(error)) => Finding::Unknown { error },
        (200..=299, Ok(body)) => Finding::Healthy(String::from_utf8_lossy(&body).into_owned()),
        _ => {
            let message = format!("HTTP probe failed with statuscode: {code}");
            Finding::Unhealthy { message, error: String::new() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(finding: Finding, condition: Value) {
        let object = json!({
            "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": "scheduler"}, "conditions": [condition],
        });
        assert_eq!(component_status("scheduler", finding), object);
    }

    #[test]
    fn what_a_healthy_component_says_is_the_message() {
        check(judge(200, Ok("ok".into())), json!({"type": "Healthy", "status": "True", "message": "ok"}));
    }

    #[test]
    fn a_component_that_is_not_healthy_is_told_by_its_code_alone() {
        let message = "HTTP probe failed with statuscode: 500";
        check(judge(500, Ok("why".into())), json!({"type": "Healthy", "status": "False", "message": message}));
    }

    #[test]
    fn an_answer_that_breaks_off_tells_nothing() {
        let condition = json!({"type": "Healthy", "status": "Unknown", "error": "unexpected EOF"});
        check(judge(200, Err("unexpected EOF".into())), condition);
    }

    #[test]
    fn a_store_that_fails_says_why() {
        let error = "etcd does not answer";
        let finding = Finding::Unhealthy { message: String::new(), error: error.into() };
        check(finding, json!({"type": "Healthy", "status": "False", "error": error}));
    }
}
