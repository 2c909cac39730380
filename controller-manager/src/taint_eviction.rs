//! Deletes pods from nodes whose NoExecute taints they don't tolerate, or tolerate no longer.
//!
//! Upstream: pkg/controller/tainteviction/taint_eviction.go
//! Left out: nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Cache, Change, Controller, Informers, ObjectKey, Patch, Watches};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rustc_hash::FxHashMap;
use serde_json::json;
use tokio::time::Instant;

use crate::actions::{self, Action, Plan};
use crate::{nodes, pods};

/// What is decided from.
pub struct Input {
    pub pod: Arc<Pod>,
    /// The NoExecute taints of its node.
    pub taints: Vec<Taint>,
    /// For how long the pod has stood such taints, by our own steady clock.
    pub tainted_for: Duration,
}

/// Deletes the pod when its time is over; else says when to look again.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let pod = &input.pod;
    if input.taints.is_empty() || pods::is_terminating(pod) {
        return Plan::nothing();
    }
    match toleration_time(pod, &input.taints) {
        Tolerance::Forever => Plan::nothing(),
        Tolerance::Lasts(time) if time > input.tainted_for => {
            Plan { actions: Vec::new(), requeue_after: Some(time - input.tainted_for) }
        }
        _ => evict(pod, now).into(),
    }
}

/// How long a pod stands all the taints of its node.
#[derive(Debug, PartialEq)]
enum Tolerance {
    None,
    Lasts(Duration),
    Forever,
}

/// The shortest time of the tolerations that are used; none as soon as one taint is not tolerated.
fn toleration_time(pod: &Pod, taints: &[Taint]) -> Tolerance {
    let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let mut shortest = Tolerance::Forever;
    for taint in taints {
        let mut used = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
        if used.peek().is_none() {
            return Tolerance::None;
        }
        // A pod may tolerate one taint in several ways; the shortest time counts, as upstream.
        for seconds in used.filter_map(|toleration| toleration.toleration_seconds) {
            let time = Duration::from_secs(seconds.max(0) as u64);
            shortest = match shortest {
                Tolerance::Lasts(current) if current <= time => Tolerance::Lasts(current),
                _ => Tolerance::Lasts(time),
            };
        }
    }
    shortest
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => !key.is_empty() && text(&toleration.value) == text(&taint.value),
    }
}

/// Says why in the pod's status and to the user, then deletes it.
fn evict(pod: &Pod, now: Timestamp) -> Vec<Action> {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": Time(now),
    });
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
    let marked = pods::condition(pod, "DisruptionTarget").is_some_and(|condition| condition.status == "True");
    let mut actions = Vec::new();
    if !marked {
        actions.push(Action::patch_status(pod, Patch::Strategic(patch)));
        let message = format!("Marking for deletion Pod {}", ObjectKey::of(pod));
        actions.push(actions::normal(pod, "TaintManagerEviction", message));
    }
    actions.push(Action::delete(pod));
    actions
}

/// Since when each pod stands on a node with taints that drive pods off.
#[derive(Default)]
pub struct Stands {
    since: Mutex<FxHashMap<String, Instant>>,
}

impl Stands {
    /// For how long the pod of this uid has stood the taints of its node; the first question starts the clock.
    pub fn of(&self, uid: &str) -> Duration {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.entry(uid.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    /// The taints, or the pod, are gone.
    pub fn forget(&self, uid: &str) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

pub struct TaintEviction {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    stands: Stands,
}

impl TaintEviction {
    pub fn new(informers: &Informers) -> Self {
        Self { nodes: informers.of(), pods: informers.of(), stands: Stands::default() }
    }
}

/// The taints of a node that drive pods off.
fn driving_off(node: &Node) -> Vec<Taint> {
    nodes::taints(node).iter().filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

impl Controller for TaintEviction {
    const NAME: &'static str = "taint-eviction";
    type Key = ObjectKey;
    type Input = Input;

    fn service_account() -> String {
        "node-controller".into()
    }

    fn watches(&self) -> Watches<ObjectKey> {
        let pods = self.pods.clone();
        let of_node = move |change: &Change<Node>| {
            let before = change.before.as_ref().map(|node| driving_off(node)).unwrap_or_default();
            let after = change.after.as_ref().map(|node| driving_off(node)).unwrap_or_default();
            let pods = if before == after { Vec::new() } else { pods.by_node(nodes::name(change.object())) };
            pods.iter().map(|pod| ObjectKey::of(pod.as_ref())).collect::<Vec<_>>()
        };
        let bound = |change: &Change<Pod>| {
            let changed = change.before.as_ref().zip(change.after.as_ref()).is_none_or(|(before, after)| {
                let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
                pods::node_name(before) != pods::node_name(after) || tolerations(before) != tolerations(after)
            });
            changed.then(|| ObjectKey::of(change.object().as_ref()))
        };
        Watches::new().map(&self.nodes, of_node).map(&self.pods, bound)
    }

    async fn gather(&self, key: &ObjectKey) -> Result<Option<Input>, kube::Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(None) };
        let node = self.nodes.get(&ObjectKey::cluster(pods::node_name(&pod)));
        let taints = node.map(|node| driving_off(&node)).unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let tainted_for = if taints.is_empty() {
            self.stands.forget(&uid);
            Duration::ZERO
        } else {
            self.stands.of(&uid)
        };
        Ok(Some(Input { pod, taints, tainted_for }))
    }

    fn plan(input: &Input, now: Timestamp) -> Plan {
        plan(input, now)
    }
}

#[cfg(test)]
mod tests;
