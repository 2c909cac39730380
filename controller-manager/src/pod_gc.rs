//! Deletes pods that nobody else will: those of nodes that are gone, those deleted before they had a node, and the
//! oldest finished ones when there are too many.
//!
//! Upstream: pkg/controller/podgc/gc_controller.go
//! Left out: pods on nodes tainted out-of-service.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Cache, Controller, Informers, ObjectKey, Patch, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::ApiResource;
use rustc_hash::FxHashMap;
use serde_json::json;
use tokio::time::Instant;

use crate::actions::{Action, Plan};
use crate::{live, nodes, pods};

/// What is known of the node that a pod is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// The pod has no node yet.
    Unassigned,
    Exists,
    /// It has been gone for the quarantine time, and the API server says so too.
    Gone,
}

/// What is decided from.
pub struct Input {
    pub pod: Arc<Pod>,
    pub node: NodeState,
    /// Is the pod finished, and one of the oldest beyond the limit on finished pods?
    pub is_surplus: bool,
    /// When the node's quarantine ends.
    pub look_again: Option<Duration>,
}

/// Deletes the pod at once where no kubelet will ever end it.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let pod = &input.pod;
    match input.node {
        NodeState::Gone => {
            let mut actions: Vec<Action> = Vec::new();
            if !pods::is_finished(pod) {
                actions.push(fail(pod, now));
            }
            actions.push(delete_now(pod));
            actions.into()
        }
        NodeState::Unassigned if pods::is_terminating(pod) => vec![delete_now(pod)].into(),
        _ if input.is_surplus && !pods::is_terminating(pod) => vec![delete_now(pod)].into(),
        _ => Plan { actions: Vec::new(), requeue_after: input.look_again },
    }
}

/// What a Job or a user must know of a pod that went with its node: it is not coming back.
fn fail(pod: &Pod, now: Timestamp) -> Action {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
        "lastTransitionTime": Time(now),
    });
    let patch =
        json!({"metadata": {"uid": pod.metadata.uid}, "status": {"phase": "Failed", "conditions": [condition]}});
    Action::patch_status(pod, Patch::Strategic(patch))
}

fn delete_now(pod: &Pod) -> Action {
    let mut action = Action::delete(pod);
    if let Action::Delete { grace_period_seconds, .. } = &mut action {
        *grace_period_seconds = Some(0);
    }
    action
}

/// Which finished pods are beyond `limit`: the oldest.
pub fn is_surplus(pod: &Pod, finished: &[Arc<Pod>], limit: usize) -> bool {
    let age = |pod: &Pod| {
        (
            pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            pod.metadata.name.clone(),
            pod.metadata.uid.clone(),
        )
    };
    let beyond = finished.len().saturating_sub(limit);
    let own = age(pod);
    beyond > 0 && finished.iter().filter(|other| age(other) < own).count() < beyond
}

/// How long a node must be gone before its pods are: it may only be registering anew.
const QUARANTINE: Duration = Duration::from_secs(40);
const FINISHED: &str = "finished";

pub struct PodGc {
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    client: Client,
    /// How many finished pods may stay (--terminated-pod-gc-threshold).
    limit: usize,
    /// Since when each node that pods name is not there.
    missing: Mutex<FxHashMap<String, Instant>>,
}

impl PodGc {
    pub fn new(informers: &Informers, limit: usize) -> Self {
        let pods: Cache<Pod> = informers.of();
        pods.index(FINISHED, |pod| pods::is_finished(pod).then(|| FINISHED.to_owned()).into_iter().collect());
        let client = informers.client().clone();
        Self { pods, nodes: informers.of(), client, limit, missing: Mutex::default() }
    }

    /// What is known of a node; `Err` holds the rest of its quarantine.
    async fn node_state(&self, name: &str) -> Result<Result<NodeState, Duration>, kube::Error> {
        if name.is_empty() {
            return Ok(Ok(NodeState::Unassigned));
        }
        let quarantined = {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            if self.nodes.get(&ObjectKey::cluster(name)).is_some() {
                missing.remove(name);
                return Ok(Ok(NodeState::Exists));
            }
            missing.entry(name.to_owned()).or_insert_with(Instant::now).elapsed()
        };
        if let Some(rest) = QUARANTINE.checked_sub(quarantined).filter(|rest| !rest.is_zero()) {
            return Ok(Err(rest));
        }
        let nodes = ApiResource::erase::<Node>(&());
        let found = live::metadata(&self.client, &nodes, &ObjectKey::cluster(name)).await?;
        Ok(Ok(if found.is_some() { NodeState::Exists } else { NodeState::Gone }))
    }
}

impl Controller for PodGc {
    const NAME: &'static str = "pod-garbage-collector";
    type Key = ObjectKey;
    type Input = Input;

    fn service_account() -> String {
        "pod-garbage-collector".into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        let of_node = self.pods.clone();
        let (finished, limit) = (self.pods.clone(), self.limit);
        Watches::new()
            .objects(&self.pods)
            .map(&self.pods, move |change| {
                // One more finished pod makes the oldest of too many surplus.
                let ended = change.after.as_ref().is_some_and(|pod| pods::is_finished(pod));
                let all = if ended { finished.by_index(FINISHED, FINISHED) } else { Vec::new() };
                let over = all.len() > limit;
                all.iter().filter(|_| over).map(|pod| ObjectKey::of(pod.as_ref())).collect::<Vec<_>>()
            })
            .map(&self.nodes, move |change| {
                let gone = change.after.is_none();
                let pods = if gone { of_node.by_node(nodes::name(change.object())) } else { Vec::new() };
                pods.iter().map(|pod| ObjectKey::of(pod.as_ref())).collect::<Vec<_>>()
            })
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(None) };
        let (node, look_again) = match self.node_state(pods::node_name(&pod)).await? {
            Ok(state) => (state, None),
            Err(rest) => (NodeState::Exists, Some(rest)),
        };
        let finished = if pods::is_finished(&pod) { self.pods.by_index(FINISHED, FINISHED) } else { Vec::new() };
        let is_surplus = is_surplus(&pod, &finished, self.limit);
        Ok(Some(Input { pod, node, is_surplus, look_again }))
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}

#[cfg(test)]
mod tests;
