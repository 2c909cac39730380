//! The proxy's health on port 10256 and its metrics on 10249, and what the DNS shows: plain HTTP, in upstream's words.
//!
//! Upstream: pkg/proxy/healthcheck/proxy_health.go, cmd/kube-proxy/app/server.go (serveMetrics); CoreDNS
//!   plugin/{metrics,health,ready}
//! Left out: profiling, configz.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How far the kernel is behind what the cluster asks for.
#[derive(Debug)]
pub struct Progress {
    /// Runs that fail for longer than this are not healthy.
    patience: Duration,
    runs: watch::Sender<Runs>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Runs {
    /// When the oldest change was seen that is not in the kernel yet.
    pending_since: Option<Timestamp>,
    last_updated: Option<Timestamp>,
    /// When the newest change was seen.
    last_queued: Option<Timestamp>,
    node_leaves: bool,
}

impl Progress {
    /// As upstream, twice the period between full runs is waited for a run to end well.
    pub fn new(sync_period: Duration) -> Progress {
        Progress { patience: sync_period * 2, runs: watch::Sender::default() }
    }

    /// A change is seen. Its run begins in a moment, or after the one that is under way.
    pub fn queued(&self, now: Timestamp) {
        self.runs.send_modify(|runs| runs.last_queued = Some(now));
    }

    /// A run begins, whatever for.
    pub fn began(&self, now: Timestamp) {
        self.runs.send_modify(|runs| runs.pending_since = runs.pending_since.or(Some(now)));
    }

    /// A run ended well: all that was seen before it is in the kernel.
    pub fn ended(&self, now: Timestamp) {
        self.runs.send_modify(|runs| (runs.pending_since, runs.last_updated) = (None, Some(now)));
    }

    /// When a run was last due because of a change, and when one last ended well.
    pub fn last_runs(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let runs = *self.runs.borrow();
        (runs.last_queued, runs.last_updated)
    }

    /// Waits until a run has ended well and none is due.
    pub async fn settled(&self) {
        let mut runs = self.runs.subscribe();
        let settled = runs.wait_for(|runs| runs.last_updated.is_some() && runs.pending_since.is_none()).await;
        drop(settled.expect("the sender is in self"));
    }

    /// Says whether the node is about to be deleted, so that load balancers should let go of it.
    pub fn node_leaves(&self, leaves: bool) {
        self.runs.send_modify(|runs| runs.node_leaves = leaves);
    }

    /// Do runs end well? Whether the node is about to be deleted is not asked.
    pub fn is_healthy(&self, now: Timestamp) -> bool {
        self.answer(Asked::Livez, now).0 == StatusCode::OK
    }

    /// The answer of /healthz, which load balancers ask, and of /livez, which asks only about this process.
    fn answer(&self, asked: Asked, now: Timestamp) -> (StatusCode, serde_json::Value) {
        let runs = *self.runs.borrow();
        let late = runs.pending_since.is_some_and(|since| now.duration_since(since).unsigned_abs() > self.patience);
        let healthy = !late && (asked == Asked::Livez || (runs.last_updated.is_some() && !runs.node_leaves));
        // Without a change there is nothing to be behind of: the rules are as of now.
        let last_updated = if runs.pending_since.is_none() { Some(now) } else { runs.last_updated };
        let mut body = serde_json::json!({"lastUpdated": last_updated, "currentTime": now});
        if asked == Asked::Healthz {
            body["nodeEligible"] = (!runs.node_leaves).into();
        }
        (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Healthz,
    Livez,
}

/// Serves /healthz and /livez for whoever may reach the port.
///
/// # Errors
/// The address is taken.
pub async fn health(address: SocketAddr, progress: Arc<Progress>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let answer = |asked: Asked| {
        move |State(progress): State<Arc<Progress>>| async move {
            let (status, body) = progress.answer(asked, Timestamp::now());
            let headers = [("content-type", "application/json"), ("x-content-type-options", "nosniff")];
            (status, headers, body.to_string()).into_response()
        }
    };
    let router =
        Router::new().route("/healthz", get(answer(Asked::Healthz))).route("/livez", get(answer(Asked::Livez)));
    serve(address, "health", router.with_state(progress), shutdown).await
}

/// Serves /metrics, /proxyMode and /healthz; by default on 127.0.0.1 only.
///
/// # Errors
/// The address is taken.
pub async fn metrics(address: SocketAddr, metrics: Arc<Metrics>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let text = |State(metrics): State<Arc<Metrics>>| async move { component::serve::metrics_text(&metrics.registry) };
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/proxyMode", get(|| async { "iptables" }))
        .route("/healthz", get(|| async { "ok" }));
    serve(address, "metrics", router.with_state(metrics), shutdown).await
}

/// Serves the DNS's /metrics, /health and /ready; by default on 127.0.0.1 only.
///
/// # Errors
/// The address is taken.
pub async fn dns(
    address: SocketAddr,
    registry: Registry,
    is_ready: Arc<AtomicBool>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let registry = Arc::new(registry);
    let text = |State(registry): State<Arc<Registry>>| async move { component::serve::metrics_text(&registry) };
    let ready = move || async move {
        if is_ready.load(Ordering::Relaxed) {
            return (StatusCode::OK, "OK");
        }
        // The plugin that has not heard of the cluster yet.
        (StatusCode::SERVICE_UNAVAILABLE, "kubernetes")
    };
    let router =
        Router::new().route("/metrics", get(text)).route("/health", get(|| async { "OK" })).route("/ready", get(ready));
    serve(address, "metrics of the DNS", router.with_state(registry), shutdown).await
}

async fn serve(address: SocketAddr, what: &str, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot serve {what} on {address}"))?;
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Timestamp {
        format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60).parse().unwrap()
    }

    #[test]
    fn a_proxy_is_healthy_from_its_first_run_on_and_while_runs_end_well() {
        let progress = Progress::new(Duration::from_secs(30));
        let check = |asked, second, expected: u16| assert_eq!(progress.answer(asked, at(second)).0.as_u16(), expected);
        progress.began(at(1));
        check(Asked::Healthz, 2, 503);
        check(Asked::Livez, 2, 200);
        progress.ended(at(3));
        check(Asked::Healthz, 200, 200);
        progress.began(at(210));
        progress.began(at(240));
        check(Asked::Healthz, 269, 200);
        check(Asked::Healthz, 271, 503);
        check(Asked::Livez, 271, 503);
        progress.ended(at(272));
        check(Asked::Healthz, 273, 200);
    }

    #[test]
    fn a_node_that_leaves_is_alive_but_gets_no_traffic() {
        let progress = Progress::new(Duration::from_secs(30));
        progress.ended(at(1));
        progress.node_leaves(true);
        let (status, body) = progress.answer(Asked::Healthz, at(2));
        assert_eq!((status.as_u16(), &body["nodeEligible"]), (503, &serde_json::json!(false)));
        assert_eq!(progress.answer(Asked::Livez, at(2)).0.as_u16(), 200);
    }
}
