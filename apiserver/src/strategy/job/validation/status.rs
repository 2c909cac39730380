//! What may be said of a Job. Others than our own may write it, and clients rely on it: a Job that has ended stays so.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (ValidateJobUpdateStatus),
//!   pkg/registry/batch/job/strategy.go (getStatusValidationOptions)
//! Left out: nothing.
//!
//! Most rules are looked at when a field that they speak of changes. What was wrong before does not stand in the way
//! of other writes, and whoever counts the pods has time to follow a changed spec.

use std::collections::BTreeSet;

use api::field::Field;
use jiff::Timestamp;
use serde_json::Value;

use super::{indexes, is_indexed};
use crate::strategy::validation::{Errors, IMMUTABLE, not_negative, same};

/// A Job's status as it is and as it was.
struct Change<'a> {
    spec: &'a Value,
    status: Field<'a>,
    before: &'a Value,
}

/// The mistakes in a change of the status.
pub(crate) fn update(job: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let change = Change { spec: &job.value["spec"], status: job.child("status"), before: &current["status"] };
    counts(&change.status, &mut errors);
    verdict(&change, &mut errors);
    end(&change, &mut errors);
    lists_of_indexes(&change, &mut errors);
    pods_of_ended(&change, &mut errors);
    success(&change, &mut errors);
    against_before(&change, &mut errors);
    errors
}

impl Change<'_> {
    fn is(&self, condition: &str) -> bool {
        is_true(self.status.value, condition)
    }

    fn was(&self, condition: &str) -> bool {
        is_true(self.before, condition)
    }

    fn turns(&self, condition: &str) -> bool {
        self.is(condition) != self.was(condition)
    }

    fn has_ended(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    /// Whether it ends, or has ended and is said not to have.
    fn ends(&self) -> bool {
        self.has_ended() != (self.was("Complete") || self.was("Failed"))
    }

    /// Whether one of the fields is another than before.
    fn changes(&self, names: &[&str]) -> bool {
        names.iter().any(|name| match *name {
            "startTime" | "completionTime" => time(&self.status.value[name]) != time(&self.before[name]),
            "active" => number(self.status.value, name) != number(self.before, name),
            _ => !same(&self.status.value[name], &self.before[name]),
        })
    }
}

fn has(status: &Value, condition: &str, value: &str) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|each| each["type"] == condition && each["status"] == value)
}

fn is_true(status: &Value, condition: &str) -> bool {
    has(status, condition, "True")
}

/// A count; absent is 0.
fn number(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap_or_default()
}

/// A point in time, to the second.
fn time(value: &Value) -> Option<i64> {
    Some(value.as_str()?.parse::<Timestamp>().ok()?.as_second())
}

fn counts(status: &Field<'_>, errors: &mut Errors) {
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(&status.child(name), errors);
    }
    let uncounted = status.child("uncountedTerminatedPods");
    let mut seen = BTreeSet::new();
    for name in ["succeeded", "failed"] {
        for uid in uncounted.child(name).items() {
            if uid.is_empty() {
                errors.push(uid.invalid("must not be empty"));
            } else if !seen.insert(uid.str().to_owned()) {
                errors.push(uid.duplicate());
            }
        }
    }
}

/// A Job is complete or has failed, not both, and a complete one knows since when.
fn verdict(change: &Change<'_>, errors: &mut Errors) {
    let (conditions, completion) = (change.status.child("conditions"), change.status.child("completionTime"));
    let completes = change.turns("Complete");
    for other in ["Failed", "FailureTarget"] {
        if (completes || change.turns(other)) && change.is("Complete") && change.is(other) {
            errors.push(conditions.invalid_unshown(format!("cannot set Complete=True and {other}=true conditions")));
        }
    }
    if completes || change.changes(&["completionTime"]) {
        if !completion.is_absent() && !change.is("Complete") {
            errors.push(completion.invalid("cannot set completionTime when there is no Complete=True condition"));
        }
        if completion.is_absent() && change.is("Complete") {
            errors.push(completion.required("completionTime is required for Complete jobs"));
        }
    }
    let start = time(&change.status.value["startTime"]);
    if change.changes(&["startTime", "completionTime"])
        && start.zip(time(completion.value)).is_some_and(|(start, completion)| completion < start)
    {
        errors.push(completion.invalid("must be equal to or after `startTime`"));
    }
}

/// The verdict is announced before it stands, while pods may still run.
fn end(change: &Change<'_>, errors: &mut Errors) {
    let (conditions, status) = (change.status.child("conditions"), &change.status);
    let without = |verdict: &str, announced: &str| {
        format!("cannot set {verdict}=True condition without the {announced}=true condition")
    };
    if (change.turns("Failed") || change.changes(&["failedIndexes"]))
        && change.is("Failed")
        && !change.is("FailureTarget")
    {
        errors.push(conditions.invalid_unshown(without("Failed", "FailureTarget")));
    }
    if (change.turns("Complete") || change.turns("SuccessCriteriaMet"))
        && change.is("Complete")
        && !change.is("SuccessCriteriaMet")
    {
        errors.push(conditions.invalid_unshown(without("Complete", "SuccessCriteriaMet")));
    }
    if !change.has_ended() {
        return;
    }
    let (active, start) = (status.child("active"), status.child("startTime"));
    if (change.ends() || change.changes(&["active"])) && number(status.value, "active") > 0 {
        errors.push(active.invalid("active>0 is invalid for finished job"));
    }
    // A suspended Job without work ends before it starts.
    let has_no_work = change.spec["suspend"] == true && change.spec["completions"] == 0;
    if (change.ends() || change.changes(&["startTime"])) && !has_no_work && start.is_absent() {
        errors.push(start.required("startTime is required for finished job"));
    }
    let uncounted = status.child("uncountedTerminatedPods");
    let some = ["succeeded", "failed"].iter().any(|name| !uncounted.child(name).is_empty());
    if (change.ends() || change.changes(&["uncountedTerminatedPods"])) && some {
        errors.push(uncounted.invalid("must be empty for finished job"));
    }
}

/// The indexes of pods that did well, and of those that failed for good.
fn lists_of_indexes(change: &Change<'_>, errors: &mut Errors) {
    let (completed, failed) = (change.status.child("completedIndexes"), change.status.child("failedIndexes"));
    let limited = !change.spec["backoffLimitPerIndex"].is_null();
    let completions = change.spec["completions"].as_i64();
    let (completed_change, failed_change) =
        (change.changes(&["completedIndexes"]), failed.value != &change.before["failedIndexes"]);
    if let Some(completions) = completions.filter(|_| completed_change)
        && let Err(why) = indexes::count(completed.str(), completions)
    {
        errors.push(completed.invalid(format!("error parsing completedIndexes: {why}")));
    }
    if let Some(completions) = completions.filter(|_| failed_change && limited)
        && let Err(why) = indexes::count(failed.str(), completions)
    {
        errors.push(failed.invalid(format!("error parsing failedIndexes: {why}")));
    }
    if completed_change && !completed.is_empty() && !is_indexed(change.spec) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.push(completed.invalid(detail));
    }
    if failed_change && !failed.is_absent() && !limited {
        errors.push(failed.invalid("cannot set non-null failedIndexes when backoffLimitPerIndex is null"));
    }
    if let Some(completions) = completions.filter(|_| completed_change || failed_change)
        && let Some(index) = indexes::overlap(completed.str(), failed.str(), completions)
    {
        errors.push(failed.invalid(format!("failedIndexes and completedIndexes overlap at index: {index}")));
    }
}

fn pods_of_ended(change: &Change<'_>, errors: &mut Errors) {
    let (terminating, ready) = (change.status.child("terminating"), change.status.child("ready"));
    if (change.ends() || change.changes(&["terminating"]))
        && change.has_ended()
        && terminating.i64().is_some_and(|count| count > 0)
    {
        errors.push(terminating.invalid("terminating>0 is invalid for finished job"));
    }
    let active = number(change.status.value, "active");
    if change.changes(&["ready", "active"]) && ready.i64().is_some_and(|count| count > active) {
        errors.push(ready.invalid("cannot set more ready pods than active"));
    }
}

/// Enough success excludes failure, and where a policy says what is enough there is no end without it.
fn success(change: &Change<'_>, errors: &mut Errors) {
    let conditions = change.status.child("conditions");
    if change.is("SuccessCriteriaMet") {
        for other in ["Failed", "FailureTarget"] {
            if change.is(other) {
                let detail = format!("cannot set SuccessCriteriaMet=True and {other}=true conditions");
                errors.push(conditions.invalid_unshown(detail));
            }
        }
    } else if !change.spec["successPolicy"].is_null() && change.is("Complete") {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        errors.push(conditions.invalid_unshown(detail));
    }
}

/// What was said is not taken back.
fn against_before(change: &Change<'_>, errors: &mut Errors) {
    let (status, conditions) = (&change.status, change.status.child("conditions"));
    for verdict in ["Failed", "Complete", "FailureTarget"] {
        if change.was(verdict) && !change.is(verdict) {
            errors.push(conditions.invalid_unshown(format!("cannot disable the terminal {verdict}=True condition")));
        }
    }
    // An indexed Job may be scaled down, and then has fewer indexes that did well.
    let scales = is_indexed(change.spec) && change.spec["completions"] == change.spec["parallelism"];
    for (name, counts_down) in [("failed", false), ("succeeded", scales)] {
        let count = number(status.value, name);
        if !counts_down && count < number(change.before, name) {
            errors.push(status.child(name).invalid_value(count, format!("cannot decrease the {name} counter")));
        }
    }
    let (completion, start) = (status.child("completionTime"), status.child("startTime"));
    if change.changes(&["completionTime"]) && !completion.is_absent() && !change.before["completionTime"].is_null() {
        errors.push(completion.invalid(IMMUTABLE));
    }
    let resumes = change.was("Suspended") && has(status.value, "Suspended", "False");
    let started = !change.before["startTime"].is_null();
    if change.changes(&["startTime"]) && started && !resumes && change.spec["suspend"] != true {
        errors.push(start.required("startTime cannot be removed for unsuspended job"));
    }
    if change.was("SuccessCriteriaMet") && !change.is("SuccessCriteriaMet") {
        errors.push(conditions.invalid_unshown("cannot disable the SuccessCriteriaMet=True condition"));
    }
    if change.was("Complete") && !change.was("SuccessCriteriaMet") && change.is("SuccessCriteriaMet") {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.push(conditions.invalid_unshown(detail));
    }
}
