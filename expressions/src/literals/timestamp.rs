//! Times as Go reads them by the layout of RFC 3339, which is more than RFC 3339: `2020-01-02T3:04:05,6+24:00`.
//!
//! Upstream: Go's time/format.go (Parse), cel-go common/types/timestamp.go

use std::ops::RangeInclusive;

/// The first second of year 1 and the last of year 9999.
pub(crate) const RANGE: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The seconds from 1970 to a time.
pub(crate) fn read(text: &str) -> Option<i64> {
    let mut rest = text;
    let year = number(&mut rest, 4..=4)?;
    let month = number(after(&mut rest, "-")?, 2..=2)?;
    let day = number(after(&mut rest, "-")?, 2..=2)?;
    let hour = number(after(&mut rest, "T")?, 1..=2)?;
    let minute = number(after(&mut rest, ":")?, 2..=2)?;
    let second = number(after(&mut rest, ":")?, 2..=2)?;
    if let Some(fraction) = rest.strip_prefix(['.', ','])
        && fraction.starts_with(|c: char| c.is_ascii_digit())
    {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let offset = offset(&mut rest)?;
    let is_time = (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && rest.is_empty();
    let days = days_before_year(year) + (1..month).map(|month| days(year, month)).sum::<i64>() + day - 1;
    let seconds = RANGE.start() + ((days * 24 + hour) * 60 + minute) * 60 + second - offset * 60;
    (is_time && RANGE.contains(&seconds)).then_some(seconds)
}

/// The minutes that a place is ahead of UTC.
fn offset(rest: &mut &str) -> Option<i64> {
    if after(rest, "Z").is_some() {
        return Some(0);
    }
    let sign = if after(rest, "+").is_some() { 1 } else { after(rest, "-").map(|_| -1)? };
    let hours = number(rest, 2..=2)?;
    let minutes = number(after(rest, ":")?, 2..=2)?;
    // Go lets in an offset of 24 hours, and of 60 minutes.
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 60 + minutes))
}

fn number(rest: &mut &str, digits: RangeInclusive<usize>) -> Option<i64> {
    let found = rest.bytes().take(*digits.end()).take_while(u8::is_ascii_digit).count();
    if found < *digits.start() {
        return None;
    }
    let (number, after) = rest.split_at(found);
    *rest = after;
    number.parse().ok()
}

fn after<'r, 't>(rest: &'r mut &'t str, prefix: &str) -> Option<&'r mut &'t str> {
    *rest = rest.strip_prefix(prefix)?;
    Some(rest)
}

/// The days from the first of January of year 1 to that of another year.
fn days_before_year(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400)
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_reads_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2020-02-29T23:59:59.999999999999Z", 1_583_020_799),
            ("2020-03-01T3:04:05,6+05:30", 1_583_012_045),
            ("2000-02-29T00:00:00-00:00", 951_782_400),
            ("2009-02-13T23:31:30+24:60", 1_234_477_890),
            ("0001-01-01T00:00:00Z", *RANGE.start()),
            ("9999-12-31T23:59:59Z", *RANGE.end()),
            ("0000-12-31T23:00:00-01:00", *RANGE.start()),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "2020-01-01",
            "2020-01-01 00:00:00Z",
            "2020-01-01t00:00:00Z",
            "2020-01-01T00:00:00z",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00ZZ",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00+1:00",
            "2020-01-01T00:00:00+25:00",
            "2020-01-01T00:00:00+0100",
            "2020-1-01T00:00:00Z",
            "20200-01-01T00:00:00Z",
            "2020-00-01T00:00:00Z",
            "2020-13-01T00:00:00Z",
            "2020-01-00T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:60:00Z",
            "2020-01-01T00:00:60Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
