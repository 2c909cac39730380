//! Empties a namespace that is being deleted, then lets it go.
//!
//! Pods go first and everything else waits for them: a pod never outlives the network policies, quotas and secrets
//! that it was started under.
//!
//! Upstream: pkg/controller/namespace/deletion/namespaced_resources_deleter.go
//! Left out: an estimate of when to look again: whoever finishes an object wakes its namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Action, ObjectKey, Plan, Preconditions, Target};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ApiResource;

use crate::actions;

mod controller;

pub use controller::Namespaces;

pub const FINALIZER: &str = "kubernetes";

/// Is the namespace on its way out, so that nothing new may be made in it?
pub fn is_terminating(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
        || namespace.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Terminating")
}

/// What is decided from.
pub struct Input {
    pub namespace: Arc<Namespace>,
    /// The objects that are still in it.
    pub remaining: Vec<Remaining>,
    /// API groups that could not be asked what is in it.
    pub discovery_failures: Vec<String>,
}

/// One object that is still in the namespace.
#[derive(Clone)]
pub struct Remaining {
    pub resource: ApiResource,
    pub name: String,
    pub uid: Option<String>,
    pub is_terminating: bool,
    pub finalizers: Vec<String>,
}

/// Deletes pods, then the rest, and says what keeps the namespace; when nothing does, takes its finalizer off.
pub fn plan(input: &Input, now: Timestamp) -> Plan {
    let namespace = &input.namespace;
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default();
    if namespace.metadata.deletion_timestamp.is_none() || !finalizers.iter().any(|name| name == FINALIZER) {
        return Plan::nothing();
    }
    if input.remaining.is_empty() && input.discovery_failures.is_empty() {
        let kept = finalizers.into_iter().filter(|name| name != FINALIZER).collect();
        return vec![finalize(namespace, kept)].into();
    }
    let is_pod = |it: &&Remaining| it.resource.group.is_empty() && it.resource.plural == "pods";
    let pods: Vec<&Remaining> = input.remaining.iter().filter(is_pod).collect();
    let now_due = if pods.is_empty() { input.remaining.iter().collect() } else { pods };
    let mut actions: Vec<Action> =
        now_due.iter().filter(|it| !it.is_terminating).map(|it| delete(namespace, it)).collect();
    let before = namespace.status.as_ref();
    let status = NamespaceStatus {
        phase: Some("Terminating".into()),
        conditions: Some(conditions(input, before.and_then(|status| status.conditions.as_ref()), now)),
    };
    actions.extend(actions::patch_status(namespace.as_ref(), before, &status));
    actions.into()
}

fn delete(namespace: &Namespace, remaining: &Remaining) -> Action {
    let key = ObjectKey::new(namespace.metadata.name.clone().unwrap_or_default(), &remaining.name);
    Action::Delete {
        target: Target { resource: remaining.resource.clone(), key },
        preconditions: Preconditions { uid: remaining.uid.clone(), resource_version: None },
        propagation: Some(client::Propagation::Background),
        grace_period_seconds: None,
    }
}

fn finalize(namespace: &Namespace, kept: Vec<String>) -> Action {
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace.metadata.name,
            "uid": namespace.metadata.uid,
            "resourceVersion": namespace.metadata.resource_version,
        },
        "spec": {"finalizers": kept},
    });
    Action::Replace { target: Target::of(namespace), subresource: "finalize", object }
}

/// The five conditions, in upstream's words. A transition time changes only with its status.
fn conditions(input: &Input, before: Option<&Vec<NamespaceCondition>>, now: Timestamp) -> Vec<NamespaceCondition> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for it in &input.remaining {
        *counts.entry(format!("{}.{}", it.resource.plural, it.resource.group)).or_default() += 1;
        for finalizer in &it.finalizers {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    let failures = &input.discovery_failures;
    let discovery = (!failures.is_empty()).then(|| {
        let groups = failures.join(", ");
        ("DiscoveryFailed", format!("Discovery failed for some groups, {} failing: {groups}", failures.len()))
    });
    let remain = (!counts.is_empty()).then(|| {
        let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} has {n} resource instances")).collect();
        ("SomeResourcesRemain", format!("Some resources are remaining: {}", each.join(", ")))
    });
    let held = (!finalizers.is_empty()).then(|| {
        let each: Vec<String> =
            finalizers.iter().map(|(name, n)| format!("{name} in {n} resource instances")).collect();
        let each = each.join(", ");
        ("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {each}"))
    });
    let all = [
        (
            "NamespaceDeletionDiscoveryFailure",
            discovery,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            None,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", remain, "ContentRemoved", "All content successfully removed"),
        ("NamespaceFinalizersRemaining", held, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    ];
    let condition = |(kind, bad, reason, message): (&str, Option<(&str, String)>, &str, &str)| {
        let status = if bad.is_some() { "True" } else { "False" };
        let (reason, message) = bad.unwrap_or((reason, message.to_owned()));
        let same = before.into_iter().flatten().find(|old| old.type_ == kind && old.status == status);
        NamespaceCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: same.and_then(|old| old.last_transition_time.clone()).or(Some(Time(now))),
        }
    };
    all.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests;
