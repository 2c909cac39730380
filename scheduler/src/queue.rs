//! The pods that wait for a node: ready ones by priority, failed ones in back-off, hopeless ones until the world changes.
//!
//! Upstream: pkg/scheduler/backend/queue/scheduling_queue.go
//! Left out: queueing hints per object (whole kinds wake a plugin's pods here), the five-minute flush of leftovers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::metrics::{Metrics, Place, event};
use crate::snapshot::PodInfo;

/// First and longest wait of a pod that failed; upstream's.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// A pod that waits, with its history.
#[derive(Debug, Clone)]
pub struct Queued {
    pub pod: PodInfo,
    pub attempts: u32,
    /// When it came into the active queue for the first time.
    pub entered: Instant,
    failed: Option<Instant>,
}

/// Highest priority first, then who came first.
type Order = (std::cmp::Reverse<i32>, u64);

/// All waiting pods, by uid.
#[derive(Debug, Default)]
pub struct Queue {
    pods: FxHashMap<String, Queued>,
    active: BTreeMap<Order, String>,
    places: FxHashMap<String, Order>,
    backoff: BTreeSet<(Instant, String)>,
    /// With the plugins that said no; none means that anything may help.
    unschedulable: FxHashMap<String, BTreeSet<&'static str>>,
    /// With scheduling gates: nobody may try yet.
    gated: FxHashSet<String>,
    sequence: u64,
    metrics: Metrics,
}

impl Queue {
    /// A queue that counts what comes and what waits.
    pub fn counted(metrics: Metrics) -> Queue {
        let queue = Queue { metrics, ..Queue::default() };
        queue.show();
        queue
    }

    /// Takes a pod that is new or changed; a changed one is worth another try.
    pub fn put(&mut self, uid: &str, pod: PodInfo, now: Instant) {
        match self.pods.get_mut(uid) {
            Some(queued) => {
                queued.pod = pod;
                if self.unschedulable.remove(uid).is_some() {
                    self.ready_or_backoff(uid, event::POD_UPDATED, now);
                }
            }
            None => {
                self.pods.insert(uid.to_owned(), Queued { pod, attempts: 0, entered: now, failed: None });
                let opened = self.gated.remove(uid);
                self.activate(uid, if opened { event::GATES_ELIMINATED } else { event::POD_ADDED });
            }
        }
        self.show();
    }

    /// Takes note of a pod that has scheduling gates.
    pub fn gate(&mut self, uid: &str) {
        if self.gated.insert(uid.to_owned()) {
            self.metrics.incoming(Place::Gated, event::POD_ADDED);
        }
        self.show();
    }

    /// Forgets a pod: it is gone or has a node.
    pub fn remove(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.unschedulable.remove(uid);
        self.gated.remove(uid);
        self.backoff.retain(|(_, waiting)| waiting != uid);
        if let Some(order) = self.places.remove(uid) {
            self.active.remove(&order);
        }
        self.show();
    }

    /// The next pod to be scheduled. It is no longer in the queue.
    pub fn pop(&mut self, now: Instant) -> Option<(String, Queued)> {
        while let Some((until, _)) = self.backoff.first().filter(|(until, _)| *until <= now) {
            let until = *until;
            let (_, uid) = self.backoff.pop_first().expect("the first is there");
            debug_assert!(until <= now);
            self.activate(&uid, event::BACKOFF_COMPLETE);
        }
        let (_, uid) = self.active.pop_first()?;
        self.places.remove(&uid);
        let mut queued = self.pods.remove(&uid).expect("an active pod is known");
        queued.attempts += 1;
        self.show();
        Some((uid, queued))
    }

    /// Takes back a pod that found no node.
    pub fn park(&mut self, uid: &str, queued: Queued, rejected_by: BTreeSet<&'static str>, now: Instant) {
        self.pods.insert(uid.to_owned(), Queued { failed: Some(now), ..queued });
        self.unschedulable.insert(uid.to_owned(), rejected_by);
        self.metrics.incoming(Place::Unschedulable, event::ATTEMPT_FAILED);
        self.show();
    }

    /// Takes back a pod whose binding failed.
    pub fn retry(&mut self, uid: &str, queued: Queued, now: Instant) {
        self.pods.insert(uid.to_owned(), Queued { failed: Some(now), ..queued });
        self.ready_or_backoff(uid, event::ATTEMPT_FAILED, now);
        self.show();
    }

    /// The world changed in a way that may satisfy `plugins`; `event` is upstream's name of the change.
    pub fn wake(&mut self, plugins: &[&str], event: &'static str, now: Instant) {
        let helped = |rejected_by: &BTreeSet<&str>| {
            rejected_by.is_empty() || rejected_by.iter().any(|plugin| plugins.contains(plugin))
        };
        let woken = self.unschedulable.iter().filter(|(_, rejected_by)| helped(rejected_by));
        let mut woken: Vec<String> = woken.map(|(uid, _)| uid.clone()).collect();
        woken.sort();
        for uid in woken {
            self.unschedulable.remove(&uid);
            self.ready_or_backoff(&uid, event, now);
        }
        self.show();
    }

    /// When the next back-off ends.
    pub fn next_due(&self) -> Option<Instant> {
        self.backoff.first().map(|(until, _)| *until)
    }

    fn ready_or_backoff(&mut self, uid: &str, event: &'static str, now: Instant) {
        let Some(queued) = self.pods.get(uid) else { return };
        let wait = BACKOFF.0.saturating_mul(1 << queued.attempts.saturating_sub(1).min(8)).min(BACKOFF.1);
        match queued.failed.map(|failed| failed + wait).filter(|until| *until > now) {
            Some(until) => {
                self.backoff.insert((until, uid.to_owned()));
                self.metrics.incoming(Place::Backoff, event);
            }
            None => self.activate(uid, event),
        }
    }

    fn activate(&mut self, uid: &str, event: &'static str) {
        let Some(queued) = self.pods.get(uid) else { return };
        let priority = queued.pod.pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        self.sequence += 1;
        let order = (std::cmp::Reverse(priority), self.sequence);
        if let Some(earlier) = self.places.insert(uid.to_owned(), order) {
            self.active.remove(&earlier);
        }
        self.active.insert(order, uid.to_owned());
        self.metrics.incoming(Place::Active, event);
    }

    fn show(&self) {
        self.metrics.pending(Place::Active, self.active.len());
        self.metrics.pending(Place::Backoff, self.backoff.len());
        self.metrics.pending(Place::Unschedulable, self.unschedulable.len());
        self.metrics.pending(Place::Gated, self.gated.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::{Pod, PodSpec};

    use super::*;

    fn pod(priority: i32) -> PodInfo {
        let spec = PodSpec { priority: Some(priority), ..PodSpec::default() };
        PodInfo::new(Arc::new(Pod { spec: Some(spec), ..Pod::default() }))
    }

    fn next(queue: &mut Queue, now: Instant) -> Option<String> {
        queue.pop(now).map(|(uid, _)| uid)
    }

    #[test]
    fn higher_priority_goes_first_and_equals_in_the_order_they_came() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (uid, priority) in [("a", 0), ("b", 0), ("c", 9)] {
            queue.put(uid, pod(priority), now);
        }
        assert_eq!([next(&mut queue, now), next(&mut queue, now)], [Some("c".into()), Some("a".into())]);
    }

    #[test]
    fn an_unschedulable_pod_waits_for_a_change_that_concerns_it_and_for_its_back_off() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.put("a", pod(0), now);
        let (uid, queued) = queue.pop(now).unwrap();
        queue.park(&uid, queued, BTreeSet::from(["NodeResourcesFit"]), now);
        queue.wake(&["VolumeBinding"], "PersistentVolumeAdd", now);
        assert_eq!((next(&mut queue, now), queue.next_due()), (None, None));
        queue.wake(&["NodeResourcesFit"], "NodeAdd", now);
        assert_eq!(next(&mut queue, now), None);
        assert_eq!(queue.next_due(), Some(now + Duration::from_secs(1)));
        assert_eq!(next(&mut queue, now + Duration::from_secs(1)), Some("a".into()));
    }

    #[test]
    fn what_comes_and_what_waits_is_counted() {
        let mut numbers = client::Numbers::default();
        let (mut queue, now) = (Queue::counted(Metrics::new(&mut numbers, "default-scheduler")), Instant::now());
        queue.gate("gated");
        queue.gate("gated");
        for uid in ["a", "b", "c"] {
            queue.put(uid, pod(0), now);
        }
        let (uid, queued) = queue.pop(now).unwrap();
        queue.park(&uid, queued, BTreeSet::from(["NodeResourcesFit"]), now);
        let (uid, queued) = queue.pop(now).unwrap();
        queue.retry(&uid, queued, now);
        let check = |lines: &[&str]| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &numbers.registry).unwrap();
            for line in lines {
                let line = format!("scheduler_{line}");
                assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
            }
        };
        check(&[
            "pending_pods{queue=\"active\"} 1",
            "pending_pods{queue=\"backoff\"} 1",
            "pending_pods{queue=\"unschedulable\"} 1",
            "pending_pods{queue=\"gated\"} 1",
            "queue_incoming_pods_total{event=\"UnschedulablePodAdd\",queue=\"active\"} 3",
            "queue_incoming_pods_total{event=\"UnschedulablePodAdd\",queue=\"unschedulable\"} 1",
            "queue_incoming_pods_total{event=\"ScheduleAttemptFailure\",queue=\"unschedulable\"} 1",
            "queue_incoming_pods_total{event=\"ScheduleAttemptFailure\",queue=\"backoff\"} 1",
        ]);
        queue.put("gated", pod(0), now);
        let later = now + Duration::from_secs(2);
        queue.wake(&["NodeResourcesFit"], "NodeAdd", later);
        while queue.pop(later).is_some() {}
        let opened = "event=\"UnschedulablePodUpdatePodSchedulingGatesEliminated\",queue=\"active\"";
        check(&[
            "pending_pods{queue=\"active\"} 0",
            "pending_pods{queue=\"backoff\"} 0",
            "pending_pods{queue=\"unschedulable\"} 0",
            "pending_pods{queue=\"gated\"} 0",
            &format!("queue_incoming_pods_total{{{opened}}} 1"),
            "queue_incoming_pods_total{event=\"NodeAdd\",queue=\"active\"} 1",
            "queue_incoming_pods_total{event=\"BackoffComplete\",queue=\"active\"} 1",
        ]);
    }

    #[test]
    fn a_removed_pod_does_not_come_back() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.put("a", pod(0), now);
        queue.remove("a");
        assert_eq!(next(&mut queue, now), None);
    }
}
