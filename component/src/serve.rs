//! The HTTPS server of every component: health, the text of metrics, and whatever routes it adds.
//!
//! Upstream: apiserver/pkg/server/{healthz,secure_serving.go}, component-base/metrics
//! Left out: HTTP without TLS, profiling.

pub mod gather;
mod health;
mod metrics;
mod tls;

pub use health::{Health, routes as health_routes};
pub use metrics::encode as metrics_text;
pub use tls::{ClientCertificates, PeerAddress, PeerCertificates, TlsFiles, serve, server_config};
