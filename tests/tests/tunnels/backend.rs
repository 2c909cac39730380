//! A small web server as a pod would be one: over http or https, with an echo over WebSocket at `/echo`.
//!
//! Upstream: RFC 6455

use std::{net::SocketAddr, sync::Arc};

use aws_lc_rs::digest;
use axum::{Router, extract::Request, response::IntoResponse, routing::get};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What a WebSocket's key is hashed with.
const HANDSHAKE: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The first byte of a whole message of text.
const TEXT: u8 = 0x81;

/// Serves plain http on an address.
pub async fn serve(address: SocketAddr) -> SocketAddr {
    serve_over(address, |stream| async { Some(stream) }).await
}

/// Serves https, with a certificate that nobody has heard of, for a name that is not the address.
pub async fn serve_tls(address: SocketAddr) -> SocketAddr {
    let issued = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(issued.cert)];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve_over(address, move |stream| {
        let accepting = acceptor.accept(stream);
        async { accepting.await.ok() }
    })
    .await
}

async fn serve_over<S, F>(address: SocketAddr, accept: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<S>> + Send,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/echo", get(echo)).fallback(seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(stream) = accept(stream).await else { continue };
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Says what it was asked for, and whether somebody's credentials came along.
async fn seen(request: Request) -> String {
    let has_credentials = request.headers().contains_key("authorization");
    format!("{} {} {has_credentials}", request.method(), request.uri())
}

async fn echo(headers: HeaderMap, request: Request) -> impl IntoResponse {
    let asked = request.uri().to_string();
    let upgrade = request.extensions().get::<OnUpgrade>().cloned().unwrap();
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        say(&mut stream, &asked).await;
        while let Some(text) = hear(&mut stream).await {
            say(&mut stream, &text.to_uppercase()).await;
        }
    });
    let key = headers["sec-websocket-key"].to_str().unwrap();
    let answer = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let protocol = headers.get("sec-websocket-protocol").cloned().unwrap();
    let accepted = [("sec-websocket-accept", accept_of(key))];
    (StatusCode::SWITCHING_PROTOCOLS, answer, accepted, [("sec-websocket-protocol", protocol)])
}

/// What a server answers to a client's key.
pub fn accept_of(key: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{HANDSHAKE}").as_bytes());
    BASE64_STANDARD.encode(hash.as_ref())
}

/// Sends a short message, as a server does.
async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    stream.write_all(&[&[TEXT, length], text.as_bytes()].concat()).await.unwrap();
}

/// Receives a short message of a client; none at the end.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.ok()?;
    assert_eq!((head[0], head[1] & 0x80), (TEXT, 0x80), "a client masks what it says");
    let mut text = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut text).await.unwrap();
    Some(masked(&text, &head[2..]))
}

/// A short message as a client sends it.
pub fn of_client(text: &str) -> Vec<u8> {
    let mask = [7, 0x80, 0, 0xff];
    let masked: Vec<u8> = text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[TEXT, 0x80 | u8::try_from(text.len()).unwrap()], &mask[..], &masked].concat()
}

fn masked(text: &[u8], mask: &[u8]) -> String {
    String::from_utf8(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()).unwrap()
}
