//! exec, attach and port-forward: the runtime says where its streaming server takes the session, and the client's
//! upgrade is passed on to there.
//!
//! Upstream: pkg/kubelet/server/server.go (getExec, getAttach, getPortForward), staging/src/k8s.io/kubelet/pkg/cri/streaming
//! Left out: streaming servers on other machines than this one.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use component::query::Query;
use component::upgrade::{self, UpgradeError};
use http::{StatusCode, Uri};
use k8s_openapi::api::core::v1::Pod;
use proto::cri::{AttachRequest, ExecRequest, PortForwardRequest};
use tokio::net::TcpStream;

use super::Server;
use crate::cri::CriError;
use crate::observed;
use crate::pod_spec;

type Refused = (StatusCode, String);
type Segments = Path<Vec<(String, String)>>;

pub async fn exec(State(server): State<Server>, path: Segments, request: Request) -> Response {
    answer(request, async |query: &Query| {
        let container_id = container(&server, &path).await?;
        let Streams { stdin, stdout, stderr, tty } = Streams::of(query)?;
        let cmd = query.all("command").map(str::to_owned).collect();
        let asked = ExecRequest { container_id, cmd, tty, stdin, stdout, stderr };
        server.acts.runtime.exec(asked).await.map_err(|error| refused(&error))
    })
    .await
}

pub async fn attach(State(server): State<Server>, path: Segments, request: Request) -> Response {
    answer(request, async |query: &Query| {
        let container_id = container(&server, &path).await?;
        let Streams { stdin, stdout, stderr, tty } = Streams::of(query)?;
        let asked = AttachRequest { container_id, stdin, tty, stdout, stderr };
        server.acts.runtime.attach(asked).await.map_err(|error| refused(&error))
    })
    .await
}

pub async fn port_forward(State(server): State<Server>, path: Segments, request: Request) -> Response {
    answer(request, async |query: &Query| {
        let pod = pod(&server, &path)?;
        let runtime = observed::observe(&server.acts.runtime, pod_spec::uid(&pod)).await;
        let runtime = runtime.map_err(|error| refused(&error))?;
        let sandbox = runtime.sandbox().filter(|sandbox| sandbox.ready);
        let sandbox = sandbox.ok_or_else(|| (StatusCode::NOT_FOUND, "pod not found".to_string()))?;
        let port = query.all("port").flat_map(|list| list.split(',')).map(str::parse).collect::<Result<Vec<i32>, _>>();
        let port = port.map_err(|error| (StatusCode::BAD_REQUEST, format!("unable to parse port: {error}")))?;
        let asked = PortForwardRequest { pod_sandbox_id: sandbox.id.clone(), port };
        server.acts.runtime.port_forward(asked).await.map_err(|error| refused(&error))
    })
    .await
}

/// Asks the runtime for a session's address, and passes the client on to it.
async fn answer(request: Request, session: impl AsyncFnOnce(&Query) -> Result<String, Refused>) -> Response {
    let (mut parts, _) = request.into_parts();
    if !upgrade::is_asked(&parts.headers) {
        return (StatusCode::BAD_REQUEST, UpgradeError::NotAsked.to_string()).into_response();
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let url = match session(&query).await {
        Ok(url) => url,
        Err(refused) => return refused.into_response(),
    };
    match pass_on(&mut parts, &url).await {
        Ok(response) => response,
        Err(message) => (StatusCode::INTERNAL_SERVER_ERROR, message).into_response(),
    }
}

async fn pass_on(parts: &mut http::request::Parts, url: &str) -> Result<Response<Body>, String> {
    let url: Uri = url.parse().map_err(|error| format!("the runtime's streaming address is none: {error}"))?;
    let http::uri::Parts { authority, path_and_query, .. } = url.into_parts();
    let (Some(host), Some(target)) = (authority, path_and_query) else {
        return Err("the runtime's streaming address names no host".into());
    };
    let stream = TcpStream::connect(host.as_str()).await.map_err(|error| format!("error dialing backend: {error}"))?;
    upgrade::pass_on(parts, &host, target, stream).await.map_err(|error| error.to_string())
}

fn refused(error: &CriError) -> Refused {
    let status = match error {
        CriError::NotFound(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}

fn segment<'a>(path: &'a Segments, name: &str) -> &'a str {
    path.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

fn pod(server: &Server, path: &Segments) -> Result<std::sync::Arc<Pod>, Refused> {
    let pod = server.pod(segment(path, "namespace"), segment(path, "pod"));
    let uid = segment(path, "uid");
    let pod = pod.filter(|pod| uid.is_empty() || pod_spec::uid(pod) == uid);
    pod.ok_or_else(|| (StatusCode::NOT_FOUND, "pod does not exist".to_string()))
}

/// The newest container of that name.
async fn container(server: &Server, path: &Segments) -> Result<String, Refused> {
    let pod = pod(server, path)?;
    let name = segment(path, "container");
    let runtime =
        observed::observe(&server.acts.runtime, pod_spec::uid(&pod)).await.map_err(|error| refused(&error))?;
    let found = runtime.container(name).map(|container| container.id.clone());
    found.ok_or_else(|| (StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({name:?})")))
}

/// Which of its streams a session has.
#[derive(Debug, PartialEq)]
struct Streams {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Streams {
    fn of(query: &Query) -> Result<Self, Refused> {
        let flag = |name: &str| query.get(name) == Some("1"); // as upstream: nothing else is on
        let tty = flag("tty");
        // A terminal has one output.
        let streams = Self { stdin: flag("input"), stdout: flag("output"), stderr: flag("error") && !tty, tty };
        if streams.stdin || streams.stdout || streams.stderr {
            return Ok(streams);
        }
        Err((StatusCode::BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_had_when_it_is_asked_for() {
        let expected = Streams { stdin: false, stdout: true, stderr: true, tty: false };
        assert_eq!(Streams::of(&Query::parse("output=1&error=1&tty=0")), Ok(expected));
    }

    #[test]
    fn a_terminal_has_no_stream_of_errors() {
        let streams = Streams::of(&Query::parse("input=1&output=1&error=1&tty=1")).unwrap();
        assert!(streams.tty && !streams.stderr);
    }

    #[test]
    fn a_session_without_streams_is_refused() {
        assert_eq!(Streams::of(&Query::parse("command=sh")).unwrap_err().0, StatusCode::BAD_REQUEST);
    }
}
