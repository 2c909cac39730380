//! The numbers of the scheduler, under upstream's names: attempts, how long pods wait, what is in the queue.
//!
//! Upstream: pkg/scheduler/metrics/metrics.go, pkg/scheduler/framework/events.go
//! Left out: numbers of plugins, extension points, preemption and goroutines; the size of the cache; what of a pod or a
//!   node an update changed (it is the event's name upstream).

use std::sync::Arc;
use std::time::Duration;

use client::Numbers;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Upstream's names of what puts a pod into a queue.
pub mod event {
    pub const POD_ADDED: &str = "UnschedulablePodAdd";
    pub const POD_UPDATED: &str = "UnschedulablePodUpdate";
    pub const GATES_ELIMINATED: &str = "UnschedulablePodUpdatePodSchedulingGatesEliminated";
    pub const ATTEMPT_FAILED: &str = "ScheduleAttemptFailure";
    pub const BACKOFF_COMPLETE: &str = "BackoffComplete";
    pub const ASSIGNED_POD_DELETED: &str = "AssignedPodDelete";
}

/// Where a pod waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Active,
    Backoff,
    Unschedulable,
    Gated,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Active => "active",
            Place::Backoff => "backoff",
            Place::Unschedulable => "unschedulable",
            Place::Gated => "gated",
        }
    }
}

/// How an attempt to give a pod a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    Scheduled,
    Unschedulable,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    result: &'static str,
    profile: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptsLabels {
    attempts: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IncomingLabels {
    event: &'static str,
    queue: &'static str,
}

type Durations<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// All numbers of the scheduler. Cheap to clone; clones share them. The default ones are shown nowhere.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) client: client::Metrics,
    profile: Arc<str>,
    attempts: Family<AttemptLabels, Counter>,
    attempt_seconds: Durations<AttemptLabels>,
    algorithm_seconds: Histogram,
    pod_seconds: Durations<AttemptsLabels>,
    pod_attempts: Histogram,
    pending: Family<QueueLabels, Gauge>,
    incoming: Family<IncomingLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        // Upstream's buckets: from a millisecond to 16 seconds, and from 10 milliseconds to an hour and a half.
        let of_an_attempt = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let of_a_pod = || Histogram::new(exponential_buckets(0.01, 2.0, 20));
        Metrics {
            client: client::Metrics::default(),
            profile: "".into(),
            attempts: Family::default(),
            attempt_seconds: Family::new_with_constructor(of_an_attempt),
            algorithm_seconds: of_an_attempt(),
            pod_seconds: Family::new_with_constructor(of_a_pod),
            pod_attempts: Histogram::new(exponential_buckets(1.0, 2.0, 5)),
            pending: Family::default(),
            incoming: Family::default(),
        }
    }
}

impl Metrics {
    /// Numbers that are shown with `numbers`, of the profile of this name.
    pub fn new(numbers: &mut Numbers, profile: &str) -> Metrics {
        let metrics = Metrics { client: numbers.metrics.clone(), profile: profile.into(), ..Metrics::default() };
        let registry = numbers.registry.sub_registry_with_prefix("scheduler");
        // The encoder adds `_total` to a counter's name.
        let help = "Attempts to give a pod a node, by how they ended";
        registry.register("schedule_attempts", help, metrics.attempts.clone());
        let help = "Time of an attempt, from the decision to the end of the binding";
        registry.register("scheduling_attempt_duration_seconds", help, metrics.attempt_seconds.clone());
        let help = "Time of a decision";
        registry.register("scheduling_algorithm_duration_seconds", help, metrics.algorithm_seconds.clone());
        let help = "Time from a pod's first coming into the active queue until it has a node";
        registry.register("pod_scheduling_sli_duration_seconds", help, metrics.pod_seconds.clone());
        let help = "Attempts until a pod had a node";
        registry.register("pod_scheduling_attempts", help, metrics.pod_attempts.clone());
        registry.register("pending_pods", "Pods that wait, by queue", metrics.pending.clone());
        let help = "Pods that came into a queue, by what put them there";
        registry.register("queue_incoming_pods", help, metrics.incoming.clone());
        metrics
    }

    pub(crate) fn decided(&self, took: Duration) {
        self.algorithm_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn attempted(&self, attempt: Attempt, took: Duration) {
        let result = match attempt {
            Attempt::Scheduled => "scheduled",
            Attempt::Unschedulable => "unschedulable",
            Attempt::Error => "error",
        };
        let labels = AttemptLabels { result, profile: self.profile.clone() };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A pod has a node, at its attempt of this number and after this time.
    pub(crate) fn scheduled(&self, attempts: u32, waited: Duration) {
        // As upstream, so that a pod that is tried again and again makes no label of its own each time.
        let label = if attempts >= 15 { "15+".to_owned() } else { attempts.to_string() };
        self.pod_seconds.get_or_create(&AttemptsLabels { attempts: label }).observe(waited.as_secs_f64());
        self.pod_attempts.observe(attempts.into());
    }

    pub(crate) fn incoming(&self, place: Place, event: &'static str) {
        // Upstream keeps those with gates among the unschedulable ones.
        let queue = if place == Place::Gated { Place::Unschedulable } else { place }.name();
        self.incoming.get_or_create(&IncomingLabels { event, queue }).inc();
    }

    pub(crate) fn pending(&self, place: Place, count: usize) {
        let gauge = self.pending.get_or_create(&QueueLabels { queue: place.name() });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
