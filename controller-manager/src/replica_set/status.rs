//! A ReplicaSet's status, from its pods.
//!
//! Upstream: pkg/controller/replicaset/replica_set_utils.go
//! Left out: nothing.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Failure;
use crate::nonzero;
use crate::pods::{self, Availability};

/// The status that says what `active` and `terminating` pods there are. `active` is counted as it was seen: what this
/// round creates or deletes is counted when the cache has seen it.
pub fn status(
    replica_set: &ReplicaSet,
    active: &[Arc<Pod>],
    terminating: usize,
    failure: Option<&Failure>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let spec = replica_set.spec.clone().unwrap_or_default();
    let template_labels =
        spec.template.and_then(|template| template.metadata).and_then(|metadata| metadata.labels).unwrap_or_default();
    let fully_labeled = |pod: &&Arc<Pod>| {
        let labels = pod.metadata.labels.as_ref();
        template_labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let available =
        |pod: &&Arc<Pod>| pods::availability(pod, spec.min_ready_seconds.unwrap_or(0), now) == Availability::Available;
    let before = replica_set.status.clone().unwrap_or_default();
    ReplicaSetStatus {
        replicas: active.len() as i32,
        fully_labeled_replicas: nonzero(active.iter().filter(fully_labeled).count()),
        ready_replicas: nonzero(active.iter().filter(|pod| pods::is_ready(pod)).count()),
        available_replicas: nonzero(active.iter().filter(available).count()),
        terminating_replicas: Some(terminating as i32),
        observed_generation: replica_set.metadata.generation,
        conditions: conditions(before.conditions.unwrap_or_default(), failure, now),
    }
}

/// `ReplicaFailure` stands while the last attempt to create or delete pods failed; other conditions stay as they are.
fn conditions(
    before: Vec<ReplicaSetCondition>,
    failure: Option<&Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let standing = before.iter().any(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    let mut after = before;
    match failure {
        Some(_) if standing => {}
        Some(failure) => {
            after.retain(|condition| condition.type_ != "ReplicaFailure");
            after.push(ReplicaSetCondition {
                type_: "ReplicaFailure".into(),
                status: "True".into(),
                reason: Some(failure.reason().into()),
                message: Some(failure.message.clone()),
                last_transition_time: Some(Time(now)),
            });
        }
        None => after.retain(|condition| condition.type_ != "ReplicaFailure"),
    }
    (!after.is_empty()).then_some(after)
}
