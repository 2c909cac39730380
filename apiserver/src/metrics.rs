//! How many requests there were, how they ended and how long they took: /metrics.
//!
//! Upstream: apiserver/pkg/endpoints/metrics/metrics.go
//! Left out: sizes of answers, requests in flight, everything about admission and storage.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::Response;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{attributes::RequestInfo, row::Row};

/// Upstream's buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 30.0];

/// What a request was about. Only what the server knows itself gets into a label, so that no client can make many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountLabels {
    code: u16,
    #[prometheus(flatten)]
    about: Labels,
}

type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// The API server's numbers. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<CountLabels, Counter>,
    durations: Durations,
    registry: Arc<Mutex<Registry>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let requests = Family::default();
        let durations: Durations = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut registry = Registry::default();
        // The encoder adds `_total` to a counter's name.
        registry.register("apiserver_request", "Requests by what they were about and how they ended", requests.clone());
        let help = "Time to the beginning of the answer";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        Metrics { requests, durations, registry: Arc::new(Mutex::new(registry)) }
    }
}

impl Labels {
    /// For a request on a row that is served.
    pub fn of(info: &RequestInfo, row: &Row) -> Labels {
        let subresource = row.subresources.iter().map(|each| each.name()).find(|name| *name == info.subresource);
        Labels {
            verb: match info.verb {
                "get" => "GET",
                "list" => "LIST",
                "watch" => "WATCH",
                "create" => "POST",
                "update" => "PUT",
                "patch" => "PATCH",
                "delete" => "DELETE",
                "deletecollection" => "DELETECOLLECTION",
                _ => "other",
            },
            group: row.group.to_string(),
            version: info.version.clone(),
            resource: row.plural.to_string(),
            subresource: subresource.unwrap_or_default().to_owned(),
            scope: match (info.name.is_empty(), info.namespace.is_empty()) {
                (false, _) => "resource",
                (true, false) => "namespace",
                (true, true) => "cluster",
            },
        }
    }
}

impl Metrics {
    /// Counts a request that was answered with `code`.
    pub fn observe(&self, labels: Labels, code: u16, took: Duration) {
        let counted = CountLabels { code, about: labels };
        self.requests.get_or_create(&counted).inc();
        if counted.about.verb != "WATCH" {
            self.durations.get_or_create(&counted.about).observe(took.as_secs_f64());
        }
    }

    /// The text that Prometheus reads.
    pub fn answer(&self) -> Response<Body> {
        let registry = self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        component::serve::metrics_text(&registry)
    }
}
