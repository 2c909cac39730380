//! What a Job may be, and what of it may change.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (ValidateJob, ValidateJobUpdate)
//! Left out: the consistency of a finished Job's status.

use api::{field::Field, object::Object as _};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, IMMUTABLE, immutable, not_negative, optional_one_of, pod_template::pod_template, required_one_of, same,
    selectors::label_selector,
};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";
const MAX_INDEXED_PARALLELISM: i64 = 100_000;

/// The mistakes of a Job.
pub(super) fn job(job: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = job.child("spec");
    generated_selector(job, &mut errors);
    let selector = spec.child("selector");
    if selector.is_absent() {
        errors.push(selector.required(""));
    } else {
        label_selector(&selector, &mut errors);
    }
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    if let Ok(parsed) = api::selector::Selector::from_json(selector.value)
        && !parsed.matches_json(labels.value)
    {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    job_spec(&spec, &mut errors);
    errors
}

/// What a Job says beside its selector; a CronJob's template says it too.
pub(crate) fn job_spec(spec: &Field<'_>, errors: &mut Errors) {
    const COUNTS: [&str; 6] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ];
    for name in COUNTS {
        not_negative(&spec.child(name), errors);
    }
    not_negative(&spec.child("maxFailedIndexes"), errors);
    let mode = spec.child("completionMode");
    optional_one_of(&mode, &["Indexed", "NonIndexed"], errors);
    let (completions, parallelism) = (spec.child("completions"), spec.child("parallelism"));
    if mode.str() == "Indexed" {
        if completions.is_absent() {
            errors.push(completions.required("when completion mode is Indexed"));
        }
        if parallelism.i64().is_some_and(|count| count > MAX_INDEXED_PARALLELISM) {
            let detail =
                format!("must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed");
            errors.push(parallelism.invalid(detail));
        }
    } else {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            let field = spec.child(name);
            if !field.is_absent() {
                errors.push(field.invalid("requires indexed completion mode"));
            }
        }
    }
    let replacement = spec.child("podReplacementPolicy");
    optional_one_of(&replacement, &["Failed", "TerminatingOrFailed"], errors);
    let failure = spec.child("podFailurePolicy");
    if !failure.is_absent() && replacement.str() == "TerminatingOrFailed" {
        errors.push(replacement.not_supported(&["Failed"]));
    }
    for rule in failure.child("rules").items() {
        required_one_of(&rule.child("action"), &["Count", "FailIndex", "FailJob", "Ignore"], errors);
    }
    let template = spec.child("template");
    pod_template(&template, errors);
    let template_spec = template.child("spec");
    let policy = template_spec.child("restartPolicy");
    match policy.str() {
        "OnFailure" if !failure.is_absent() => {
            errors.push(policy.invalid("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" | "Never" => {}
        "" | "Always" => errors.push(policy.required("valid values: \"OnFailure\", \"Never\"")),
        _ => errors.push(policy.not_supported(&["Never", "OnFailure"])),
    }
}

/// A Job whose selector the server makes must carry the labels that the server gives.
fn generated_selector(job: &Field<'_>, errors: &mut Errors) {
    let spec = job.child("spec");
    if spec.child("manualSelector").bool() {
        return;
    }
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    for (key, expected) in [
        (OLD_UID_LABEL, job.value.uid()),
        (UID_LABEL, job.value.uid()),
        (OLD_NAME_LABEL, job.value.name()),
        (NAME_LABEL, job.value.name()),
    ] {
        let label = labels.key(key);
        if label.is_absent() {
            errors.push(label.required(format!("must be '{expected}'")));
        } else if label.str() != expected {
            errors.push(label.invalid_value(labels.value.clone(), format!("must be '{expected}'")));
        }
    }
    let selector = spec.child("selector");
    let made = [OLD_UID_LABEL, UID_LABEL]
        .iter()
        .any(|key| same(selector.value, &serde_json::json!({"matchLabels": {*key: job.value.uid()}})));
    if !made {
        errors.push(selector.invalid("`selector` not auto-generated"));
    }
}

/// The mistakes in a change: how the work is counted and what its pods are stays.
pub(super) fn update(job: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = job.child("spec");
    job_spec(&spec, &mut errors);
    let before = &current["spec"];
    let indexed = before["completionMode"] == "Indexed";
    let completions = spec.child("completions");
    if !indexed || completions.value != &spec.value["parallelism"] {
        immutable(&completions, &before["completions"], &mut errors);
    }
    for name in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        immutable(&spec.child(name), &before[name], &mut errors);
    }
    template_update(&spec, current, &mut errors);
    errors
}

/// A Job that has never run may still be placed elsewhere.
fn template_update(spec: &Field<'_>, current: &Value, errors: &mut Errors) {
    let template = spec.child("template");
    let before = &current["spec"]["template"];
    let mut rest = template.value.clone();
    let waiting = current["spec"]["suspend"] == true && current["status"]["startTime"].is_null();
    if waiting {
        for name in ["nodeSelector", "tolerations", "schedulingGates", "affinity"] {
            crate::strategy::keep(&mut rest["spec"], &before["spec"], name);
        }
        for name in ["annotations", "labels"] {
            crate::strategy::keep(&mut rest["metadata"], &before["metadata"], name);
        }
    }
    if !same(&rest, before) {
        errors.push(template.invalid(IMMUTABLE));
    }
}

/// The mistakes in the status.
pub(super) fn status(job: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = job.child("status");
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        not_negative(&status.child(name), &mut errors);
    }
    errors
}
