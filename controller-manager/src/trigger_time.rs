//! When the change happened that makes a Service's endpoints be written: the proxy counts from there until its rules
//! are in the kernel.
//!
//! Upstream: k8s.io/endpointslice/util/trigger_time_tracker.go
//! Left out: what upstream has not either: of an object that changes twice before it is looked at, the first change is
//! forgotten, and so is the time of a write that has to be tried again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::{Value, json};

use crate::pods;

/// The annotation that the time is in.
pub const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// When a Service and its pods last changed, as far as endpoints depend on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    created: Option<Timestamp>,
    /// By a pod's name, when its readiness last changed.
    pods: BTreeMap<String, Timestamp>,
}

impl Seen {
    fn of(service: &Service, pods: &[Arc<Pod>]) -> Seen {
        let changed = |pod: &Arc<Pod>| {
            let at = pods::condition(pod, "Ready")?.last_transition_time.as_ref()?.0;
            Some((pod.metadata.name.clone()?, at))
        };
        Seen {
            created: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
            pods: pods.iter().filter_map(changed).collect(),
        }
    }
}

/// The earliest change since `before`; of a Service that is seen for the first time, its creation.
fn trigger_time(before: Option<&Seen>, now: &Seen) -> Option<Timestamp> {
    let Some(before) = before else { return now.created };
    let pods = now.pods.iter().filter(|(name, at)| before.pods.get(*name).is_none_or(|before| *at > before));
    let service = now.created.filter(|created| Some(*created) > before.created);
    pods.map(|(_, at)| *at).chain(service).min()
}

/// What a controller has seen of each Service so far.
#[derive(Debug, Default)]
pub struct TriggerTimes(Mutex<HashMap<ObjectKey, Seen>>);

impl TriggerTimes {
    /// Takes note of a Service as it is now, and says when the change happened that this shows, if it shows one.
    pub fn see(&self, key: &ObjectKey, service: Option<&Service>, pods: &[Arc<Pod>]) -> Option<Timestamp> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(service) = service else {
            all.remove(key);
            return None;
        };
        let now = Seen::of(service, pods);
        let before = all.get(key);
        let time = trigger_time(before, &now);
        if before != Some(&now) {
            all.insert(key.clone(), now);
        }
        time
    }
}

/// The annotations of endpoints that are made because of a change at this time.
pub fn annotations(time: Option<Timestamp>) -> Option<BTreeMap<String, String>> {
    time.map(|time| BTreeMap::from([(LAST_CHANGE.to_owned(), time.to_string())]))
}

/// The change of the annotation, for endpoints that are written anyway. A time that is not known is removed.
pub fn difference(annotations: Option<&BTreeMap<String, String>>, time: Option<Timestamp>) -> Option<Value> {
    let before = annotations.and_then(|annotations| annotations.get(LAST_CHANGE));
    let after = time.map(|time| time.to_string());
    (before != after.as_ref()).then(|| json!({LAST_CHANGE: after}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::object;

    fn service(created: &str) -> Service {
        object(json!({"metadata": {"name": "web", "creationTimestamp": created}}))
    }

    fn pod(name: &str, changed: &str) -> Arc<Pod> {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": changed});
        Arc::new(object(json!({"metadata": {"name": name}, "status": {"conditions": [ready]}})))
    }

    /// Shows the service in each of these states of its pods, and expects the times that this says.
    fn check(created: &[&str], pods: &[&[(&str, &str)]], expected: &[Option<&str>]) {
        let (times, key) = (TriggerTimes::default(), ObjectKey::new("default", "web"));
        let seen = created.iter().zip(pods).map(|(created, pods)| {
            let pods: Vec<_> = pods.iter().map(|(name, changed)| pod(name, changed)).collect();
            times.see(&key, Some(&service(created)), &pods).map(|time| time.to_string())
        });
        let expected: Vec<_> = expected.iter().map(|time| time.map(str::to_owned)).collect();
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    const NINE: &str = "2026-01-01T09:00:00Z";
    const TEN: &str = "2026-01-01T10:00:00Z";
    const ELEVEN: &str = "2026-01-01T11:00:00Z";

    #[test]
    fn a_new_service_changed_when_it_was_created() {
        check(&[TEN], &[&[("a", NINE)]], &[Some(TEN)]);
    }

    #[test]
    fn the_earliest_change_since_the_last_look_counts_and_without_one_there_is_no_time() {
        check(
            &[NINE; 4],
            &[&[("a", NINE)], &[("a", ELEVEN), ("b", TEN)], &[("a", ELEVEN), ("b", TEN)], &[("a", ELEVEN)]],
            &[Some(NINE), Some(TEN), None, None],
        );
    }

    #[test]
    fn a_service_that_was_made_anew_changed_then() {
        check(&[NINE, TEN], &[&[("a", NINE)], &[("a", NINE)]], &[Some(NINE), Some(TEN)]);
    }

    #[test]
    fn a_service_that_is_gone_is_forgotten() {
        let (times, key) = (TriggerTimes::default(), ObjectKey::new("default", "web"));
        let web = service(NINE);
        assert!(times.see(&key, Some(&web), &[]).is_some());
        assert_eq!(times.see(&key, Some(&web), &[]), None);
        assert_eq!(times.see(&key, None, &[]), None);
        assert!(times.see(&key, Some(&web), &[]).is_some());
    }
}
