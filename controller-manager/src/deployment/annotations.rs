//! The annotations by which a Deployment and its ReplicaSets remember revisions and sizes.
//!
//! Upstream: pkg/controller/deployment/util/deployment_util.go
//! Left out: the limit on the length of the revision history annotation.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that are not its ReplicaSets'.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The revision that an object's annotation holds; 0 without one, or with one that is no number.
pub fn revision(annotations: Option<&BTreeMap<String, String>>) -> i64 {
    annotations.and_then(|map| map.get(REVISION)).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The number that the annotation `name` of a ReplicaSet holds.
pub fn number(replica_set: &ReplicaSet, name: &str) -> Option<i32> {
    replica_set.metadata.annotations.as_ref()?.get(name)?.parse().ok()
}

/// The annotations that say how many replicas the Deployment wants, and may have during a rollout.
pub fn sizes(desired: i32, max: i32) -> BTreeMap<String, String> {
    BTreeMap::from([(DESIRED_REPLICAS.to_owned(), desired.to_string()), (MAX_REPLICAS.to_owned(), max.to_string())])
}

/// What the annotations of the newest ReplicaSet must become: the Deployment's own, and `revision` if it is higher than
/// the one that is there. The replaced revision is added to the history. Nothing that is already so is returned.
pub fn of_newest(deployment: &Deployment, current: &BTreeMap<String, String>, next: i64) -> BTreeMap<String, String> {
    let own = deployment.metadata.annotations.iter().flatten();
    let mut changed: BTreeMap<String, String> = own
        .filter(|(key, value)| !NOT_COPIED.contains(&key.as_str()) && current.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let before = revision(Some(current));
    if !current.contains_key(REVISION) || before < next {
        changed.insert(REVISION.to_owned(), next.to_string());
        if let Some(replaced) = current.get(REVISION) {
            let history = current.get(REVISION_HISTORY).filter(|history| !history.is_empty());
            let history = history.map_or(replaced.clone(), |history| format!("{history},{replaced}"));
            changed.insert(REVISION_HISTORY.to_owned(), history);
        }
    }
    changed
}
