//! Passes an upgrade (SPDY/3.1, WebSocket) on to a backend; after its 101 only bytes travel, whatever they mean.
//!
//! The backend's answer decides: anything but a 101 goes back as an ordinary answer and its connection is closed, so a
//! refused upgrade never leaves a connection behind that speaks with somebody else's rights.
//!
//! Upstream: apimachinery/pkg/util/proxy/upgradeaware.go
//! Left out: redirects of the backend, and idle time limits: containerd's streaming server has one of 4 hours.

use axum::body::Body;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// As much as is read of a refusal.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// The headers of an upgrade that its protocol needs. Credentials are not among them.
const PASSED_ON: [header::HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::USER_AGENT,
];
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";

/// Why nothing was passed on.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The client didn't ask for one, or its connection can't be upgraded: HTTP/2 has no such thing.
    #[error("Upgrade request required")]
    NotAsked,
    /// The backend's connection broke.
    #[error("error dialing backend: {0}")]
    Backend(#[from] hyper::Error),
}

/// Whether a request asks for its connection to be upgraded.
pub fn is_asked(headers: &HeaderMap) -> bool {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = connection.flat_map(|value| value.split(','));
    headers.contains_key(header::UPGRADE) && tokens.any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Sends the client's upgrade to `target` of `host` over `backend`, and answers as the backend does.
///
/// Of the client's headers only those go along that the upgrade's protocol needs.
///
/// # Errors
/// As for [`tunnel`].
pub async fn pass_on(
    request: &mut Parts,
    host: &Authority,
    target: PathAndQuery,
    backend: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Response<Body>, UpgradeError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(host.as_str()).expect("an authority is visible ASCII"));
    for (name, value) in &request.headers {
        if PASSED_ON.contains(name) || name.as_str() == STREAM_PROTOCOL {
            headers.append(name, value.clone());
        }
    }
    tunnel(request, headers, target, backend).await
}

/// As [`pass_on`], with these headers, and those of the client that ask for the upgrade.
///
/// After a 101 the bytes of both ends are passed on until one of them closes, also when this process is asked to stop.
///
/// # Errors
/// [`UpgradeError::NotAsked`] without having called the backend, or [`UpgradeError::Backend`].
pub async fn tunnel(
    request: &mut Parts,
    headers: HeaderMap,
    target: PathAndQuery,
    backend: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Response<Body>, UpgradeError> {
    let client = request.extensions.remove::<OnUpgrade>().filter(|_| is_asked(&request.headers));
    let client = client.ok_or(UpgradeError::NotAsked)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(backend)).await?;
    tokio::spawn(connection.with_upgrades());
    let asked = upgrade_request(request, headers, target);
    let mut answer = sender.send_request(asked).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(refusal(answer).await);
    }
    let backend = hyper::upgrade::on(&mut answer);
    tokio::spawn(async move {
        let (client, backend) = match tokio::try_join!(client, backend) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgrade was not completed"),
        };
        let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
            tracing::debug!(%error, "a tunnel broke");
        }
    });
    let (parts, _) = answer.into_parts();
    Ok(Response::from_parts(parts, Body::empty()))
}

fn upgrade_request(asked: &Parts, headers: HeaderMap, target: PathAndQuery) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = target.into();
    *request.headers_mut() = headers;
    for name in [header::CONNECTION, header::UPGRADE] {
        if let Some(value) = asked.headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request
}

/// A backend that doesn't upgrade has refused, even if it calls that a success.
async fn refusal(answer: Response<hyper::body::Incoming>) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let text = Limited::new(body, MAX_REFUSAL_BYTES).collect().await.map(|all| all.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    let refused = parts.status.is_client_error() || parts.status.is_server_error();
    *response.status_mut() = if refused { parts.status } else { StatusCode::BAD_GATEWAY };
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::{Request, State};
    use axum::response::IntoResponse;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// A connection to an HTTP/1.1 server.
    fn served(router: Router) -> DuplexStream {
        let (near, far) = tokio::io::duplex(4096);
        let service = hyper_util::service::TowerToHyperService::new(router);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
        tokio::spawn(connection.with_upgrades());
        near
    }

    /// A proxy in front of the router that `backend` makes.
    fn proxy(backend: fn() -> Router) -> DuplexStream {
        let handler = move |State(backend): State<fn() -> Router>, request: Request| async move {
            let (mut parts, _) = request.into_parts();
            let (host, target) = (Authority::from_static("backend"), PathAndQuery::from_static("/there?x=1"));
            match pass_on(&mut parts, &host, target, served(backend())).await {
                Ok(answer) => answer,
                Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
            }
        };
        served(Router::new().fallback(handler).with_state(backend))
    }

    async fn until_blank_line(stream: &mut DuplexStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    const ASK: &[u8] = b"POST /here HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
        X-Stream-Protocol-Version: v4.channel.k8s.io\r\nAuthorization: Bearer secret\r\n\r\n";

    /// Upgrades and echoes, after having said what it was asked for.
    fn echo() -> Router {
        Router::new().fallback(|request: Request| async move {
            let seen = format!("{} {:?}\n", request.uri(), request.headers().get("authorization"));
            let upgrade = request.extensions().get::<OnUpgrade>().cloned().unwrap();
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                stream.write_all(seen.as_bytes()).await.unwrap();
                let (mut read, mut write) = tokio::io::split(stream);
                tokio::io::copy(&mut read, &mut write).await.unwrap();
            });
            let headers = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
            (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
        })
    }

    #[tokio::test]
    async fn after_the_101_bytes_travel_and_credentials_have_not() {
        let mut client = proxy(echo);
        client.write_all(ASK).await.unwrap();
        let head = until_blank_line(&mut client).await;
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: spdy/3.1"), "{head}");
        client.write_all(b"\x80\x03any bytes").await.unwrap();
        let expected = b"/there?x=1 None\n\x80\x03any bytes";
        let mut got = vec![0; expected.len()];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);
    }

    #[tokio::test]
    async fn a_backend_that_does_not_upgrade_has_refused_and_the_connection_ends() {
        for (router, expected) in [
            ((|| Router::new().fallback(|| async { "fine" })) as fn() -> Router, "http/1.1 502"),
            (|| Router::new().fallback(|| async { (StatusCode::FORBIDDEN, "no") }), "http/1.1 403"),
            (|| Router::new().fallback(|| async { StatusCode::FOUND }), "http/1.1 502"),
        ] {
            let mut client = proxy(router);
            client.write_all(ASK).await.unwrap();
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.unwrap();
            let text = String::from_utf8(all).unwrap().to_lowercase();
            assert!(text.starts_with(expected), "{text}");
        }
    }

    #[tokio::test]
    async fn a_request_for_no_upgrade_is_answered_here() {
        let mut client = proxy(|| Router::new().fallback(|| async { "the backend was called" }));
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        let text = String::from_utf8(all).unwrap();
        assert!(text.starts_with("HTTP/1.1 400") && text.ends_with("Upgrade request required"), "{text}");
    }
}
