//! Tells users what happened to an object, as Events.
//!
//! A repeated Event is not written again: its count goes up. Many similar ones are drawn together, and an object that
//! makes too many is no longer heard. Recording never waits and never fails: an Event is a courtesy.
//!
//! Upstream: client-go/tools/record/{event,events_cache}.go
//! Left out: the events.k8s.io form (series); both forms are one object in storage.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::{debug, warn};

mod correlator;

use crate::action;
use correlator::{Correlator, Occurrence, Verdict};

/// Events that wait to be written; more are dropped, as upstream's queue drops them.
const QUEUE_LENGTH: usize = 1000;

/// Whether an Event is bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Writes Events in the name of one component. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Occurrence>,
}

impl Recorder {
    /// A recorder for `component` (`replicaset-controller`). Must be made within a tokio runtime.
    pub fn new(client: Client, component: &str) -> Recorder {
        Recorder::on_host(client, component, "")
    }

    /// A recorder for a component that there is one of per node: `kubelet` on `host`.
    pub fn on_host(client: Client, component: &str, host: &str) -> Recorder {
        let (queue, occurrences) = mpsc::channel(QUEUE_LENGTH);
        let source = Source { component: component.to_owned(), host: host.to_owned() };
        tokio::spawn(write_all(client, source, occurrences));
        Recorder { queue }
    }

    /// Records that something happened to an object.
    pub fn record(&self, regarding: ObjectReference, event_type: EventType, reason: &str, message: &str) {
        let occurrence = Occurrence { regarding, event_type, reason: reason.to_owned(), message: message.to_owned() };
        if self.queue.try_send(occurrence).is_err() {
            debug!(reason, "too many Events, one is dropped");
        }
    }
}

#[derive(Debug)]
struct Source {
    component: String,
    host: String,
}

async fn write_all(client: Client, source: Source, mut occurrences: mpsc::Receiver<Occurrence>) {
    let mut correlator = Correlator::default();
    while let Some(occurrence) = occurrences.recv().await {
        let now = Timestamp::now();
        if let Err(error) = write(&client, &source, &mut correlator, occurrence, now).await {
            warn!(%error, "an Event is lost");
        }
    }
}

async fn write(
    client: &Client,
    source: &Source,
    correlator: &mut Correlator,
    occurrence: Occurrence,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let namespace = namespace_of(&occurrence.regarding);
    match correlator.judge(&occurrence, now) {
        Verdict::Drop => Ok(()),
        Verdict::Create { name, message } => {
            let event = event(source, &occurrence, &name, &message, now);
            action::create_event(client, namespace, &event).await
        }
        Verdict::Count { name, message, first, count } => {
            let patch = json!({"count": count, "lastTimestamp": seconds(now), "message": message});
            match action::patch_event(client, namespace, &name, &patch).await {
                // It outlived its time to live: tell it anew, with the count it has.
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    let mut event = event(source, &occurrence, &name, &message, now);
                    event["count"] = count.into();
                    event["firstTimestamp"] = seconds(first).into();
                    action::create_event(client, namespace, &event).await
                }
                result => result,
            }
        }
    }
}

fn event(source: &Source, occurrence: &Occurrence, name: &str, message: &str, now: Timestamp) -> Value {
    let mut from = json!({"component": source.component});
    if !source.host.is_empty() {
        from["host"] = source.host.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace_of(&occurrence.regarding)},
        "involvedObject": occurrence.regarding,
        "reason": occurrence.reason,
        "message": message,
        "source": from,
        "firstTimestamp": seconds(now),
        "lastTimestamp": seconds(now),
        "count": 1,
        "type": occurrence.event_type.to_string(),
        "eventTime": null,
        "reportingComponent": source.component,
        "reportingInstance": source.host,
    })
}

/// Events live in the namespace of their object; those of objects outside of namespaces in `default`.
fn namespace_of(regarding: &ObjectReference) -> &str {
    regarding.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

/// `metav1.Time` has no fraction.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_fields_that_people_filter_by() {
        let regarding = ObjectReference {
            kind: Some("Node".into()),
            name: Some("n1".into()),
            uid: Some("u".into()),
            ..ObjectReference::default()
        };
        let occurrence = Occurrence {
            regarding,
            event_type: EventType::Normal,
            reason: "Starting".into(),
            message: "Starting kubelet.".into(),
        };
        let source = Source { component: "kubelet".into(), host: "n1".into() };
        let event =
            event(&source, &occurrence, "n1.17", "Starting kubelet.", "2026-01-02T03:04:05.678Z".parse().unwrap());
        assert_eq!(event["metadata"], json!({"name": "n1.17", "namespace": "default"}));
        assert_eq!(event["source"], json!({"component": "kubelet", "host": "n1"}));
        assert_eq!(event["firstTimestamp"], "2026-01-02T03:04:05Z");
        assert_eq!(event["involvedObject"]["kind"], "Node");
    }
}
