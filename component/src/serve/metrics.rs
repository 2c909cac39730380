//! /metrics in the text format, for those whom the component lets read it.
//!
//! Upstream: component-base/metrics/legacyregistry, apiserver/pkg/server/filters

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use http::{StatusCode, request::Parts};
use prometheus_client::registry::Registry;

/// Decides whether a request may go on; a refusal is the answer to send.
///
/// Components other than the API server ask it with a TokenReview and a SubjectAccessReview.
pub type Authorize = Arc<dyn Fn(Parts) -> BoxFuture<'static, Result<Parts, Box<Response>>> + Send + Sync>;

/// Serves `registry` under /metrics. Without `authorize` nobody may read it: numbers tell about other people's work.
pub fn routes(registry: Arc<Mutex<Registry>>, authorize: Option<Authorize>) -> Router {
    let read = move || {
        let registry = registry.clone();
        async move { encode(&registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner())) }
    };
    let guard = move |request: Request, next: Next| {
        let authorize = authorize.clone();
        async move {
            let Some(authorize) = authorize else { return forbidden() };
            let (parts, body) = request.into_parts();
            match authorize(parts).await {
                Ok(parts) => next.run(Request::from_parts(parts, body)).await,
                Err(refusal) => *refusal,
            }
        }
    };
    Router::new().route("/metrics", get(read)).route_layer(from_fn(guard))
}

fn forbidden() -> Response {
    (StatusCode::FORBIDDEN, "Forbidden\n").into_response()
}

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
