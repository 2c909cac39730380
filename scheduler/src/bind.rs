//! Carries a decision out: claims first, then the binding; or the condition that says why there is none.
//!
//! Upstream: pkg/scheduler/framework/plugins/{defaultbinder,volumebinding}, pkg/scheduler/schedule_one.go
//! Left out: the other kinds of post-bind work (there are no plugins that have any).

use std::time::{Duration, Instant};

use client::{Cache, EventType, ObjectKey, Recorder};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::plugins::volume_binding;
use crate::queue::Queued;

/// How long a pod keeps its place while its claims are being bound; upstream's.
const CLAIM_PATIENCE: Duration = Duration::from_secs(600);

/// A pod that is to be bound.
pub struct Binding {
    pub uid: String,
    pub queued: Queued,
    pub node: String,
    /// When its attempt began.
    pub began: Instant,
    pub client: Client,
    pub claims: Cache<PersistentVolumeClaim>,
}

/// How a binding ended.
pub struct Bound {
    pub uid: String,
    pub queued: Queued,
    /// The time of the whole attempt.
    pub took: Duration,
    /// Why it failed.
    pub error: Option<String>,
}

/// Binds the pod and reports.
pub async fn bind(binding: Binding, recorder: Recorder, report: mpsc::UnboundedSender<Bound>) {
    let pod = binding.queued.pod.pod.clone();
    let key = ObjectKey::of(&*pod);
    let result = match tokio::time::timeout(CLAIM_PATIENCE, bind_claims(&binding, &pod)).await {
        Ok(Ok(())) => post_binding(&binding, &pod, &key).await.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("binding volumes: timed out waiting for the condition".to_owned()),
    };
    let regarding = pod.object_ref(&());
    match &result {
        Ok(()) => {
            info!("bind Pod {key} to {}", binding.node);
            let message = format!("Successfully assigned {key} to {}", binding.node);
            recorder.record(regarding, EventType::Normal, "Scheduled", &message);
        }
        Err(error) => recorder.record(regarding, EventType::Warning, "FailedScheduling", error),
    }
    // Nobody listens any more only when the scheduler is stopping.
    let Binding { uid, queued, began, .. } = binding;
    let _ = report.send(Bound { uid, queued, took: began.elapsed(), error: result.err() });
}

/// Tells every claim that waits for its first consumer which node that is, and waits until all are bound.
async fn bind_claims(binding: &Binding, pod: &Pod) -> Result<(), kube::Error> {
    let keys = volume_binding::claims_of(pod);
    let unbound = |key: &&ObjectKey| !binding.claims.get(key).is_some_and(|claim| volume_binding::is_bound(&claim));
    for key in keys.iter().filter(unbound) {
        let patch = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": binding.node}}});
        let api: Api<PersistentVolumeClaim> = Api::namespaced(binding.client.clone(), &key.namespace);
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        info!("patch PersistentVolumeClaim {key}: its consumer is on {}", binding.node);
    }
    binding.claims.until(|_| !keys.iter().any(|key| unbound(&key))).await;
    Ok(())
}

async fn post_binding(binding: &Binding, pod: &Pod, key: &ObjectKey) -> Result<(), kube::Error> {
    // With the uid, a pod that was created anew under this name is not bound by a decision about the old one.
    let body = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": pod.metadata.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": binding.node},
    });
    let api: Api<Pod> = Api::namespaced(binding.client.clone(), &key.namespace);
    api.create_subresource::<Value, Value>("binding", &key.name, &PostParams::default(), &body).await.map(drop)
}

/// The patch that makes the pod say why it waits; None when it says so already.
pub fn unschedulable_condition(pod: &Pod, message: &str, now: Timestamp) -> Option<Value> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let current = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled");
    let is_false = current.is_some_and(|condition| condition.status == "False");
    if is_false && current.is_some_and(|condition| condition.message.as_deref() == Some(message)) {
        return None;
    }
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "observedGeneration": pod.metadata.generation,
    });
    if !is_false {
        condition["lastTransitionTime"] = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    Some(json!({"status": {"conditions": [condition]}}))
}

/// Patches a pod's status; a failure is only told, the next attempt writes it again.
pub async fn patch_status(client: Client, key: ObjectKey, patch: Value) {
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    match api.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(_) => info!("patch Pod {key}/status: unschedulable"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => warn!(pod = %key, %error, "cannot say why the pod waits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_written_once_per_message() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let patch = unschedulable_condition(&Pod::default(), "no room", now).unwrap();
        let condition = &patch["status"]["conditions"][0];
        assert_eq!(condition["lastTransitionTime"], "2026-01-02T03:04:05Z");
        let pod: Pod = serde_json::from_value(patch.clone()).unwrap();
        assert_eq!(unschedulable_condition(&pod, "no room", now), None);
        let later = unschedulable_condition(&pod, "still no room", now).unwrap();
        assert_eq!(later["status"]["conditions"][0]["lastTransitionTime"], Value::Null);
    }
}
