//! Jobs.
//!
//! Upstream: pkg/registry/batch/job/strategy.go, pkg/apis/batch/v1/defaults.go
//! Left out: nothing.

pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_condition_times, fill_text, lacks, object_in, object_or_empty, objects_in, spec},
    keep_status, pod_template,
};

use crate::row::Subresource;

pub(crate) struct Jobs;

impl Strategy for Jobs {
    fn defaults(&self, object: &mut Value) {
        fill_condition_times(object, &["lastProbeTime", "lastTransitionTime"]);
        let Some(spec) = spec(object) else { return };
        let absent = |spec: &super::filling::Fields, name: &str| spec.get(name).is_none_or(Value::is_null);
        if absent(spec, "completions") && absent(spec, "parallelism") {
            fill(spec, "completions", 1);
        }
        fill(spec, "parallelism", 1);
        let retries = if absent(spec, "backoffLimitPerIndex") { 6 } else { i64::from(i32::MAX) };
        fill(spec, "backoffLimit", retries);
        fill(spec, "completionMode", "NonIndexed");
        fill(spec, "suspend", false);
        let failures_matter = object_in(spec, "podFailurePolicy").is_some();
        fill(spec, "podReplacementPolicy", if failures_matter { "Failed" } else { "TerminatingOrFailed" });
        if let Some(policy) = object_in(spec, "podFailurePolicy") {
            for rule in objects_in(policy, "rules") {
                for pattern in objects_in(rule, "onPodConditions") {
                    fill_text(pattern, "status", "True");
                }
            }
        }
        pod_template::defaults(spec, "template");
        let labels = spec.get("template").map(|template| template["metadata"]["labels"].clone());
        let labels = labels.filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty()));
        if let (Some(labels), Some(metadata)) = (labels, object["metadata"].as_object_mut())
            && lacks(metadata, "labels")
        {
            metadata.insert("labels".to_owned(), labels);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
        generate_selector(object);
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::job(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::status::update(object, current)
    }
}

/// Unless the author selects pods by hand, a Job's pods are those that carry its uid: labels on the template, and the
/// selector for them. The labels without prefix are the older form that clients still read.
fn generate_selector(job: &mut Value) {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
    let Some(spec) = spec(job) else { return };
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let metadata = object_or_empty(object_or_empty(spec, "template"), "metadata");
    let labels = object_or_empty(metadata, "labels");
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        fill(labels, key, value.as_str());
    }
    let selector = object_or_empty(object_or_empty(spec, "selector"), "matchLabels");
    fill(selector, "batch.kubernetes.io/controller-uid", uid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_job_carries_the_labels_of_its_pods() {
        let mut job = json!({
            "metadata": {"name": "a", "uid": "u"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
        });
        // As a create does: the labels that the preparation gives the pods become the job's in the second round.
        Jobs.defaults(&mut job);
        Jobs.prepare_for_create(&mut job);
        Jobs.defaults(&mut job);
        assert_eq!(job["metadata"]["labels"]["job-name"], "a");
        assert_eq!(job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]);
    }
}
