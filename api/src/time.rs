//! Points in time as the API writes them: RFC 3339 in UTC, to the second or to the microsecond.
//!
//! Upstream: apimachinery/pkg/apis/meta/v1/time.go, micro_time.go
//! Left out: nothing.

use jiff::Timestamp;

/// `2026-11-24T00:00:00Z`, as in creationTimestamp; fractions of a second are cut.
pub fn to_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-24T00:00:00.123456Z`, as in the renewTime of a Lease.
pub fn to_micros(time: Timestamp) -> String {
    let micros = time.subsec_nanosecond().rem_euclid(1_000_000_000) / 1000;
    format!("{}.{micros:06}Z", time.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// Reads RFC 3339, with any offset and any fraction.
pub fn parse(text: &str) -> Option<Timestamp> {
    // RFC 3339 has a capital T and an offset; jiff takes more than that.
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes[10] != b'T' || text.contains('[') {
        return None;
    }
    text.parse().ok()
}

/// Seconds since the epoch to the point in time; saturates at the ends of the calendar.
pub fn from_unix(seconds: i64, nanos: i32) -> Timestamp {
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(seconds, nanos).unwrap_or(end)
}

/// The text again as the API writes a Time: UTC and whole seconds. None when it is not RFC 3339.
pub fn canonical_seconds(text: &str) -> Option<String> {
    parse(text).map(to_seconds)
}

/// The text again as the API writes a MicroTime. None when it is not RFC 3339 with six digits of a second.
pub fn canonical_micros(text: &str) -> Option<String> {
    let digits = text.get(19..)?.strip_prefix('.')?.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 6 { parse(text).map(to_micros) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let time = parse("2026-11-24T01:02:03.1234567+01:00").unwrap();
        assert_eq!(to_seconds(time), "2026-11-24T00:02:03Z");
        assert_eq!(to_micros(time), "2026-11-24T00:02:03.123456Z");
        assert_eq!(to_micros(from_unix(0, 0)), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in ["", "now", "2026-11-24", "2026-11-24T00:00:00", "2026-13-24T00:00:00Z", "2026-11-24 00:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
