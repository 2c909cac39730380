//! The subresources of a pod that its kubelet answers: log, exec, attach, port-forward.
//!
//! Upstream: pkg/registry/core/pod/strategy.go (LogLocation, ExecLocation ...), pkg/registry/core/pod/rest
//! Left out: WebSocket's v5 channel and SPDY inside WebSocket, which containerd's streaming server doesn't speak:
//!   clients that offer only those are refused and fall back to SPDY.

use api::status::Status;
use axum::body::Body;
use component::upgrade::{self, UpgradeError};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{call::Call, get};
use crate::{kubelet_client::Connection, object::ObjectKey, row::Subresource};

pub mod location;

use location::Location;

/// As much as is read of what a kubelet says about a failure.
const MAX_REFUSAL_BYTES: usize = 64 << 10;
/// What the runtime's streaming server doesn't speak.
const NOT_SPOKEN: [&str; 2] = ["v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"];

/// Passes the request on to the kubelet of the pod's node.
pub async fn answer(call: &Call<'_>, subresource: Subresource, parts: &Parts) -> Result<Response<Body>, Status> {
    let is_log = subresource == Subresource::Log;
    let fits = parts.method == Method::GET || (parts.method == Method::POST && !is_log);
    if !fits {
        return Err(Status::method_not_allowed());
    }
    if !is_log {
        may_create(call)?;
    }
    let pod = get::find(call).await?.value();
    let Some(location) = location::of(&pod, subresource, call.query)? else {
        // The pod is on no node yet: it has logged nothing.
        return Ok(empty(StatusCode::NO_CONTENT));
    };
    let node = node(call, &location.node)?;
    if is_log {
        return log(call, &location, &node).await;
    }
    let mut parts = parts.clone();
    only_spoken_protocols(&mut parts.headers)?;
    if !upgrade::is_asked(&parts.headers) {
        return Err(Status::bad_request(UpgradeError::NotAsked.to_string()));
    }
    let kubelet = to_kubelet(call, &node).await?;
    upgrade::pass_on(&mut parts, &kubelet.host, location.path_and_query, kubelet.stream).await.map_err(|error| {
        match error {
            UpgradeError::NotAsked => Status::bad_request(error.to_string()),
            UpgradeError::Backend(_) => Status::internal(error),
        }
    })
}

/// Running something is `create`, also when a WebSocket opens with a GET (upstream's
/// AuthorizePodWebsocketUpgradeCreatePermission, on since 1.35).
fn may_create(call: &Call<'_>) -> Result<(), Status> {
    if call.info().verb == "create" {
        return Ok(());
    }
    let mut info = call.info().clone();
    info.verb = "create";
    call.server.authorizer.permit(call.user(), &info.into()).map(drop)
}

/// The node of the pod. Without one there is nowhere to go, whatever the request asks for. As upstream, which takes the
/// name of what is missing from the request, it is called a pod.
fn node(call: &Call<'_>, name: &str) -> Result<Value, Status> {
    let nodes = call.server.memory.table("", "nodes").ok_or_else(Status::no_such_path)?;
    let node = nodes.get(&ObjectKey::new("", name));
    Ok(node.ok_or_else(|| Status::not_found("", "pods", name))?.value())
}

/// A connection to the kubelet of `node`.
///
/// # Errors
/// 500 when it can't be reached, or is not the kubelet of that node.
pub async fn to_kubelet(call: &Call<'_>, node: &Value) -> Result<Connection, Status> {
    let kubelets = call.server.kubelets.as_ref();
    let kubelets = kubelets.ok_or_else(|| {
        Status::internal("this API server has no certificate for kubelets: --kubelet-client-certificate is not set")
    })?;
    kubelets.connect(node).await.map_err(|error| {
        tracing::warn!(node = node["metadata"]["name"].as_str(), %error, "a kubelet can't be reached");
        Status::internal(format!("error dialing backend: {error}"))
    })
}

/// Streams the log as the kubelet does.
async fn log(call: &Call<'_>, location: &Location, node: &Value) -> Result<Response<Body>, Status> {
    let Connection { stream, host } = to_kubelet(call, node).await?;
    let path_and_query = &location.path_and_query;
    let broken =
        |error: &dyn std::fmt::Display| Status::internal(format!("Get \"https://{host}{path_and_query}\": {error}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let request = Request::get(path_and_query.as_str()).header(header::HOST, host.as_str()).body(Body::empty());
    let request = request.map_err(|error| broken(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(failure(call, answer).await);
    }
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Body::new(answer.into_body());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// What the kubelet's refusal is for the client.
async fn failure(call: &Call<'_>, answer: Response<hyper::body::Incoming>) -> Status {
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect().await;
    let text = body.map(|all| String::from_utf8_lossy(&all.to_bytes()).into_owned()).unwrap_or_default();
    let name = &call.info().name;
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::NOT_FOUND => Status {
            message: format!("the server could not find the requested resource ( pods/log {name})"),
            ..Status::not_found("", "pods/log", name)
        },
        StatusCode::FORBIDDEN => Status { message: text, ..Status::forbidden("", "pods/log", name, "") },
        _ => Status::internal(text),
    }
}

/// Takes the protocols out of a WebSocket's offer that the runtime doesn't speak.
///
/// # Errors
/// 400 when nothing is left; the client then tries SPDY.
fn only_spoken_protocols(headers: &mut HeaderMap) -> Result<(), Status> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<String> = offers.flat_map(|offer| offer.split(',')).map(|each| each.trim().to_owned()).collect();
    if offered.is_empty() {
        return Ok(());
    }
    let spoken: Vec<&str> = offered.iter().map(String::as_str).filter(|each| !NOT_SPOKEN.contains(each)).collect();
    if spoken.is_empty() {
        let message =
            format!("unable to upgrade: none of the offered protocols [{}] is spoken here", offered.join(" "));
        return Err(Status::bad_request(message));
    }
    if let Ok(value) = HeaderValue::from_str(&spoken.join(", ")) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    Ok(())
}

fn empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offers: &[&'static str]) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
        }
        only_spoken_protocols(&mut headers).map_err(|status| status.code)?;
        let left = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().map(|value| value.to_str().unwrap());
        Ok(left.collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn a_websocket_is_offered_only_what_the_runtime_speaks() {
        assert_eq!(check(&["v5.channel.k8s.io, v4.channel.k8s.io"]), Ok("v4.channel.k8s.io".into()));
        assert_eq!(check(&["v5.channel.k8s.io", "v4.channel.k8s.io"]), Ok("v4.channel.k8s.io".into()));
        assert_eq!(check(&["v5.channel.k8s.io"]), Err(400));
        assert_eq!(check(&["SPDY/3.1+portforward.k8s.io"]), Err(400));
        assert_eq!(check(&[]), Ok(String::new()));
    }
}
