//! HTTP/2 connections to an API server, as client-go makes them.
//!
//! Upstream: client-go/transport
//! Left out: reconnecting: a lost connection fails the run.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How many bytes may be under way, per stream and per connection: Go's numbers.
const WINDOWS: (u32, u32) = (4 << 20, 1 << 30);

/// What answers are encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    Json,
    Protobuf,
}

/// One connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    token: String,
    encoding: Encoding,
}

/// Several connections, which clients share evenly.
pub struct Connections(Vec<Connection>);

impl Connections {
    /// Opens `count` of them.
    ///
    /// # Errors
    /// The server can't be reached, or isn't the one that `authority` signed.
    pub async fn open(server: SocketAddr, authority: &Path, token: &str, count: usize) -> anyhow::Result<Connections> {
        let roots = component::pki::read_roots(authority)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(server).await.context("connect")?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(ServerName::from(server.ip()), stream).await.context("TLS")?;
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(WINDOWS.0)
                .initial_connection_window_size(WINDOWS.1)
                .keep_alive_interval(Duration::from_secs(30))
                .handshake(TokioIo::new(stream))
                .await?;
            tokio::spawn(connection);
            connections.push(Connection {
                sender,
                authority: server.to_string(),
                token: format!("Bearer {token}"),
                encoding: Encoding::Json,
            });
        }
        Ok(Connections(connections))
    }

    pub fn first(&self) -> Connection {
        self.of(0)
    }

    /// The same connections, asked for answers of that encoding.
    pub fn asking_for(self, encoding: Encoding) -> Connections {
        Connections(self.0.into_iter().map(|connection| connection.asking_for(encoding)).collect())
    }

    /// The connection of a client by its number.
    pub fn of(&self, client: usize) -> Connection {
        self.0[client % self.0.len()].clone()
    }
}

impl Connection {
    /// The same connection, asked for answers of that encoding.
    pub fn asking_for(self, encoding: Encoding) -> Connection {
        Connection { encoding, ..self }
    }

    /// One request; returns the answer's body.
    ///
    /// # Errors
    /// The answer is not a 2xx; with its text.
    pub async fn send(&mut self, method: &str, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let response = self.begin(method, path, body).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// One request; returns the answer as soon as its headers are there.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn begin(&mut self, method: &str, path: &str, body: Bytes) -> anyhow::Result<Response<Incoming>> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let accept = match self.encoding {
            Encoding::Json => "application/json",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header(header::AUTHORIZATION, &self.token)
            .header(header::USER_AGENT, "skiff-bench")
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
