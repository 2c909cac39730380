//! Clients whose requests are counted.
//!
//! Upstream: client-go/tools/metrics, client-go/rest/request.go
//! Left out: how long an answer's body takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{Layer, Service};

use crate::Metrics;
use crate::metrics::Stopwatch;

/// Counts every request that passes to the API server at `host`.
#[derive(Debug, Clone)]
pub struct CountRequests {
    metrics: Metrics,
    host: Arc<str>,
}

impl Metrics {
    /// Counts what passes through it.
    pub fn count_requests(&self, host: &str) -> CountRequests {
        CountRequests { metrics: self.clone(), host: host.into() }
    }

    /// A client that counts.
    ///
    /// # Errors
    /// The credentials can't be used.
    pub fn client(&self, config: Config) -> Result<Client, kube::Error> {
        let host = config.cluster_url.authority().map(|host| host.to_string()).unwrap_or_default();
        Ok(ClientBuilder::try_from(config)?.with_layer(&self.count_requests(&host)).build())
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, count: self.clone() }
    }
}

/// A service that counts.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    count: CountRequests,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let CountRequests { metrics, host } = self.count.clone();
        let watch = Stopwatch::start(metrics, host, request.method());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            watch.stop(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_how_they_ended() {
        let mut registry = Registry::default();
        let layer = Metrics::new(&mut registry).count_requests("10.0.0.1:6443");
        let server = tower::service_fn(|request: Request<Body>| async move {
            match request.uri().path() {
                "/gone" => Err("connection refused"),
                _ => Ok(Response::new(Body::empty())),
            }
        });
        let client = Client::new(layer.layer(server), "default");
        for path in ["/a", "/a", "/gone"] {
            let request = Request::builder().uri(path).body(Vec::new()).unwrap();
            let _ = client.request_text(request).await;
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "rest_client_requests_total{code=\"200\",method=\"GET\",host=\"10.0.0.1:6443\"} 2",
            "rest_client_requests_total{code=\"<error>\",method=\"GET\",host=\"10.0.0.1:6443\"} 1",
            "rest_client_request_duration_seconds_count{verb=\"GET\",host=\"10.0.0.1:6443\"} 3",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
    }
}
