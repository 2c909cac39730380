//! What an Event may be.
//!
//! Upstream: pkg/apis/core/validation/events.go
//! Left out: that new-style events may not change once written.

use api::{field::Field, names, object::Object as _};

use crate::strategy::validation::{Errors, optional_one_of, required};

const MAX_INSTANCE: usize = 128;
const MAX_ACTION: usize = 128;
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// The mistakes of an Event, in its core/v1 form.
pub(super) fn event(event: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let object = event.child("involvedObject");
    let namespace = object.child("namespace");
    let own = event.value.namespace();
    // What lives outside of namespaces is written about in the default one.
    let fits = if namespace.is_empty() { own == "default" || own == "kube-system" } else { namespace.str() == own };
    if !fits {
        errors.push(namespace.invalid_value(namespace.str(), "does not match event.namespace"));
    }
    if event.child("eventTime").is_absent() {
        return errors;
    }
    new_style(event, &mut errors);
    errors
}

/// Events with a time of their own say who reports, and what was done.
fn new_style(event: &Field<'_>, errors: &mut Errors) {
    let controller = event.alias("reportingController", &event.value["reportingComponent"]);
    required(&controller, errors);
    let mistakes = names::is_qualified_name(controller.str());
    errors.extend(mistakes.into_iter().map(|wrong| controller.invalid_value(controller.str(), wrong)));
    for (name, max) in [("reportingInstance", MAX_INSTANCE), ("action", MAX_ACTION), ("reason", MAX_REASON)] {
        let field = event.child(name);
        required(&field, errors);
        if field.str().len() > max {
            errors.push(field.invalid(format!("can have at most {max} characters")));
        }
    }
    let note = event.child("message");
    if note.str().len() > MAX_NOTE {
        errors.push(note.invalid(format!("can have at most {MAX_NOTE} characters")));
    }
    optional_one_of(&event.child("type"), &["Normal", "Warning"], errors);
    let series = event.child("series");
    if !series.is_absent() {
        let (count, last) = (series.child("count"), series.child("lastObservedTime"));
        if count.i64().unwrap_or_default() < 2 {
            errors.push(count.invalid_value("", "should be at least 2"));
        }
        if last.is_absent() {
            errors.push(last.required(""));
        }
    }
}
