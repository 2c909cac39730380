//! What a Job may be, and what of it may change.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (ValidateJob, ValidateJobUpdate)
//! Left out: nothing.

mod indexes;
mod policies;
pub(crate) mod status;

use api::{field::Field, names, object::Object as _, selector::Selector};
use serde_json::{Value, json};

use crate::strategy::validation::{
    Errors, IMMUTABLE, domain_prefixed_path, immutable, not_negative, one_of, pod_template::pod_template, same,
    selectors::label_selector,
};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const OLD_UID_LABEL: &str = "controller-uid";
const OLD_NAME_LABEL: &str = "job-name";
const MAX_INDEXED_PARALLELISM: i64 = 100_000;
const MAX_FAILED_INDEXES: i64 = 100_000;
/// Above so many completions, a Job that counts failures by index must keep its lists short.
const MANY_COMPLETIONS: i64 = 100_000;
const MAX_PARALLELISM_OF_MANY: i64 = 10_000;
const MAX_FAILED_INDEXES_OF_MANY: i64 = 10_000;
const MAX_MANAGER: usize = 63;

/// Which labels the pods of a Job must carry that the server selects pods for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    All,
    /// Those without a prefix: the Job was made before there were others.
    Old,
}

/// The mistakes of a new Job.
pub(super) fn job(job: &Field<'_>) -> Errors {
    check(job, Labels::All)
}

fn check(job: &Field<'_>, labels: Labels) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (job.child("metadata"), job.child("spec"));
    generated_selector(job, labels, &mut errors);
    selecting_spec(&spec, &mut errors);
    let completions = spec.child("completions").i64().unwrap_or_default();
    if is_indexed(spec.value) && completions > 0 {
        // The host name of the pod that comes last.
        let longest = format!("{}-{}", job.value.name(), completions - 1);
        if !names::is_dns1123_label(&longest).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {longest}");
            errors.push(metadata.child("name").invalid(detail));
        }
    }
    errors
}

fn is_indexed(spec: &Value) -> bool {
    spec["completionMode"] == "Indexed"
}

/// A Job's spec and its selector, which must match the pods that it makes.
fn selecting_spec(spec: &Field<'_>, errors: &mut Errors) {
    job_spec(spec, errors);
    let selector = spec.child("selector");
    if selector.is_absent() {
        errors.push(selector.required(""));
    } else {
        label_selector(&selector, errors);
    }
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    if let Ok(parsed) = Selector::from_json(selector.value)
        && !parsed.matches_json(labels.value)
    {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
}

/// What a Job says beside its selector; a CronJob's template says it too.
pub(crate) fn job_spec(spec: &Field<'_>, errors: &mut Errors) {
    const COUNTS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for name in COUNTS {
        not_negative(&spec.child(name), errors);
    }
    let per_index = spec.child("backoffLimitPerIndex");
    if per_index.is_absent() && !spec.child("maxFailedIndexes").is_absent() {
        errors.push(per_index.required("when maxFailedIndexes is specified"));
    }
    let manager = spec.child("managedBy");
    if !manager.is_absent() {
        domain_prefixed_path(&manager, errors);
        if manager.str().len() > MAX_MANAGER {
            errors.push(manager.too_long(MAX_MANAGER));
        }
    }
    completion(spec, errors);
    policies::failure(spec, errors);
    policies::success(spec, errors);
    policies::replacement(spec, errors);
    let template = spec.child("template");
    pod_template(&template, errors);
    let template_spec = template.child("spec");
    let policy = template_spec.child("restartPolicy");
    match policy.str() {
        "" | "Always" => errors.push(policy.required("valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if !spec.child("podFailurePolicy").is_absent() => {
            errors.push(policy.invalid("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" | "Never" => {}
        _ => errors.push(policy.not_supported(&["Never", "OnFailure"])),
    }
}

/// How the work is counted: as so many pods, or by the index that each pod has.
fn completion(spec: &Field<'_>, errors: &mut Errors) {
    let mode = spec.child("completionMode");
    if !mode.is_absent() {
        one_of(&mode, &["Indexed", "NonIndexed"], errors);
    }
    if is_indexed(spec.value) {
        by_index(spec, errors);
    } else if matches!(mode.str(), "" | "NonIndexed") {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            let field = spec.child(name);
            if !field.is_absent() {
                errors.push(field.invalid("requires indexed completion mode"));
            }
        }
    }
}

fn by_index(spec: &Field<'_>, errors: &mut Errors) {
    let (completions, parallelism, failed) =
        (spec.child("completions"), spec.child("parallelism"), spec.child("maxFailedIndexes"));
    let at_most = |field: &Field<'_>, max: i64, when: &str, errors: &mut Errors| {
        if field.i64().is_some_and(|count| count > max) {
            errors.push(field.invalid(format!("must be less than or equal to {max}{when}")));
        }
    };
    if completions.is_absent() {
        errors.push(completions.required("when completion mode is Indexed"));
    }
    at_most(&parallelism, MAX_INDEXED_PARALLELISM, " when completion mode is Indexed", errors);
    if let (Some(failed_indexes), Some(all)) = (failed.i64(), completions.i64())
        && failed_indexes > all
    {
        errors.push(failed.invalid("must be less than or equal to completions"));
    }
    at_most(&failed, MAX_FAILED_INDEXES, "", errors);
    let many = completions.i64().is_some_and(|count| count > MANY_COMPLETIONS);
    if many && !spec.child("backoffLimitPerIndex").is_absent() {
        if failed.is_absent() {
            errors.push(failed.required(format!("must be specified when completions is above {MANY_COMPLETIONS}")));
        }
        let when = format!(" when completions are above {MANY_COMPLETIONS} and used with backoff limit per index");
        at_most(&parallelism, MAX_PARALLELISM_OF_MANY, &when, errors);
        at_most(&failed, MAX_FAILED_INDEXES_OF_MANY, &when, errors);
    }
}

/// A Job whose selector the server makes must carry the labels that the server gives, and select them.
fn generated_selector(job: &Field<'_>, labels: Labels, errors: &mut Errors) {
    let (metadata, spec) = (job.child("metadata"), job.child("spec"));
    let selector = spec.child("selector");
    if spec.child("manualSelector").bool() || selector.is_absent() {
        return;
    }
    let (uid, name) = (job.value.uid(), job.value.name());
    if uid.is_empty() {
        errors.push(metadata.child("uid").required(""));
    }
    let expected = [(OLD_UID_LABEL, uid), (OLD_NAME_LABEL, name), (UID_LABEL, uid), (NAME_LABEL, name)];
    let expected = if labels == Labels::All { &expected[..] } else { &expected[..2] };
    let template = spec.child("template");
    let metadata = template.child("metadata");
    let labels = metadata.child("labels");
    for (key, value) in expected {
        let label = labels.key(key);
        if label.is_absent() {
            errors.push(label.required(format!("must be '{value}'")));
        } else if label.str() != *value {
            errors.push(label.invalid_value(labels.value.clone(), format!("must be '{value}'")));
        }
    }
    let expected: Value = expected.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    if Selector::from_json(selector.value).is_ok_and(|parsed| !parsed.matches_json(&expected)) {
        errors.push(selector.invalid("`selector` not auto-generated"));
    }
}

/// The mistakes in a change: how the work is counted and what its pods are stays. As upstream does, the spec is looked
/// at twice.
pub(super) fn update(job: &Field<'_>, current: &Value) -> Errors {
    let before = &current["spec"];
    let had = |label: &str| !before["template"]["metadata"]["labels"][label].is_null();
    let labels = if had(NAME_LABEL) && had(UID_LABEL) { Labels::All } else { Labels::Old };
    let mut errors = check(job, labels);
    let spec = job.child("spec");
    selecting_spec(&spec, &mut errors);
    completions_update(&spec, before, &mut errors);
    immutable(&spec.child("selector"), &before["selector"], &mut errors);
    template_update(&spec, current, &mut errors);
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(&spec.child(name), &before[name], &mut errors);
    }
    errors
}

/// The completions stay; those of an indexed Job may change with its parallelism.
fn completions_update(spec: &Field<'_>, before: &Value, errors: &mut Errors) {
    let completions = spec.child("completions");
    if !is_indexed(spec.value) {
        immutable(&completions, &before["completions"], errors);
    } else if !completions.is_absent()
        && *completions.value != before["completions"]
        && completions.i64() != spec.child("parallelism").i64()
    {
        errors.push(completions.invalid("can only be modified in tandem with spec.parallelism"));
    }
}

/// The pods stay what they are. A suspended Job that has never run may still be placed elsewhere.
fn template_update(spec: &Field<'_>, current: &Value, errors: &mut Errors) {
    let template = spec.child("template");
    let mut before = current["spec"]["template"].clone();
    let waits = current["spec"]["suspend"] == true && current["status"]["startTime"].is_null();
    if waits {
        for name in ["nodeSelector", "tolerations", "schedulingGates"] {
            before["spec"][name] = template.value["spec"][name].clone();
        }
        let (now, then) = (&template.value["spec"]["affinity"]["nodeAffinity"], &mut before["spec"]["affinity"]);
        if let Some(affinity) = then.as_object_mut() {
            affinity.remove("nodeAffinity");
        }
        if !now.is_null() {
            then["nodeAffinity"] = now.clone();
        }
        for name in ["annotations", "labels"] {
            before["metadata"][name] = template.value["metadata"][name].clone();
        }
    }
    if !same(template.value, &before) {
        errors.push(template.invalid(IMMUTABLE));
    }
}
