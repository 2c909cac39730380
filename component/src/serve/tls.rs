//! The TLS listener: accepts, shakes hands, and runs a router over HTTP/1 and HTTP/2.
//!
//! Upstream: apiserver/pkg/server/secure_serving.go, dynamiccertificates

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use jiff::Timestamp;
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::gather::gathered;
use crate::pki::{self, Leaf, Usage};

/// A peer that has not finished its handshake, or the headers of its request, by now is not coming.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long answers under way may take once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// A certificate that a component makes for itself lives as long as upstream's.
const SELF_SIGNED_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The serving certificate, when there is one.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone)]
pub enum ClientCertificates {
    NotAsked,
    /// One that is shown must be issued by an authority in this file; showing none is allowed.
    VerifiedAgainst(PathBuf),
}

/// The verified certificates that the client showed, as an extension of the request. Empty when it showed none.
#[derive(Debug, Clone, Default)]
pub struct PeerCertificates(pub Arc<Vec<CertificateDer<'static>>>);

/// Where the client is, as an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The TLS configuration of a server. Without files it serves with a certificate of its own making, for `host`.
///
/// # Errors
/// Names the file that can't be used.
pub fn server_config(
    files: Option<&TlsFiles>,
    host: &str,
    clients: &ClientCertificates,
) -> anyhow::Result<Arc<ServerConfig>> {
    crate::install_crypto_provider();
    let (chain, key) = match files {
        Some(files) => (pki::read_certificates(&files.certificate)?, pki::read_key(&files.key)?),
        None => self_signed(host)?,
    };
    let builder = ServerConfig::builder();
    let builder = match clients {
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
        ClientCertificates::VerifiedAgainst(file) => {
            let roots = Arc::new(pki::read_roots(file)?);
            let verifier = WebPkiClientVerifier::builder(roots).allow_unauthenticated().build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn self_signed(host: &str) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let leaf = Leaf {
        common_name: host.to_owned(),
        organizations: Vec::new(),
        names: vec![host.to_owned(), "localhost".to_owned()],
        addresses: vec![IpAddr::from([127, 0, 0, 1])],
        usage: Usage::Server,
        lifetime: SELF_SIGNED_LIFETIME,
    };
    let issued = pki::self_signed(&leaf, Timestamp::now())?;
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes())?];
    Ok((chain, PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes())?))
}

/// Serves `router` until `shutdown`, then lets answers under way finish for a few seconds.
///
/// # Errors
/// Only a listener that is broken for good; a bad connection ends itself.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let address = PeerAddress(address);
                let connection = connection(stream, address, acceptor.clone(), router.clone(), shutdown.clone());
                connections.spawn(connection);
            }
            Err(error) => {
                // Out of file descriptors, most likely: others will be closed, so try again in a moment.
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    address: PeerAddress,
    acceptor: TlsAcceptor,
    router: Router,
    shutdown: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let shown = stream.get_ref().1.peer_certificates().map(|chain| chain.iter().map(|one| one.clone().into_owned()));
    let peer = PeerCertificates(Arc::new(shown.map(Iterator::collect).unwrap_or_default()));
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(address);
        request
    });
    let service = TowerToHyperService::new(service);
    let ended = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => gathered(stream, |stream| answer(stream, service, shutdown)).await,
        _ => answer(stream, service, shutdown).await,
    };
    if let Err(error) = ended {
        tracing::debug!(error, "connection ended");
    }
}

/// Answers the requests that come on a stream.
async fn answer<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    shutdown: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: hyper::service::Service<http::Request<hyper::body::Incoming>, Response = http::Response<B>> + Send,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(250);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::ClientConfig;
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::{
        pki::{ClusterPki, Identity, ServerNames},
        serve::{Health, health_routes},
    };

    #[tokio::test]
    async fn a_client_that_trusts_the_authority_is_served_and_known_by_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::at(folder.path());
        let names = ServerNames::of_api_server([10, 96, 0, 1].into(), "cluster.local", &ServerNames::default());
        pki.ensure_control_plane(&names, Timestamp::now()).unwrap();
        let files = TlsFiles { certificate: pki.path("apiserver.crt"), key: pki.path("apiserver.key") };
        let clients = ClientCertificates::VerifiedAgainst(pki.path("ca.crt"));
        let tls = server_config(Some(&files), "localhost", &clients).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let who = |peer: axum::Extension<PeerCertificates>| async move {
            pki::inspect_der(&peer.0.0[0]).unwrap().subject.common_name
        };
        let router = health_routes(Health::default()).route("/who", axum::routing::get(who));
        let server = tokio::spawn(serve(listener, tls, router, shutdown.clone()));

        let issued = pki.issue_client(&Identity::admin(), Timestamp::now()).unwrap();
        let roots = pki::read_roots(&pki.path("ca.crt")).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        for (path, expected) in [("/readyz", "ok"), ("/who", "skiff-admin")] {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = TlsConnector::from(Arc::new(client.clone())).connect(name, stream).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(expected), "{answer}");
        }
        shutdown.cancel();
        server.await.unwrap().unwrap();
    }
}
