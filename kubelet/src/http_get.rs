//! The HTTP requests of probes and hooks, straight to a pod's address.
//!
//! Upstream: pkg/probe/http, pkg/kubelet/lifecycle/handlers.go
//! Left out: proxies; a probe goes to the pod itself.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const USER_AGENT: &str = "kube-probe/1.35";
const MAX_BODY_BYTES: usize = 10 << 10;
const MAX_REDIRECTS: usize = 10;

/// Succeeds on a status from 200 to 399. A redirect to the same host is followed; one to another host is a success.
///
/// # Errors
/// What went wrong, in the words of the `Unhealthy` event.
pub async fn probe(get: &HTTPGetAction, container: &Container, pod_ip: &str) -> Result<(), String> {
    let mut uri = target(get, container, pod_ip)?;
    for _ in 0..MAX_REDIRECTS {
        let response = send(get, &uri).await.map_err(|error| format!("Get \"{uri}\": {error}"))?;
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            match same_host_redirect(&uri, &response) {
                Some(next) => uri = next,
                None => return Ok(()),
            }
            continue;
        }
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        // Read what was said, so that the server can finish its answer.
        let _ = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
        return Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()));
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

/// The port of an action: a number, or the name of one of the container's ports.
pub fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|known| known.name.as_deref() == Some(name));
            match named {
                Some(known) => known.container_port,
                None => name.parse().map_err(|_| format!("couldn't find port: {name}"))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

/// `host:port`, with brackets around an IPv6 address.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A socket error as Go words it, without the number.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "no route to host".into(),
        _ => error.to_string(),
    }
}

fn target(get: &HTTPGetAction, container: &Container, pod_ip: &str) -> Result<Uri, String> {
    let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let host = get.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(pod_ip);
    let port = port(&get.port, container)?;
    let path = get.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{}{slash}{path}", authority(host, port)).parse().map_err(|error| format!("{error}"))
}

async fn send(get: &HTTPGetAction, uri: &Uri) -> Result<Response<Incoming>, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| format!("dial tcp {}: connect: {}", authority(host, port), plain(&error)))?;
    let request = request(get, uri)?;
    if !is_https {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(host.to_string()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(unverified()).connect(name, stream).await.map_err(|error| error.to_string())?;
    exchange(stream, request).await
}

fn request(get: &HTTPGetAction, uri: &Uri) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path).body(Empty::new()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert("user-agent", HeaderValue::from_static(USER_AGENT));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert("connection", HeaderValue::from_static("close"));
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    headers.insert("host", HeaderValue::from_str(authority).map_err(|error| error.to_string())?);
    for header in get.http_headers.iter().flatten() {
        let name: HeaderName = header.name.parse().map_err(|_| format!("bad header name {}", header.name))?;
        headers.insert(name, HeaderValue::from_str(&header.value).map_err(|error| error.to_string())?);
    }
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| error.to_string())
}

fn same_host_redirect(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    let location = response.headers().get("location")?.to_str().ok()?;
    if location.starts_with('/') {
        return format!("{}://{}{location}", from.scheme_str()?, from.authority()?).parse().ok();
    }
    let to: Uri = location.parse().ok()?;
    (to.host() == from.host()).then_some(to)
}

/// Probes speak TLS to check that a server answers, not who it is: pods sign their own certificates.
fn unverified() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = versions.expect("the provider supports TLS 1.2 and 1.3").dangerous();
    Arc::new(config.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
