//! What a component other than the API server shows of itself, and to whom: health to everybody, /metrics to those
//! who may get it.
//!
//! Upstream: apiserver/pkg/server/config.go (as the scheduler and the controller manager use it)
//! Left out: profiling, configz.

pub mod gate;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use http::StatusCode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::{self, ClientCertificates, Health};
use gate::Gate;

/// What a component shows beside its health, and to whom.
pub struct Monitoring {
    pub registry: Registry,
    /// Asked before everything but health.
    pub gate: Gate,
    /// The authority that clients' certificates are of; without it only tokens tell who asks.
    pub client_authority: Option<PathBuf>,
}

/// Takes the port of a component.
///
/// # Errors
/// The port is taken.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("can't listen on {address}; is the port in use?"))
}

impl Monitoring {
    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// A certificate can't be made or read.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Monitoring { registry, gate, client_authority } = self;
        let clients = client_authority.map_or(ClientCertificates::NotAsked, ClientCertificates::VerifiedAgainst);
        let tls = serve::server_config(None, "localhost", &clients)?;
        let router = serve::health_routes(Health::default()).merge(guarded(Arc::new(registry), Arc::new(gate)));
        serve::serve(listener, tls, router, shutdown).await?;
        Ok(())
    }
}

/// The routes behind the gate; that there is nothing at a path is also not told to everybody.
fn guarded(registry: Arc<Registry>, gate: Arc<Gate>) -> Router {
    let unknown = || async { (StatusCode::NOT_FOUND, "404 page not found\n") };
    let read = move || async move { serve::metrics_text(&registry) };
    Router::new().route("/metrics", get(read)).fallback(unknown).layer(from_fn_with_state(gate, guard))
}

async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match gate.pass_to_path(&parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => *refusal,
    }
}
