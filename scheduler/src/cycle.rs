//! The loop: take every change into the snapshot, take the next pod, decide, act; the binding goes on beside it.
//!
//! A pod that got a node counts as being there from that moment (assumed), so the next decision sees it.
//!
//! Upstream: pkg/scheduler/{scheduler,schedule_one,eventhandlers}.go
//! Left out: nominated nodes, the permit phase.

use std::pin::pin;
use std::time::Instant;

use client::{Cache, Change, EventType, Informers, ObjectKey, Recorder};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info_span, warn};

use crate::bind::{self, Bound};
use crate::metrics::{Attempt, Metrics, event};
use crate::plugins::{
    node_affinity, node_name, node_ports, node_resources_fit, node_unschedulable, taint_toleration, volume_binding,
};
use crate::queue::Queue;
use crate::schedule::{Decision, schedule};
use crate::snapshot::{PodInfo, Snapshot};

/// The plugins that a change of a node may satisfy.
const NODE_PLUGINS: &[&str] = &[
    node_affinity::NAME,
    node_name::NAME,
    node_resources_fit::NAME,
    node_unschedulable::NAME,
    taint_toleration::NAME,
    volume_binding::NAME,
];
/// The plugins that a pod's leaving may satisfy.
const POD_PLUGINS: &[&str] = &[node_resources_fit::NAME, node_ports::NAME];

/// Schedules the pods that ask for `scheduler_name` until `shutdown`.
pub async fn run(client: Client, scheduler_name: &str, metrics: Metrics, shutdown: CancellationToken) {
    let informers = Informers::new(client.clone());
    let (pods, nodes) = (informers.of::<Pod>(), informers.of::<Node>());
    let (claims, volumes) = (informers.of::<PersistentVolumeClaim>(), informers.of::<PersistentVolume>());
    let classes = informers.of::<StorageClass>();
    let synced =
        async { tokio::join!(pods.synced(), nodes.synced(), claims.synced(), volumes.synced(), classes.synced()) };
    tokio::select! {
        _ = synced => {}
        _ = shutdown.cancelled() => return,
    }
    let (mut pod_changes, mut node_changes) = (pods.changes(), nodes.changes());
    let (mut claim_changes, mut volume_changes) = (claims.changes(), volumes.changes());
    let mut class_changes = classes.changes();
    let (bound_sender, mut bound) = mpsc::unbounded_channel();
    let mut cycle = Cycle {
        snapshot: Snapshot::default(),
        queue: Queue::counted(metrics.clone()),
        metrics,
        recorder: Recorder::new(client.clone(), scheduler_name),
        scheduler_name: scheduler_name.to_owned(),
        client,
        pods,
        claims,
        bound: bound_sender,
    };
    loop {
        let due = cycle.queue.next_due();
        let wake_up = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        // In this order: nodes and volumes before the pods that need them, every change before the next decision.
        tokio::select! {
            biased;
            _ = shutdown.cancelled() => return,
            Some(change) = node_changes.next() => cycle.node_changed(change),
            Some(change) = class_changes.next() => cycle.class_changed(change),
            Some(change) = volume_changes.next() => cycle.volume_changed(change),
            Some(change) = claim_changes.next() => cycle.claim_changed(change),
            Some(change) = pod_changes.next() => cycle.pod_changed(change),
            Some(outcome) = bound.recv() => cycle.bound(outcome),
            true = cycle.schedule_one() => {}
            _ = pin!(wake_up) => {}
        }
    }
}

struct Cycle {
    client: Client,
    recorder: Recorder,
    scheduler_name: String,
    snapshot: Snapshot,
    queue: Queue,
    metrics: Metrics,
    pods: Cache<Pod>,
    claims: Cache<PersistentVolumeClaim>,
    bound: mpsc::UnboundedSender<Bound>,
}

impl Cycle {
    fn node_changed(&mut self, change: Change<Node>) {
        let event = event_of(&change, ["NodeAdd", "NodeUpdate", "NodeDelete"]);
        match change.after {
            Some(node) => self.snapshot.put_node(node),
            None => self.snapshot.remove_node(&ObjectKey::of(&**change.object()).name),
        }
        self.queue.wake(NODE_PLUGINS, event, Instant::now());
    }

    fn pod_changed(&mut self, change: Change<Pod>) {
        let pod = change.object().clone();
        let uid = pod.meta().uid.clone().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let node = spec.node_name.as_deref().unwrap_or_default();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if change.after.is_none() || matches!(phase, Some("Succeeded" | "Failed")) {
            self.queue.remove(&uid);
            if self.snapshot.place(&uid).is_some() {
                self.snapshot.remove_pod(&uid);
                self.queue.wake(POD_PLUGINS, event::ASSIGNED_POD_DELETED, Instant::now());
            }
        } else if !node.is_empty() {
            self.queue.remove(&uid);
            self.snapshot.put_pod(node, PodInfo::new(pod));
        } else if spec.scheduler_name.as_deref().unwrap_or("default-scheduler") == self.scheduler_name
            && pod.meta().deletion_timestamp.is_none()
        {
            if spec.scheduling_gates.is_some_and(|gates| !gates.is_empty()) {
                return self.queue.gate(&uid);
            }
            // An assumed pod is being bound; a change of its status is no reason to place it again.
            if self.snapshot.place(&uid).is_none() && !is_own_condition(&change) {
                self.queue.put(&uid, PodInfo::new(pod), Instant::now());
            }
        } else {
            self.queue.remove(&uid);
        }
    }

    fn claim_changed(&mut self, change: Change<PersistentVolumeClaim>) {
        let event = event_of(
            &change,
            ["PersistentVolumeClaimAdd", "PersistentVolumeClaimUpdate", "PersistentVolumeClaimDelete"],
        );
        let key = ObjectKey::of(&**change.object());
        match change.after {
            Some(claim) => drop(self.snapshot.claims.insert(key, claim)),
            None => drop(self.snapshot.claims.remove(&key)),
        }
        self.queue.wake(&[volume_binding::NAME], event, Instant::now());
    }

    fn volume_changed(&mut self, change: Change<PersistentVolume>) {
        let event = event_of(&change, ["PersistentVolumeAdd", "PersistentVolumeUpdate", "PersistentVolumeDelete"]);
        let name = ObjectKey::of(&**change.object()).name;
        match change.after {
            Some(volume) => drop(self.snapshot.volumes.insert(name, volume)),
            None => drop(self.snapshot.volumes.remove(&name)),
        }
        self.queue.wake(&[volume_binding::NAME], event, Instant::now());
    }

    fn class_changed(&mut self, change: Change<StorageClass>) {
        let event = event_of(&change, ["StorageClassAdd", "StorageClassUpdate", "StorageClassDelete"]);
        let name = ObjectKey::of(&**change.object()).name;
        match change.after {
            Some(class) => drop(self.snapshot.classes.insert(name, class)),
            None => drop(self.snapshot.classes.remove(&name)),
        }
        self.queue.wake(&[volume_binding::NAME], event, Instant::now());
    }

    /// Takes one pod from the queue and decides; false when none is ready.
    async fn schedule_one(&mut self) -> bool {
        let Some((uid, queued)) = self.queue.pop(Instant::now()) else { return false };
        let key = ObjectKey::of(&*queued.pod.pod);
        let _span = info_span!("schedule", pod = %key).entered();
        let pod = queued.pod.clone();
        let began = Instant::now();
        let decision = schedule(&pod, &self.snapshot);
        self.metrics.decided(began.elapsed());
        match decision {
            Decision::Bind { node } => {
                debug!(node, "found a node");
                self.snapshot.put_pod(&node, pod);
                let (client, claims) = (self.client.clone(), self.claims.clone());
                let binding = bind::Binding { queued, uid, node, began, client, claims };
                tokio::spawn(bind::bind(binding, self.recorder.clone(), self.bound.clone()));
            }
            Decision::Unschedulable { message, rejected_by } => {
                debug!(message, "no node");
                let regarding = pod.pod.object_ref(&());
                self.recorder.record(regarding, EventType::Warning, "FailedScheduling", &message);
                if let Some(patch) = bind::unschedulable_condition(&pod.pod, &message, jiff::Timestamp::now()) {
                    tokio::spawn(bind::patch_status(self.client.clone(), key, patch));
                }
                self.metrics.attempted(Attempt::Unschedulable, began.elapsed());
                self.queue.park(&uid, queued, rejected_by, Instant::now());
            }
        }
        true
    }

    /// A binding ended. One that succeeded is confirmed by the watch; one that failed frees its place.
    fn bound(&mut self, outcome: Bound) {
        let Bound { uid, queued, took, error } = outcome;
        let Some(error) = error else {
            self.metrics.attempted(Attempt::Scheduled, took);
            return self.metrics.scheduled(queued.attempts, queued.entered.elapsed());
        };
        self.metrics.attempted(Attempt::Error, took);
        let key = ObjectKey::of(&*queued.pod.pod);
        let still_waits = self.pods.get(&key).is_some_and(|pod| {
            pod.metadata.uid.as_deref() == Some(&uid) && pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none())
        });
        if !still_waits {
            // It is gone, or somebody bound it: the watch says so too and sets its place right.
            return debug!(pod = %key, error, "binding failed, the pod no longer waits");
        }
        warn!(pod = %key, error, "binding failed, will retry");
        self.snapshot.remove_pod(&uid);
        self.queue.retry(&uid, queued, Instant::now());
        self.queue.wake(POD_PLUGINS, event::ASSIGNED_POD_DELETED, Instant::now());
    }
}

/// Upstream's name of a change, of those for an object that came, changed and went.
fn event_of<K>(change: &Change<K>, [came, changed, went]: [&'static str; 3]) -> &'static str {
    match (&change.before, &change.after) {
        (_, None) => went,
        (None, Some(_)) => came,
        (Some(_), Some(_)) => changed,
    }
}

/// Whether only the status changed, as our own condition does: that makes no pod more schedulable.
fn is_own_condition(change: &Change<Pod>) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    before.spec == after.spec && before.metadata.labels == after.metadata.labels
}
