//! What a CronJob may be.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (ValidateCronJob)
//! Left out: nothing.

use api::{field::Field, object::Object as _};
use serde_json::Value;

use super::schedule;
use crate::strategy::{
    job::validation::job_spec,
    validation::{Errors, not_negative, required_one_of},
};

/// A Job's name is the CronJob's and eleven characters.
const MAX_NAME: usize = 52;

/// The mistakes of a CronJob.
pub(super) fn cron_job(cron_job: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = cron_job.child("spec");
    let schedule = spec.child("schedule");
    if schedule.is_empty() {
        errors.push(schedule.required(""));
    } else if let Err(why) = schedule::check(schedule.str()) {
        errors.push(schedule.invalid(why));
    }
    if schedule.str().contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(schedule.invalid(detail));
    }
    not_negative(&spec.child("startingDeadlineSeconds"), &mut errors);
    let zone = spec.child("timeZone");
    if !zone.is_absent() {
        if zone.is_empty() {
            errors.push(zone.invalid("timeZone must be nil or non-empty string"));
        } else if zone.str().eq_ignore_ascii_case("local") {
            errors.push(
                zone.invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"),
            );
        } else if zone.str() != zone.str().trim() || jiff::tz::TimeZone::get(zone.str()).is_err() {
            errors.push(zone.invalid(format!("unknown time zone {}", zone.str())));
        }
    }
    required_one_of(&spec.child("concurrencyPolicy"), &["Allow", "Forbid", "Replace"], &mut errors);
    not_negative(&spec.child("successfulJobsHistoryLimit"), &mut errors);
    not_negative(&spec.child("failedJobsHistoryLimit"), &mut errors);
    let template = spec.child("jobTemplate");
    let job = template.child("spec");
    job_spec(&job, &mut errors);
    let selector = job.child("selector");
    if !selector.is_absent() {
        errors.push(selector.invalid("`selector` will be auto-generated"));
    }
    let manual = job.child("manualSelector");
    if manual.bool() {
        errors.push(manual.not_supported(&["nil", "false"]));
    }
    errors
}

/// The mistakes of a new CronJob: its name must leave room for those of its Jobs.
pub(super) fn create(cron_job: &Field<'_>) -> Errors {
    let mut errors = self::cron_job(cron_job);
    if cron_job.value.name().len() > MAX_NAME {
        let metadata = cron_job.child("metadata");
        errors.push(metadata.child("name").invalid(format!("must be no more than {MAX_NAME} characters")));
    }
    errors
}

/// The mistakes in a change.
pub(super) fn update(cron_job: &Field<'_>, _current: &Value) -> Errors {
    self::cron_job(cron_job)
}
