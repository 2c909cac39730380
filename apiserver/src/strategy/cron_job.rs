//! CronJobs.
//!
//! Upstream: pkg/registry/batch/cronjob/strategy.go, pkg/apis/batch/v1/defaults.go
//! Left out: nothing.

mod schedule;
pub(crate) mod validation;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill, fill_text, object_or_empty, spec},
    keep_status, pod_template,
};

pub(crate) struct CronJobs;

impl Strategy for CronJobs {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        fill_text(spec, "concurrencyPolicy", "Allow");
        fill(spec, "suspend", false);
        fill(spec, "successfulJobsHistoryLimit", 3);
        fill(spec, "failedJobsHistoryLimit", 1);
        // The Job inside gets its own defaults when it is made.
        let template = object_or_empty(spec, "jobTemplate");
        object_or_empty(template, "metadata");
        pod_template::defaults(object_or_empty(template, "spec"), "template");
    }

    fn prepare_for_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::create(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::update(object, current)
    }
}
