//! Times and durations.
//!
//! Upstream: cel-go common/types/timestamp.go, common/types/duration.go
//! Left out: time zones by name; a zone is `UTC` or an offset as `+01:00`.

use super::super::{Failure, Outcome, Value, error};

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Outcome> {
    match arguments {
        [Value::Duration(nanoseconds)] => of_duration(name, *nanoseconds).map(|found| Ok(Value::Int(found))),
        [Value::Timestamp(time)] => of_time(name, *time).map(|found| Ok(Value::Int(found))),
        [Value::Timestamp(time), Value::String(zone)] => match offset(zone) {
            Ok(offset) => of_time(name, time + offset).map(|found| Ok(Value::Int(found))),
            Err(failure) => Some(Err(failure)),
        },
        _ => None,
    }
}

fn of_duration(name: &str, nanoseconds: i64) -> Option<i64> {
    Some(match name {
        "getHours" => nanoseconds / 3_600_000_000_000,
        "getMinutes" => nanoseconds / 60_000_000_000,
        "getSeconds" => nanoseconds / 1_000_000_000,
        "getMilliseconds" => nanoseconds / 1_000_000,
        _ => return None,
    })
}

fn of_time(name: &str, time: i128) -> Option<i64> {
    let days = time.div_euclid(DAY) as i64;
    let within = time.rem_euclid(DAY);
    let (year, month, day) = date(days);
    Some(match name {
        "getFullYear" => year,
        "getMonth" => month - 1,
        "getDayOfYear" => days - days_before(year),
        "getDayOfMonth" => day - 1,
        "getDate" => day,
        "getDayOfWeek" => (days + 4).rem_euclid(7),
        "getHours" => (within / (3_600 * SECOND)) as i64,
        "getMinutes" => (within / (60 * SECOND) % 60) as i64,
        "getSeconds" => (within / SECOND % 60) as i64,
        "getMilliseconds" => (within / 1_000_000 % 1_000) as i64,
        _ => return None,
    })
}

/// The nanoseconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Result<i128, Failure> {
    if ["", "UTC"].contains(&zone) {
        return Ok(0);
    }
    let Some((hours, minutes)) = zone.split_once(':') else {
        return Err(Failure::Unsupported(format!("time zone {zone}")));
    };
    let number = |text: &str| {
        text.parse::<i32>().map_err(|_| error(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")))
    };
    let (hours_ahead, minutes) = (number(hours)?, number(minutes)?);
    let minutes = if hours.starts_with('-') { -minutes } else { minutes };
    Ok((i128::from(hours_ahead) * 60 + i128::from(minutes)) * 60 * SECOND)
}

pub(super) fn seconds(time: i128) -> i64 {
    time.div_euclid(SECOND) as i64
}

pub(super) fn duration(nanoseconds: i64) -> String {
    let seconds = (nanoseconds / 1_000_000_000) as f64 + (nanoseconds % 1_000_000_000) as f64 / 1e9;
    format!("{seconds}s")
}

/// As RFC 3339, with as much of a second as there is.
pub(super) fn timestamp(time: i128) -> String {
    let (year, month, day) = date(time.div_euclid(DAY) as i64);
    let within = time.rem_euclid(DAY);
    let (second, fraction) = (within / SECOND, within % SECOND);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:09}") };
    let fraction = fraction.trim_end_matches('0');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The year, month and day of a number of days since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(366);
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut rest = days - days_before(year);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(lengths) {
        if rest < length {
            return (year, month, rest + 1);
        }
        rest -= length;
    }
    (year, 12, 31)
}

/// The days from the first of January 1970 to that of another year.
fn days_before(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}
