//! How many requests there were, how they ended and how long they took: /metrics.
//!
//! Upstream: apiserver/pkg/endpoints/metrics/metrics.go
//! Left out: sizes of answers, watches under way, everything about admission; histograms of the storage.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::Response;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{attributes::RequestInfo, memory::Memory, row::Row};

/// Upstream's buckets, in seconds.
const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// What a request was about. Only what the server knows itself gets into a label, so that no client can make many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    verb: &'static str,
    group: Cow<'static, str>,
    version: Cow<'static, str>,
    resource: Cow<'static, str>,
    subresource: &'static str,
    scope: &'static str,
    component: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CountLabels {
    code: u16,
    dry_run: &'static str,
    #[prometheus(flatten)]
    about: Labels,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FlightLabels {
    request_kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    resource: String,
}

type Durations = Family<Labels, Histogram, fn() -> Histogram>;

/// The API server's numbers. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<CountLabels, Counter>,
    durations: Durations,
    /// Under way, those that change something and those that don't.
    flights: [Gauge; 2],
    objects: Family<ObjectLabels, Gauge>,
    registry: Arc<Mutex<Registry>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let requests = Family::default();
        let durations: Durations = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let mut registry = Registry::default();
        component::process::register(&mut registry);
        // The encoder adds `_total` to a counter's name.
        registry.register("apiserver_request", "Requests by what they were about and how they ended", requests.clone());
        let help = "Time to the beginning of the answer";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        let flying: Family<FlightLabels, Gauge> = Family::default();
        let flights =
            ["mutating", "readOnly"].map(|request_kind| flying.get_or_create(&FlightLabels { request_kind }).clone());
        let help = "Requests under way, but for watches and sessions";
        registry.register("apiserver_current_inflight_requests", help, flying);
        let objects: Family<ObjectLabels, Gauge> = Family::default();
        registry.register("apiserver_storage_objects", "Objects by kind", objects.clone());
        Metrics { requests, durations, flights, objects, registry: Arc::new(Mutex::new(registry)) }
    }
}

/// A request under way.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
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
            group: row.group.clone(),
            version: row.versions.iter().find(|each| **each == info.version).cloned().unwrap_or_default(),
            resource: row.plural.clone(),
            subresource: subresource.unwrap_or_default(),
            scope: match (info.name.is_empty(), info.namespace.is_empty()) {
                (false, _) => "resource",
                (true, false) => "namespace",
                (true, true) => "cluster",
            },
            component: "apiserver",
        }
    }
}

impl Metrics {
    /// Counts a request that was answered with `code`.
    pub fn observe(&self, (labels, dry_run): (Labels, bool), code: u16, took: Duration) {
        let counted = CountLabels { code, dry_run: if dry_run { "All" } else { "" }, about: labels };
        self.requests.get_or_create(&counted).inc();
        if counted.about.verb != "WATCH" {
            self.durations.get_or_create(&counted.about).observe(took.as_secs_f64());
        }
    }

    /// Counts a request among those under way for as long as the answer lives. None for one that may last: upstream
    /// counts these apart.
    pub fn takes_off(&self, info: &RequestInfo) -> Option<InFlight> {
        let is_session = matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy" | "log");
        if info.verb == "watch" || is_session {
            return None;
        }
        let changes = !matches!(info.verb, "get" | "list" | "head" | "options");
        let gauge = self.flights[usize::from(!changes)].clone();
        gauge.inc();
        Some(InFlight(gauge))
    }

    /// The text that Prometheus reads; `memory` is counted now.
    pub fn answer(&self, memory: &Memory) -> Response<Body> {
        for row in memory.rows() {
            let Some(table) = memory.table(&row.group, &row.plural) else { continue };
            let count = i64::try_from(table.snapshot().in_namespace("").count()).unwrap_or(i64::MAX);
            self.objects.get_or_create(&ObjectLabels { resource: row.qualified() }).set(count);
        }
        let registry = self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        component::serve::metrics_text(&registry)
    }
}
