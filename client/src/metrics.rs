//! The numbers of what every component does: its work queues, its requests, its standing for election.
//!
//! Upstream: component-base/metrics/prometheus/{workqueue,restclient}, component-base/metrics/prometheus/clientgo/leaderelection
//! Left out: sizes of requests and answers, slow paths of elections; rate limits of clients, which have none here.

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::WorkQueue;

/// Upstream's buckets for requests, in seconds.
const REQUEST_BUCKETS: [f64; 12] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: Code,
    method: &'static str,
    host: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: &'static str,
    host: Arc<str>,
}

/// How a request ended; None when there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Code(pub(crate) Option<u16>);

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        match self.0 {
            Some(code) => code.encode(encoder),
            None => "<error>".encode(encoder),
        }
    }
}

type Durations<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// A component's numbers. Cheap to clone; clones share them. The default ones are shown nowhere.
#[derive(Debug, Clone)]
pub struct Metrics {
    adds: Family<Name, Counter>,
    retries: Family<Name, Counter>,
    waits: Durations<Name>,
    work: Durations<Name>,
    loads: Arc<Loads>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations<DurationLabels>,
    leads: Family<Name, Gauge>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        // Upstream's buckets: from a microsecond to a quarter of an hour.
        let of_a_queue = || Histogram::new(exponential_buckets(1e-6, 10.0, 10));
        Metrics {
            adds: Family::default(),
            retries: Family::default(),
            waits: Family::new_with_constructor(of_a_queue),
            work: Family::new_with_constructor(of_a_queue),
            loads: Arc::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            leads: Family::default(),
        }
    }
}

impl Metrics {
    /// Numbers that `registry` shows.
    pub fn new(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        // The encoder adds `_total` to a counter's name.
        registry.register("workqueue_adds", "Keys that were added to the queue", metrics.adds.clone());
        registry.register("workqueue_retries", "Keys that were added for later", metrics.retries.clone());
        let help = "How long a key waits before it is worked on";
        registry.register("workqueue_queue_duration_seconds", help, metrics.waits.clone());
        let help = "How long a key is in hand, until its own writes are seen";
        registry.register("workqueue_work_duration_seconds", help, metrics.work.clone());
        registry.register_collector(Box::new(metrics.loads.clone()));
        let help = "Requests to the API server by how they ended";
        registry.register("rest_client_requests", help, metrics.requests.clone());
        let help = "Time to the beginning of the API server's answer";
        registry.register("rest_client_request_duration_seconds", help, metrics.durations.clone());
        registry.register("leader_election_master_status", "1 while this process leads", metrics.leads.clone());
        metrics
    }

    /// A work queue that counts under `name`.
    pub fn work_queue<T: Clone + Eq + Hash + Send + Sync + 'static>(&self, name: &'static str) -> WorkQueue<T> {
        let label = Name { name };
        let queue = WorkQueue::counted(QueueMetrics {
            adds: self.adds.get_or_create(&label).clone(),
            retries: self.retries.get_or_create(&label).clone(),
            waits: self.waits.get_or_create(&label).clone(),
            work: self.work.get_or_create(&label).clone(),
        });
        let load = queue.load_when_asked();
        self.loads.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(load)));
        queue
    }

    /// Says whether this process leads, in the election for the Lease `name`.
    pub fn leads(&self, name: &'static str) -> Gauge {
        self.leads.get_or_create(&Name { name }).clone()
    }

    pub(crate) fn requested(&self, host: &Arc<str>, method: &'static str, code: Code, took: Duration) {
        let labels = RequestLabels { code, method, host: host.clone() };
        self.requests.get_or_create(&labels).inc();
        let labels = DurationLabels { verb: method, host: host.clone() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// What one work queue counts as it goes.
#[derive(Debug, Clone)]
pub(crate) struct QueueMetrics {
    pub(crate) adds: Counter,
    pub(crate) retries: Counter,
    pub(crate) waits: Histogram,
    pub(crate) work: Histogram,
}

impl Default for QueueMetrics {
    fn default() -> QueueMetrics {
        let [waits, work] = [(); 2].map(|()| Histogram::new([]));
        QueueMetrics { adds: Counter::default(), retries: Counter::default(), waits, work }
    }
}

/// How busy a work queue is now.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Keys that wait.
    pub(crate) depth: usize,
    /// For how long the keys in hand have been there, all together.
    pub(crate) unfinished: Duration,
    pub(crate) longest: Duration,
}

/// What a gauge shows of a load.
type ValueOf = fn(&Load) -> f64;
type LoadOf = Box<dyn Fn() -> Option<Load> + Send + Sync>;

/// The queues that are asked how busy they are when somebody wants to know.
#[derive(Default)]
struct Loads(Mutex<Vec<(&'static str, LoadOf)>>);

impl fmt::Debug for Loads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loads")
    }
}

impl Collector for Loads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loads: Vec<_> = queues.iter().filter_map(|(name, load)| Some((*name, load()?))).collect();
        if loads.is_empty() {
            return Ok(());
        }
        let gauges: [(&str, &str, ValueOf); 3] = [
            ("workqueue_depth", "Keys that wait to be worked on", |load| load.depth as f64),
            ("workqueue_unfinished_work_seconds", "For how long the keys in hand have been there, together", |load| {
                load.unfinished.as_secs_f64()
            }),
            (
                "workqueue_longest_running_processor_seconds",
                "For how long the oldest key in hand has been there",
                |load| load.longest.as_secs_f64(),
            ),
        ];
        for (metric, help, value) in gauges {
            let mut encoder = encoder.encode_descriptor(metric, help, None, MetricType::Gauge)?;
            for (name, load) in &loads {
                ConstGauge::new(value(load)).encode(encoder.encode_family(&[("name", *name)])?)?;
            }
        }
        Ok(())
    }
}

/// A request under way.
pub(crate) struct Stopwatch {
    metrics: Metrics,
    host: Arc<str>,
    method: &'static str,
    began: Instant,
}

impl Stopwatch {
    pub(crate) fn start(metrics: Metrics, host: Arc<str>, method: &http::Method) -> Stopwatch {
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => "other",
        };
        Stopwatch { metrics, host, method, began: Instant::now() }
    }

    pub(crate) fn stop(self, code: Option<u16>) {
        self.metrics.requested(&self.host, self.method, Code(code), self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[tokio::test]
    async fn a_queue_counts_what_waits_what_was_in_hand_and_what_comes_again() {
        let mut registry = Registry::default();
        let queue: WorkQueue<&str> = Metrics::new(&mut registry).work_queue("replicaset");
        for key in ["a", "a", "b", "c"] {
            queue.add(key);
        }
        assert_eq!(queue.next().await, "a");
        queue.retry("a");
        queue.done(&"a");
        let told = text(&registry);
        for line in [
            "workqueue_adds_total{name=\"replicaset\"} 3",
            "workqueue_retries_total{name=\"replicaset\"} 1",
            "workqueue_depth{name=\"replicaset\"} 2.0",
            "workqueue_unfinished_work_seconds{name=\"replicaset\"} 0.0",
            "workqueue_longest_running_processor_seconds{name=\"replicaset\"} 0.0",
            "workqueue_queue_duration_seconds_count{name=\"replicaset\"} 1",
            "workqueue_work_duration_seconds_count{name=\"replicaset\"} 1",
        ] {
            assert!(told.lines().any(|each| each == line), "{line} is not in\n{told}");
        }
        drop(queue);
        assert!(!text(&registry).contains("workqueue_depth"));
    }
}
