//! The HTTPS server of every component: health, metrics, and whatever routes it adds.
//!
//! Upstream: apiserver/pkg/server/{healthz,secure_serving.go}, component-base/metrics
//! Left out: HTTP without TLS, profiling.

mod health;
mod metrics;
mod tls;

pub use health::{Health, routes as health_routes};
pub use metrics::{Authorize, encode as metrics_text, routes as metrics_routes};
pub use tls::{ClientCertificates, PeerCertificates, TlsFiles, serve, server_config};
