//! The kubelet's HTTPS server: logs, exec, attach and port-forward, and what tools read of a node.
//!
//! Everything but the health check on loopback stands behind the `gate`, unknown paths too.
//!
//! Upstream: pkg/kubelet/server/server.go
//! Left out: /run, /checkpoint, /logs, /debug, /configz, /stats; the read-only port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use client::{Cache, ObjectKey};
use component::serve::{self, ClientCertificates, Health, TlsFiles};
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::acts::Acts;
use crate::config::ServerConfig;

pub mod attributes;
pub mod container_logs;
pub mod gate;
mod metrics;
pub mod streams;

use gate::Gate;

/// What the handlers share.
#[derive(Clone)]
pub struct Server {
    pub acts: Arc<Acts>,
    pub pods: Cache<Pod>,
    gate: Arc<Gate>,
}

/// A listener and its certificates: what can be wrong with them is known before the kubelet begins.
pub struct Bound {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    health: Option<TcpListener>,
}

/// Takes the ports.
///
/// # Errors
/// A port is taken, or the certificates can't be used.
pub async fn bind(config: &ServerConfig, node: &str) -> anyhow::Result<Bound> {
    let files = config.tls.clone().map(|(certificate, key)| TlsFiles { certificate, key });
    let clients = config.client_ca.clone().map(ClientCertificates::VerifiedAgainst);
    let tls = serve::server_config(files.as_ref(), node, &clients.unwrap_or(ClientCertificates::NotAsked))?;
    let address = SocketAddr::new(config.address, config.port);
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("can't listen on {address}; is another kubelet running?"))?;
    // Without TLS and without asking who it is, as upstream: on loopback only.
    let health = match config.healthz_port {
        0 => None,
        port => Some(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await),
    };
    let health = health.transpose().unwrap_or_else(|error| {
        warn!(%error, port = config.healthz_port, "health is served on the secure port only");
        None
    });
    Ok(Bound { listener, tls, health })
}

impl Server {
    pub fn new(acts: Arc<Acts>, pods: Cache<Pod>) -> Self {
        let gate = Arc::new(Gate::new(acts.client.clone(), &acts.config.node_name));
        Self { acts, pods, gate }
    }

    /// Serves until shutdown; `registry` is what it shows at /metrics, with what the pods say.
    pub async fn run(self, bound: Bound, registry: Registry, shutdown: CancellationToken) {
        let health = Health::default();
        if let Some(listener) = bound.health {
            let router = serve::health_routes(health.clone());
            let stop = shutdown.clone().cancelled_owned();
            tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop).into_future());
        }
        let router = self.routes(registry).merge(serve::health_routes(health));
        let router = router.layer(from_fn_with_state(self.gate.clone(), guard));
        if let Err(error) = serve::serve(bound.listener, bound.tls, router, shutdown).await {
            warn!(%error, "the server has stopped");
        }
    }

    fn routes(&self, mut registry: Registry) -> Router {
        metrics::register(&mut registry, self);
        let metrics = Arc::new(registry);
        Router::new()
            .route("/pods", get(pods))
            .route("/metrics", get(|| async move { serve::metrics_text(&metrics) }))
            .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs::serve))
            .route("/exec/{namespace}/{pod}/{container}", get(streams::exec).post(streams::exec))
            .route("/exec/{namespace}/{pod}/{uid}/{container}", get(streams::exec).post(streams::exec))
            .route("/attach/{namespace}/{pod}/{container}", get(streams::attach).post(streams::attach))
            .route("/attach/{namespace}/{pod}/{uid}/{container}", get(streams::attach).post(streams::attach))
            .route("/portForward/{namespace}/{pod}", get(streams::port_forward).post(streams::port_forward))
            .route("/portForward/{namespace}/{pod}/{uid}", get(streams::port_forward).post(streams::port_forward))
            .with_state(self.clone())
            .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
    }

    /// The pod of that name on this node.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods.get(&ObjectKey::new(namespace, name))
    }
}

async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match gate.pass(&parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => *refusal,
    }
}

/// The pods of this node, as a list.
async fn pods(State(server): State<Server>) -> Response {
    let pods = server.pods.list();
    let list = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods });
    ([("content-type", "application/json")], list.to_string()).into_response()
}
