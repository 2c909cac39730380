//! What the kubelet counts as it goes, under upstream's names: its pods' turns and starts, its calls of the runtime.
//!
//! Upstream: pkg/kubelet/metrics/metrics.go, pkg/kubelet/kuberuntime/instrumented_services.go
//! Left out: cgroups, volumes, evictions, devices, images, the numbers by which upstream tells what its PLEG and its pod
//!   workers do; cadvisor's numbers of containers.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Upstream's buckets for a pod's turn and for its start, in seconds.
const TURN_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const START_BUCKETS: [f64; 25] = [
    0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 480.0,
    600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeName {
    node: String,
}

/// Why a pod is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// For the first time.
    Create,
    /// The API server has something new.
    Update,
    /// Something happened here, or time went by.
    Sync,
    /// It is to go.
    Kill,
}

type Durations = Family<Operation, Histogram, fn() -> Histogram>;

/// The kubelet's numbers. Cheap to clone; clones share them. The default ones are shown nowhere.
#[derive(Debug, Clone)]
pub struct Metrics {
    turns: Durations,
    starts: Histogram,
    calls: Family<Operation, Counter>,
    failures: Family<Operation, Counter>,
    call_seconds: Durations,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            turns: Family::new_with_constructor(|| Histogram::new(TURN_BUCKETS)),
            starts: Histogram::new(START_BUCKETS),
            calls: Family::default(),
            failures: Family::default(),
            call_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.5, 14))),
        }
    }
}

impl Metrics {
    /// Numbers of the kubelet of this node that `registry` shows.
    pub fn new(registry: &mut Registry, node: &str) -> Metrics {
        let metrics = Metrics::default();
        let registry = registry.sub_registry_with_prefix("kubelet");
        let names: Family<NodeName, Gauge> = Family::default();
        names.get_or_create(&NodeName { node: node.to_owned() }).set(1);
        registry.register("node_name", "Always 1; the label says which node this is", names);
        let help = "Time of one look at a pod, by why it is looked at";
        registry.register("pod_worker_duration_seconds", help, metrics.turns.clone());
        let help = "Time from the first sight of a pod until it is Running";
        registry.register("pod_start_duration_seconds", help, metrics.starts.clone());
        // The encoder adds `_total` to a counter's name.
        registry.register("runtime_operations", "Calls of the runtime", metrics.calls.clone());
        registry.register("runtime_operations_errors", "Calls of the runtime that failed", metrics.failures.clone());
        let help = "Time of a call of the runtime";
        registry.register("runtime_operations_duration_seconds", help, metrics.call_seconds.clone());
        metrics
    }

    pub(crate) fn looked(&self, turn: Turn, took: Duration) {
        let operation_type = match turn {
            Turn::Create => "create",
            Turn::Update => "update",
            Turn::Sync => "sync",
            Turn::Kill => "kill",
        };
        self.turns.get_or_create(&Operation { operation_type }).observe(took.as_secs_f64());
    }

    pub(crate) fn started(&self, took: Duration) {
        self.starts.observe(took.as_secs_f64());
    }

    pub(crate) fn called(&self, operation_type: &'static str, succeeded: bool, took: Duration) {
        let operation = Operation { operation_type };
        self.calls.get_or_create(&operation).inc();
        // Also when it is 0, so that whoever reads it sees that nothing failed.
        self.failures.get_or_create(&operation).inc_by(u64::from(!succeeded));
        self.call_seconds.get_or_create(&operation).observe(took.as_secs_f64());
    }
}
