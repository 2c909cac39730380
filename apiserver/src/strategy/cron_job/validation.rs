//! What a CronJob may be.
//!
//! Upstream: pkg/apis/batch/validation/validation.go (ValidateCronJob)
//! Left out: the parser's own words about a schedule beyond the number of its fields and their ranges.

use api::{field::Field, object::Object as _};
use serde_json::Value;

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
    } else if let Err(why) = check_schedule(schedule.str()) {
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

/// Why a schedule can't be read, in the parser's words where they are known.
fn check_schedule(schedule: &str) -> Result<(), String> {
    const FIELDS: [(i64, i64); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    const MACROS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if let Some(every) = schedule.strip_prefix("@every ") {
        return if every.trim().is_empty() { Err(format!("failed to parse duration {schedule}")) } else { Ok(()) };
    }
    if schedule.starts_with('@') {
        let known = MACROS.contains(&schedule);
        return if known { Ok(()) } else { Err(format!("unrecognized descriptor: {schedule}")) };
    }
    let words: Vec<&str> = schedule.split_whitespace().filter(|word| !word.contains("TZ=")).collect();
    if words.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" ")));
    }
    words.iter().zip(FIELDS).try_for_each(|(word, range)| word.split(',').try_for_each(|part| check_field(part, range)))
}

fn check_field(part: &str, (first, last): (i64, i64)) -> Result<(), String> {
    let (range, step) = part.split_once('/').unwrap_or((part, "1"));
    if !step.parse::<i64>().is_ok_and(|step| step > 0) {
        return Err(format!("failed to parse int from {step}: strconv.Atoi: parsing {step:?}: invalid syntax"));
    }
    if matches!(range, "*" | "?") {
        return Ok(());
    }
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| match name_value(text) {
        Some(number) => Ok(number),
        None => text
            .parse::<i64>()
            .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")),
    };
    let (start, end) = (number(low)?, number(high)?);
    if start < first {
        return Err(format!("beginning of range ({start}) below minimum ({first}): {part}"));
    }
    if end > last {
        return Err(format!("end of range ({end}) above maximum ({last}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    Ok(())
}

/// The number of a month or weekday that is written as a name.
fn name_value(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let lower = text.to_ascii_lowercase();
    let place = |names: &[&str], first: i64| names.iter().position(|name| *name == lower).map(|at| at as i64 + first);
    place(&MONTHS, 1).or_else(|| place(&DAYS, 0))
}
