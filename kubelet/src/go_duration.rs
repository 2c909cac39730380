//! Durations as Go prints them, because messages of Kubernetes do.
//!
//! Upstream: time.Duration's String

use std::time::Duration;

/// `80` is `1m20s`.
pub fn seconds(seconds: i64) -> String {
    millis(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// To the millisecond: `890ms`, `1.21s`, `1m2.5s`.
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let rest = millis % 60_000;
    let fraction = format!("{}.{:03}", rest / 1000, rest % 1000);
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{fraction}s"),
        (0, minutes) => format!("{minutes}m{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_does() {
        let cases = [(0, "0s"), (890, "890ms"), (1000, "1s"), (1210, "1.21s"), (10_000, "10s"), (62_500, "1m2.5s")];
        for (given, expected) in cases.into_iter().chain([(300_000, "5m0s"), (3_600_000, "1h0m0s")]) {
            assert_eq!(millis(Duration::from_millis(given)), expected);
        }
    }
}
