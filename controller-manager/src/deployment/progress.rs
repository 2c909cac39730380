//! A Deployment's conditions: whether it is available, whether it moves, whether it has stopped moving for too long.
//!
//! Upstream: pkg/controller/deployment/{progress.go,sync.go}, util/deployment_util.go
//! Left out: nothing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_REPLICA_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// A Deployment's conditions while they are being decided.
#[derive(Debug, Clone)]
pub struct Conditions {
    list: Vec<DeploymentCondition>,
    now: Timestamp,
}

impl Conditions {
    pub fn of(deployment: &Deployment, now: Timestamp) -> Self {
        let status = deployment.status.as_ref();
        Self { list: status.and_then(|status| status.conditions.clone()).unwrap_or_default(), now }
    }

    pub fn get(&self, kind: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|condition| condition.type_ == kind)
    }

    /// Sets a condition. One with the same status and reason stays as it is; the transition time changes only with
    /// the status.
    pub fn set(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let before = self.get(kind);
        if before.is_some_and(|before| before.status == status && before.reason.as_deref() == Some(reason)) {
            return;
        }
        self.replace(kind, status, reason, message);
    }

    fn replace(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        let before = self.get(kind).filter(|before| before.status == status);
        let since = before.and_then(|before| before.last_transition_time.clone()).unwrap_or(Time(self.now));
        self.remove(kind);
        self.list.push(DeploymentCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: Some(since),
            last_update_time: Some(Time(self.now)),
        });
    }

    fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.type_ != kind);
    }

    pub fn into_list(self) -> Option<Vec<DeploymentCondition>> {
        (!self.list.is_empty()).then_some(self.list)
    }

    /// Notes that the Deployment was paused or resumed: while it is paused the progress deadline does not run.
    pub fn note_pause(&mut self, paused: bool) {
        let reason = self.get(PROGRESSING).and_then(|condition| condition.reason.clone());
        match reason.as_deref() {
            Some(DEADLINE_EXCEEDED) => {}
            Some("DeploymentPaused") if !paused => {
                self.set(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed".into());
            }
            Some("DeploymentPaused") => {}
            _ if paused => self.set(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused".into()),
            _ => {}
        }
    }

    /// `Available`: at least `fewest` pods are.
    pub fn note_availability(&mut self, available: i32, fewest: i32) {
        if available >= fewest {
            let message = "Deployment has minimum availability.".into();
            self.set(AVAILABLE, "True", "MinimumReplicasAvailable", message);
        } else {
            let message = "Deployment does not have minimum availability.".into();
            self.set(AVAILABLE, "False", "MinimumReplicasUnavailable", message);
        }
    }

    /// `ReplicaFailure`: the newest ReplicaSet's, else an older one's, else none.
    pub fn note_failures(&mut self, newest: Option<&ReplicaSet>, older: &[ReplicaSet]) {
        let failure = newest.into_iter().chain(older).find_map(|replica_set| {
            let conditions = replica_set.status.as_ref()?.conditions.as_ref()?;
            conditions.iter().find(|condition| condition.type_ == REPLICA_FAILURE)
        });
        match failure {
            Some(failure) => {
                let (reason, message) = (failure.reason.clone(), failure.message.clone());
                self.set(REPLICA_FAILURE, &failure.status, &reason.unwrap_or_default(), message.unwrap_or_default());
            }
            None => self.remove(REPLICA_FAILURE),
        }
    }

    /// `Progressing`: from what changed between the status as it is stored and `after`, and from the time that has
    /// passed since it last changed.
    pub fn note_progress(&mut self, deployment: &Deployment, after: &DeploymentStatus, newest: Option<&ReplicaSet>) {
        let Some(deadline) = progress_deadline(deployment) else {
            self.remove(PROGRESSING);
            return;
        };
        let current = self.get(PROGRESSING);
        let rolled_out = after.replicas.unwrap_or(0) == after.updated_replicas.unwrap_or(0)
            && current.and_then(|condition| condition.reason.as_deref()) == Some(NEW_REPLICA_SET_AVAILABLE);
        if rolled_out {
            return;
        }
        let name = match newest {
            Some(newest) => format!("ReplicaSet {:?}", newest.metadata.name.as_deref().unwrap_or("")),
            None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or("")),
        };
        if is_complete(deployment, after) {
            let message = format!("{name} has successfully progressed.");
            self.set(PROGRESSING, "True", NEW_REPLICA_SET_AVAILABLE, message);
        } else if has_progressed(deployment.status.as_ref(), after) {
            self.replace(PROGRESSING, "True", "ReplicaSetUpdated", format!("{name} is progressing."));
        } else if self.time_left(deadline).is_some_and(|left| left.is_zero()) {
            self.set(PROGRESSING, "False", DEADLINE_EXCEEDED, format!("{name} has timed out progressing."));
        }
    }

    /// How long the Deployment may still stand without progress; `None` when nothing is waited for.
    pub fn time_left(&self, deadline: Duration) -> Option<Duration> {
        let condition = self.get(PROGRESSING)?;
        if matches!(condition.reason.as_deref(), Some(NEW_REPLICA_SET_AVAILABLE | "DeploymentPaused")) {
            return None;
        }
        let since = condition.last_update_time.as_ref().or(condition.last_transition_time.as_ref())?;
        let passed = Duration::try_from(self.now.duration_since(since.0)).unwrap_or_default();
        Some(deadline.saturating_sub(passed))
    }

    pub fn deadline_exceeded(&self) -> bool {
        self.get(PROGRESSING).and_then(|condition| condition.reason.as_deref()) == Some(DEADLINE_EXCEEDED)
    }
}

/// `progressDeadlineSeconds`; the largest number that fits means "no deadline".
pub fn progress_deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != i32::MAX).then(|| Duration::from_secs(seconds.max(0) as u64))
}

/// Are all pods of the newest template, available, and as many as wanted?
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    [status.updated_replicas, status.replicas, status.available_replicas].iter().all(|n| n.unwrap_or(0) == wanted)
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(before: Option<&DeploymentStatus>, after: &DeploymentStatus) -> bool {
    let empty = DeploymentStatus::default();
    let before = before.unwrap_or(&empty);
    let number = |value: Option<i32>| value.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}
