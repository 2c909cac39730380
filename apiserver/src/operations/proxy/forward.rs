//! Passes one request on over a connection, and its answer back: what headers go along, and what is changed in them.
//!
//! Upstream: apimachinery/pkg/util/proxy/{upgradeaware,transport}.go, net/http/httputil (ReverseProxy)
//! Left out: trailers.

use std::sync::Arc;

use api::status::Status;
use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts, uri::PathAndQuery,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::unreachable;

/// Meant for the next machine only, not for the one behind it.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
];
/// Credentials and claims that are for the API server.
const OURS: [&str; 3] = ["impersonate-", "x-remote-", "x-skiff-"];

/// The headers that go along: the client's, without those for us, with where the request came from.
pub fn request_headers(parts: &Parts, authority: &HeaderValue) -> HeaderMap {
    let mut headers = parts.headers.clone();
    let named: Vec<String> = listed(&headers);
    let is_ours = |name: &HeaderName| {
        *name == header::AUTHORIZATION || OURS.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let removed: Vec<HeaderName> =
        headers.keys().filter(|name| is_ours(name) || is_hop_by_hop(name, &named)).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
    let host = headers.insert(header::HOST, authority.clone());
    let mut say = |name: &'static str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    };
    say("x-forwarded-uri", HeaderValue::from_str(parts.uri.path()).ok());
    say("x-forwarded-host", host);
    say("x-forwarded-proto", Some(HeaderValue::from_static("https")));
    headers
}

/// The headers that a message's own Connection header says are for the next machine only.
fn listed(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn is_hop_by_hop(name: &HeaderName, listed: &[String]) -> bool {
    HOP_BY_HOP.contains(name) || listed.iter().any(|each| each == name.as_str())
}

/// Sends the request and answers as the other side does, both bodies as streams.
///
/// # Errors
/// 503 when the connection breaks before there is an answer.
pub async fn send(
    parts: &Parts,
    headers: HeaderMap,
    target: PathAndQuery,
    prefix: &str,
    authority: &HeaderValue,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    body: Body,
) -> Result<Response<Body>, Status> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| unreachable(&error))?;
    tokio::spawn(connection);
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = target.into();
    *request.headers_mut() = headers;
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    let (mut answer, body) = answer.into_parts();
    let named = listed(&answer.headers);
    let is_removed = |name: &HeaderName| is_hop_by_hop(name, &named) || name.as_str().starts_with("access-control-");
    let removed: Vec<HeaderName> = answer.headers.keys().filter(|name| is_removed(name)).cloned().collect();
    for name in removed {
        answer.headers.remove(name);
    }
    if let Some(place) = answer.headers.get(header::LOCATION).and_then(|place| here(place, prefix, authority)) {
        answer.headers.insert(header::LOCATION, place);
    }
    Ok(Response::from_parts(answer, Body::new(body)))
}

/// A redirect within the other side, as the client must ask for it; none for one to elsewhere.
fn here(place: &HeaderValue, prefix: &str, authority: &HeaderValue) -> Option<HeaderValue> {
    let place: Uri = place.to_str().ok()?.parse().ok()?;
    let is_there = place.authority().is_none_or(|host| host.as_str().as_bytes() == authority.as_bytes());
    let path = place.path_and_query().filter(|_| is_there)?.as_str();
    HeaderValue::from_str(&format!("{prefix}{path}")).ok().filter(|_| path.starts_with('/'))
}

/// A request without a path is sent to the one that ends in a slash, or the links of the answer would lead astray.
pub fn to_root(uri: &Uri) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(place) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// TLS as upstream speaks it to pods: encrypted, but nobody can know a pod's certificate.
pub fn unverified_tls() -> ClientConfig {
    component::install_crypto_provider();
    let algorithms = CryptoProvider::get_default().map(|provider| provider.signature_verification_algorithms);
    let verifier = Unverified(algorithms.expect("the crypto provider has just been installed"));
    let builder = ClientConfig::builder().dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[derive(Debug)]
struct Unverified(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use http_body_util::BodyExt;

    use super::*;

    /// What a backend that `router` makes gets and what it answers, proxied from a path of a pod.
    async fn check(router: Router, request: Request<Body>) -> (Response<()>, String) {
        let (near, far) = tokio::io::duplex(4096);
        let service = hyper_util::service::TowerToHyperService::new(router);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
        let (parts, body) = request.into_parts();
        let authority = HeaderValue::from_static("10.0.0.7:80");
        let headers = request_headers(&parts, &authority);
        let target = PathAndQuery::from_static("/a%2Fb?x=1");
        let answer = send(&parts, headers, target, "/prefix/proxy", &authority, near, body).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (Response::from_parts(parts, ()), text)
    }

    fn request(method: &str, headers: &[(&str, &str)], body: &'static str) -> Request<Body> {
        let request = Request::builder().method(method).uri("/prefix/proxy/a%2Fb?x=1").header("host", "api:6443");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn method_path_query_and_body_arrive_and_credentials_do_not() {
        let echo = Router::new().fallback(|request: axum::extract::Request| async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut headers: Vec<String> =
                parts.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
            headers.sort();
            format!("{} {} {} {}", parts.method, parts.uri, headers.join(","), String::from_utf8_lossy(&body))
        });
        let sent = [
            ("authorization", "Bearer secret"),
            ("impersonate-user", "root"),
            ("x-remote-user", "root"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("cookie", "a=b"),
        ];
        let (_, seen) = check(echo, request("PATCH", &sent, "body")).await;
        assert_eq!(
            seen,
            "PATCH /a%2Fb?x=1 content-length=4,cookie=a=b,host=10.0.0.7:80,x-forwarded-host=api:6443,\
             x-forwarded-proto=https,x-forwarded-uri=/prefix/proxy/a%2Fb body"
        );
    }

    #[tokio::test]
    async fn redirects_within_the_backend_lead_through_the_proxy() {
        for (given, expected) in [
            ("/login", "/prefix/proxy/login"),
            ("http://10.0.0.7:80/login?a=b", "/prefix/proxy/login?a=b"),
            ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ] {
            let router = Router::new().fallback(move || async move {
                (StatusCode::FOUND, [("location", given), ("access-control-allow-origin", "*")])
            });
            let (answer, _) = check(router, request("GET", &[], "")).await;
            assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (302, expected));
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
    }
}
