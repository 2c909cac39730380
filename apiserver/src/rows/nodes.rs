//! The rows of coordination.k8s.io, node.k8s.io, scheduling.k8s.io, and Events in both of their forms.
//!
//! Upstream: pkg/registry/{coordination,node,scheduling,events}/rest, pkg/registry/core/event,
//!   pkg/apis/{core,events}/v1/conversion.go
//! Left out: beta leases candidates; the rate and byte budget of Events, which the store keeps.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    row::{Row, StoredAs},
    strategy::{classes, events, lease},
};

use super::{Fields, cluster_scoped, field, names, namespaced, print};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            create_on_update: true,
            unconditional_update: false,
            strategy: Arc::new(lease::Leases),
            ..namespaced("coordination.k8s.io", "v1", "Lease", "leases")
        }
        .shown_as(print::nodes::LEASES),
        Row {
            create_on_update: true,
            unconditional_update: false,
            strategy: Arc::new(classes::RuntimeClasses),
            ..cluster_scoped("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
        }
        .shown_as(print::nodes::RUNTIME_CLASSES),
        Row {
            short_names: names(&["pc"]),
            strategy: Arc::new(classes::PriorityClasses),
            ..cluster_scoped("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
        }
        .shown_as(print::nodes::PRIORITY_CLASSES),
        Row {
            short_names: names(&["ev"]),
            create_on_update: true,
            selectable_fields: core_event_fields(),
            strategy: Arc::new(events::Events),
            ..namespaced("", "v1", "Event", "events")
        }
        .shown_as(print::nodes::EVENTS),
        Row {
            short_names: names(&["ev"]),
            create_on_update: true,
            selectable_fields: new_event_fields(),
            stored_as: Some(StoredAs {
                group: "",
                version: "v1",
                plural: "events",
                to_stored,
                from_stored,
                stored_label,
            }),
            strategy: Arc::new(events::NewEvents),
            ..namespaced("events.k8s.io", "v1", "Event", "events")
        }
        .shown_as(print::nodes::NEW_EVENTS),
    ]
}

fn core_event_fields() -> Fields {
    vec![
        field!("involvedObject.kind"),
        field!("involvedObject.namespace"),
        field!("involvedObject.name"),
        field!("involvedObject.uid"),
        field!("involvedObject.apiVersion"),
        field!("involvedObject.resourceVersion"),
        field!("involvedObject.fieldPath"),
        field!("reason"),
        field!("reportingComponent"),
        field!("source", "source.component"),
        field!("type"),
    ]
}

fn new_event_fields() -> Fields {
    vec![
        field!("regarding.kind"),
        field!("regarding.namespace"),
        field!("regarding.name"),
        field!("regarding.uid"),
        field!("regarding.apiVersion"),
        field!("regarding.resourceVersion"),
        field!("regarding.fieldPath"),
        field!("reason"),
        field!("reportingController"),
        field!("type"),
    ]
}

/// The fields that the two forms of an Event name differently: events.k8s.io/v1, core v1.
const RENAMED: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub(crate) fn to_stored(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (new, core) in RENAMED {
        rename(fields, new, core);
    }
    fields.insert("apiVersion".to_owned(), "v1".into());
}

fn from_stored(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (new, core) in RENAMED {
        rename(fields, core, new);
    }
    for name in ["reportingController", "reportingInstance"] {
        if fields.get(name).is_some_and(|value| value == "") {
            fields.remove(name);
        }
    }
    fields.insert("apiVersion".to_owned(), "events.k8s.io/v1".into());
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

fn stored_label(label: &str) -> Option<&'static str> {
    let core = match label {
        "reason" => "reason",
        "type" => "type",
        "reportingController" => "reportingComponent",
        "regarding.kind" => "involvedObject.kind",
        "regarding.namespace" => "involvedObject.namespace",
        "regarding.name" => "involvedObject.name",
        "regarding.uid" => "involvedObject.uid",
        "regarding.apiVersion" => "involvedObject.apiVersion",
        "regarding.resourceVersion" => "involvedObject.resourceVersion",
        "regarding.fieldPath" => "involvedObject.fieldPath",
        _ => return None,
    };
    Some(core)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_the_way_to_its_stored_form_and_back() {
        let sent = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "hello",
            "regarding": {"kind": "Pod", "name": "p"}, "reportingController": "c", "deprecatedCount": 3,
        });
        let mut event = sent.clone();
        to_stored(&mut event);
        assert_eq!(event["involvedObject"]["name"], "p");
        assert_eq!(event["message"], "hello");
        assert_eq!(event["apiVersion"], "v1");
        from_stored(&mut event);
        assert_eq!(event, sent);
    }

    #[test]
    fn every_selectable_field_of_the_new_form_has_a_stored_one() {
        for field in new_event_fields() {
            let stored = stored_label(field.label).unwrap();
            assert!(core_event_fields().iter().any(|core| core.label == stored), "{}", field.label);
        }
    }
}
