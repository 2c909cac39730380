//! What an Event may be, in either group. Both are looked at in the stored core form, whose names the errors have.
//!
//! Upstream: pkg/apis/core/validation/events.go
//! Left out: nothing.

use api::{field::Field, names, object::Object as _};
use jiff::Timestamp;
use serde_json::Value;

use crate::strategy::validation::{Errors, immutable, required, same};

const MAX_INSTANCE: usize = 128;
const MAX_ACTION: usize = 128;
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// What may not change through events.k8s.io/v1: everything but the series and metadata. As upstream does, the reason is
/// looked at twice.
const FIXED: [&str; 14] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "reason",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingController",
    "reportingInstance",
];

/// The mistakes of an Event that is sent to core/v1.
pub(super) fn event(event: &Field<'_>) -> Errors {
    in_any_group(event, &event.child("reportingComponent"))
}

/// The mistakes of a new Event that is sent to events.k8s.io/v1.
pub(super) fn new_event(event: &Field<'_>) -> Errors {
    let controller = event.alias("reportingController", &event.value["reportingComponent"]);
    let mut errors = in_any_group(event, &controller);
    series(event, &mut errors);
    let time = event.child("eventTime");
    if time.is_absent() {
        errors.push(time.required(""));
    }
    let kind = event.child("type");
    if !matches!(kind.str(), "Normal" | "Warning") {
        errors.push(kind.invalid_value("", format!("has invalid value: {}", kind.str())));
    }
    for name in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        let field = event.child(name);
        let is_set = match field.value {
            Value::Object(source) => source.values().any(|part| part.as_str() != Some("")),
            other => !other.is_null() && *other != 0,
        };
        if is_set {
            errors.push(field.invalid_value("", "needs to be unset"));
        }
    }
    errors
}

/// The mistakes of a change through events.k8s.io/v1.
pub(super) fn new_event_update(event: &Field<'_>, current: &Value) -> Errors {
    let controller = event.alias("reportingController", &event.value["reportingComponent"]);
    let mut errors = in_any_group(event, &controller);
    if !same(&event.value["series"], &current["series"]) {
        series(event, &mut errors);
    }
    for name in FIXED {
        match name {
            "reportingController" => immutable(&controller, &current["reportingComponent"], &mut errors),
            // What is below a microsecond may get lost on the way.
            "eventTime" if micros(&event.value[name]) == micros(&current[name]) => {}
            _ => immutable(&event.child(name), &current[name], &mut errors),
        }
    }
    errors
}

fn micros(time: &Value) -> Option<i64> {
    Some(time.as_str()?.parse::<Timestamp>().ok()?.as_microsecond())
}

fn in_any_group(event: &Field<'_>, controller: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let object = event.child("involvedObject");
    let namespace = object.child("namespace");
    let own = event.value.namespace();
    let has_time = !event.child("eventTime").is_absent();
    // What lives outside of namespaces is written about in the default one.
    let fits = match namespace.str() {
        "" => own == "default" || (has_time && own == "kube-system"),
        other => has_time || other == own,
    };
    if !fits {
        errors.push(namespace.invalid_value(namespace.str(), "does not match event.namespace"));
    }
    if has_time {
        with_time(event, controller, &mut errors);
    }
    errors
}

/// Events with a time of their own say who reports, and what was done.
fn with_time(event: &Field<'_>, controller: &Field<'_>, errors: &mut Errors) {
    required(controller, errors);
    let mistakes = names::is_qualified_name(controller.str());
    errors.extend(mistakes.into_iter().map(|wrong| controller.invalid_value(controller.str(), wrong)));
    for (name, max) in [("reportingInstance", MAX_INSTANCE), ("action", MAX_ACTION), ("reason", MAX_REASON)] {
        let field = event.child(name);
        required(&field, errors);
        if field.str().len() > max {
            errors.push(field.invalid_value("", format!("can have at most {max} characters")));
        }
    }
    let note = event.child("message");
    if note.str().len() > MAX_NOTE {
        errors.push(note.invalid_value("", format!("can have at most {MAX_NOTE} characters")));
    }
}

fn series(event: &Field<'_>, errors: &mut Errors) {
    let series = event.child("series");
    if series.is_absent() {
        return;
    }
    let (count, last) = (series.child("count"), series.child("lastObservedTime"));
    if count.i64().unwrap_or_default() < 2 {
        errors.push(count.invalid_value("", "should be at least 2"));
    }
    if last.is_absent() {
        errors.push(last.required(""));
    }
}
