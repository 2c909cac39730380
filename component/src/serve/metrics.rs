//! Metrics in the text format.
//!
//! Upstream: component-base/metrics/legacyregistry
//! Left out: Prometheus' older text format.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use prometheus_client::registry::Registry;

/// The answer with all numbers of `registry`.
pub fn encode(registry: &Registry) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => {
            ([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
