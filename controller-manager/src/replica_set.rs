//! Keeps the number of a ReplicaSet's pods equal to `spec.replicas`.
//!
//! Upstream: pkg/controller/replicaset/replica_set.go
//! Left out: slow-start batching of creates (the API server's own limit is enough here) and expectations (the runner
//! does not plan a key again before the cache has seen its last writes).

mod controller;
mod name;
mod rank;
mod status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::actions::{self, Action, Plan};
use crate::owner::{self, Claim};
use crate::pods::{self, Availability};

pub use controller::ReplicaSets;
pub use rank::rank_for_deletion;

/// Pods made or deleted in one round: upstream's number. The rest follow when the cache has seen these.
const BURST: usize = 500;

/// What is decided from.
pub struct Input {
    pub replica_set: Arc<ReplicaSet>,
    /// The pods that it controls, and those that nobody controls and its selector matches.
    pub pods: Vec<Arc<Pod>>,
    /// The pods of all ReplicaSets of the same Deployment, its own included.
    pub related: Vec<Arc<Pod>>,
    /// Why the last round could not create or delete pods, if it could not.
    pub failure: Option<Failure>,
}

/// The last round's failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    Create,
    Delete,
}

impl Failure {
    fn reason(&self) -> &'static str {
        match self.kind {
            FailureKind::Create => "FailedCreate",
            FailureKind::Delete => "FailedDelete",
        }
    }
}

/// Adopts and releases, then creates or deletes the difference, then says in the status what it saw.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let replica_set = &input.replica_set;
    let Some(spec) = replica_set.spec.as_ref() else { return Plan::default() };
    let mut actions = Vec::new();
    let (mut active, mut terminating) = (Vec::new(), 0);
    for pod in &input.pods {
        match owner::claim(&replica_set.metadata, Some(&spec.selector), &pod.metadata) {
            Claim::Ignore => continue,
            Claim::Release => {
                actions.push(owner::release(replica_set.metadata.uid.as_deref().unwrap_or(""), pod.as_ref()));
                continue;
            }
            Claim::Adopt if pods::is_finished(pod) => continue,
            Claim::Adopt => actions.push(owner::adopt(replica_set.as_ref(), pod.as_ref())),
            Claim::Keep => {}
        }
        if pods::is_active(pod) {
            active.push(pod.clone());
        } else if pods::is_terminating(pod) && !pods::is_finished(pod) {
            terminating += 1;
        }
    }
    let status = status::status(replica_set, &active, terminating, input.failure.as_ref(), now);
    let status = actions::patch_status(replica_set.as_ref(), replica_set.status.as_ref(), &status);
    match &input.failure {
        // What failed may fail again, and would end this plan: first say so.
        Some(failure) => {
            actions.extend(status);
            let message = failure.message.clone();
            actions.push(actions::warning(replica_set.as_ref(), failure.reason(), message));
            actions.extend(reach_size(input, &active));
        }
        None => {
            actions.extend(reach_size(input, &active));
            actions.extend(status);
        }
    }
    Plan { actions, requeue_after: next_availability(&active, spec.min_ready_seconds.unwrap_or(0), now) }
}

/// Creates the pods that are missing, or deletes the surplus. One that is being deleted does neither.
fn reach_size(input: &Input, active: &[Arc<Pod>]) -> Vec<Action> {
    let replica_set = input.replica_set.as_ref();
    let spec = replica_set.spec.clone().unwrap_or_default();
    if replica_set.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let wanted = spec.replicas.unwrap_or(1).max(0) as usize;
    let mut writes = Vec::new();
    let mut events = Vec::new();
    if let Some(template) = spec.template.as_ref().filter(|_| active.len() < wanted) {
        let missing = (wanted - active.len()).min(BURST);
        for name in name::free_names(replica_set, &input.pods).take(missing) {
            events.push(actions::normal(replica_set, "SuccessfulCreate", format!("Created pod: {name}")));
            writes.push(Action::create(&new_pod(replica_set, template, name)));
        }
    }
    let surplus = active.len().saturating_sub(wanted).min(BURST);
    for pod in rank_for_deletion(active, &input.related, surplus) {
        let name = pod.metadata.name.as_deref().unwrap_or("");
        events.push(actions::normal(replica_set, "SuccessfulDelete", format!("Deleted pod: {name}")));
        writes.push(Action::delete(pod.as_ref()));
    }
    // The writes stand together: the runner has several of them under way at once.
    writes.extend(events);
    writes
}

/// When the next ready pod becomes available by the passing of time alone.
fn next_availability(active: &[Arc<Pod>], min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    let waits = active.iter().filter_map(|pod| match pods::availability(pod, min_ready_seconds, now) {
        Availability::AvailableIn(rest) => Some(rest),
        _ => None,
    });
    waits.min()
}

/// A pod as the template has it.
fn new_pod(replica_set: &ReplicaSet, template: &PodTemplateSpec, name: String) -> Pod {
    let from = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            name: Some(name),
            generate_name: Some(format!("{}-", replica_set.metadata.name.as_deref().unwrap_or(""))),
            namespace: replica_set.metadata.namespace.clone(),
            labels: from.labels,
            annotations: from.annotations,
            finalizers: from.finalizers,
            owner_references: Some(vec![owner::controller_reference(replica_set)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

#[cfg(test)]
mod tests;
