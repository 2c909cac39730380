//! The HTTPS server of every component: health, metrics, and whatever routes it adds.
//!
//! Upstream: apiserver/pkg/server/{healthz,secure_serving.go}, component-base/metrics
//! Left out: HTTP without TLS, profiling.

mod gather;
mod health;
mod metrics;
mod tls;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use health::{Health, routes as health_routes};
pub use metrics::{Authorize, encode as metrics_text, routes as metrics_routes};
pub use tls::{ClientCertificates, PeerAddress, PeerCertificates, TlsFiles, serve, server_config};

/// Takes a component's port for [`serve_health`].
///
/// # Errors
/// The port is taken.
pub async fn bind_health(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("can't listen on {address}; is the port in use?"))
}

/// Serves health until `shutdown`; /metrics is there, and nobody may read it yet.
///
/// # Errors
/// The certificate can't be made.
pub async fn serve_health(listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    let tls = server_config(None, "localhost", &ClientCertificates::NotAsked)?;
    let routes = health_routes(Health::default()).merge(metrics_routes(Arc::new(Mutex::default()), None));
    serve(listener, tls, routes, shutdown).await?;
    Ok(())
}
