//! HTTP/2 connections to an API server, as client-go makes them: as cheap as they can be, for they run on the server's
//! cores.
//!
//! Upstream: client-go/transport
//! Left out: reconnecting: a lost connection fails the run.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use bytes::Bytes;
use component::serve::gather::gathered;
use h2::{RecvStream, client::SendRequest};
use http::{Request, Response, header};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, sync::oneshot};
use tokio_rustls::TlsConnector;

/// How many bytes may be under way, per stream and per connection: Go's numbers.
const WINDOWS: (u32, u32) = (4 << 20, 1 << 30);

/// Servers say themselves how many streams they allow; until then a connection begins no more than so many.
const FIRST_STREAMS: usize = 100;

/// What answers are encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    Json,
    Protobuf,
}

/// One connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Bytes>,
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
            let (opened, sender) = oneshot::channel();
            tokio::spawn(gathered(stream, async move |stream| {
                let handshake = h2::client::Builder::new()
                    .initial_window_size(WINDOWS.0)
                    .initial_connection_window_size(WINDOWS.1)
                    .initial_max_send_streams(FIRST_STREAMS)
                    .handshake(stream);
                match handshake.await {
                    Ok((sender, connection)) => {
                        let _ = opened.send(Ok(sender));
                        // Whoever waits for an answer is told what became of the connection.
                        let _ = connection.await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            }));
            let sender = sender.await.context("HTTP/2")??;
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
        let body = response.into_body().whole().await?;
        ensure!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Reads what is at `path` to its end without keeping it; returns how many bytes there were.
    ///
    /// # Errors
    /// The answer is not a 2xx.
    pub async fn read(&mut self, path: &str) -> anyhow::Result<usize> {
        let response = self.begin("GET", path, Bytes::new()).await?;
        let status = response.status();
        ensure!(status.is_success(), "GET {path}: {status}");
        let (mut body, mut bytes) = (response.into_body(), 0);
        while let Some(piece) = body.next().await? {
            bytes += piece.len();
        }
        Ok(bytes)
    }

    /// One request; returns the answer as soon as its headers are there.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn begin(&mut self, method: &str, path: &str, body: Bytes) -> anyhow::Result<Response<Answer>> {
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
            .body(())?;
        // A clone holds the request that it waits for, and `self` is free for the next one.
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut sending) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(body, true)?;
        }
        Ok(response.await?.map(Answer))
    }
}

/// The body of an answer, as it arrives.
pub struct Answer(RecvStream);

impl Answer {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let Some(piece) = self.0.data().await.transpose()? else { return Ok(None) };
        self.0.flow_control().release_capacity(piece.len())?;
        Ok(Some(piece))
    }

    async fn whole(mut self) -> anyhow::Result<Bytes> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut whole = [first, second].concat();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}
