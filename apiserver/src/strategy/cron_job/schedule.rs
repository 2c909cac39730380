//! Whether a CronJob's schedule can be read.
//!
//! Upstream: the parser of github.com/robfig/cron (v3, parser.go), and Go's time.ParseDuration for `@every`
//! Left out: when a schedule is due; so far nobody asks.

/// One of the five fields: its least and greatest number, and names from the least one on.
struct Bounds {
    least: i64,
    greatest: i64,
    names: &'static [&'static str],
}

const FIELDS: [Bounds; 5] = [
    Bounds { least: 0, greatest: 59, names: &[] },
    Bounds { least: 0, greatest: 23, names: &[] },
    Bounds { least: 1, greatest: 31, names: &[] },
    Bounds { least: 1, greatest: 12, names: &MONTHS },
    Bounds { least: 0, greatest: 6, names: &DAYS },
];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const UNITS: [&str; 8] = ["ns", "us", "\u{b5}s", "\u{3bc}s", "ms", "s", "m", "h"];

/// Reads a schedule.
///
/// # Errors
/// Why it is none, in the parser's words.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let mut rest = schedule;
    if let Some(zoned) = schedule.strip_prefix("TZ=").or_else(|| schedule.strip_prefix("CRON_TZ=")) {
        let (zone, after) = zoned.split_once(' ').unwrap_or((zoned, ""));
        if !matches!(zone, "" | "UTC" | "Local") && jiff::tz::TimeZone::get(zone).is_err() {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" ")));
    }
    let mut pairs = words.iter().zip(&FIELDS);
    pairs.try_for_each(|(word, bounds)| {
        word.split(',').filter(|part| !part.is_empty()).try_for_each(|part| range(part, bounds))
    })
}

fn descriptor(text: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&text) {
        return Ok(());
    }
    match text.strip_prefix("@every ") {
        Some(every) => duration(every).map_err(|why| format!("failed to parse duration {text}: {why}")),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// One part of a field: `*`, `5`, `5-10`, each with a step behind a slash or without.
fn range(part: &str, bounds: &Bounds) -> Result<(), String> {
    let slashes: Vec<&str> = part.split('/').collect();
    let hyphens: Vec<&str> = slashes[0].split('-').collect();
    let (start, mut end) = match hyphens.as_slice() {
        ["*" | "?", ..] => (bounds.least, bounds.greatest),
        [one] => {
            let number = number_or_name(one, bounds)?;
            (number, number)
        }
        [low, high] => (number_or_name(low, bounds)?, number_or_name(high, bounds)?),
        _ => return Err(format!("too many hyphens: {part}")),
    };
    let step = match slashes.as_slice() {
        [_] => 1,
        [_, step] => {
            if hyphens.len() == 1 {
                end = bounds.greatest;
            }
            number(step)?
        }
        _ => return Err(format!("too many slashes: {part}")),
    };
    if start < bounds.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {part}", bounds.least));
    }
    if end > bounds.greatest {
        return Err(format!("end of range ({end}) above maximum ({}): {part}", bounds.greatest));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    Ok(())
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<i64, String> {
    let lower = text.to_lowercase();
    let named = (bounds.least..).zip(bounds.names).find(|(_, name)| **name == lower);
    named.map_or_else(|| number(text), |(number, _)| Ok(number))
}

fn number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = if is_number { "value out of range" } else { "invalid syntax" };
    let parsed = text.parse::<i64>().ok().filter(|_| is_number);
    let number =
        parsed.ok_or_else(|| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"))?;
    if number < 0 {
        return Err(format!("negative number ({number}) not allowed: {text}"));
    }
    Ok(number)
}

/// Reads a duration of Go's: `1h30m`, `-1.5s`, `0`.
fn duration(text: &str) -> Result<(), String> {
    let invalid = || Err(format!("time: invalid duration {text:?}"));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(());
    }
    if rest.is_empty() {
        return invalid();
    }
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return invalid();
        }
        let (unit, after) = after.split_at(after.find(is_amount).unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        if !UNITS.contains(&unit) {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        }
        rest = after;
    }
    Ok(())
}

fn is_amount(c: char) -> bool {
    c == '.' || c.is_ascii_digit()
}

/// The digits that a text begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_taken() {
        for schedule in [
            "* * * * *",
            "*/5 0-23/2 1,15 jan-MAR mon-fri",
            "5/15 ? 31 12 6",
            "0 0 , * *",
            "@every 1h30m",
            "@every -1.5s",
            "@midnight",
            "TZ=Europe/Berlin 0 6 * * *",
            "CRON_TZ=UTC @daily",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
    }

    #[test]
    fn what_can_not_is_refused_in_the_parsers_words() {
        for (schedule, why) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* 5-3 * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("*/2/3 * * * *", "too many slashes: */2/3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
            ("jan * * * *", r#"failed to parse int from jan: strconv.Atoi: parsing "jan": invalid syntax"#),
            ("* * * mon *", r#"failed to parse int from mon: strconv.Atoi: parsing "mon": invalid syntax"#),
            ("+x * * * *", r#"failed to parse int from +x: strconv.Atoi: parsing "+x": invalid syntax"#),
            (
                "99999999999999999999 * * * *",
                r#"failed to parse int from 99999999999999999999: strconv.Atoi: parsing "99999999999999999999": value out of range"#,
            ),
            ("@never", "unrecognized descriptor: @never"),
            ("@every ", r#"failed to parse duration @every : time: invalid duration """#),
            ("@every 5", r#"failed to parse duration @every 5: time: missing unit in duration "5""#),
            ("@every 5q", r#"failed to parse duration @every 5q: time: unknown unit "q" in duration "5q""#),
            ("@every 1.2.3s", r#"failed to parse duration @every 1.2.3s: time: missing unit in duration "1.2.3s""#),
            ("@every .s", r#"failed to parse duration @every .s: time: invalid duration ".s""#),
            ("TZ=Moon/Base 0 6 * * *", "provided bad location Moon/Base: unknown time zone Moon/Base"),
        ] {
            assert_eq!(check(schedule), Err(why.to_owned()), "{schedule}");
        }
    }
}
