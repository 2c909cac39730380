//! Durations as Go reads them: `1h30m`.
//!
//! Upstream: Go's time/format.go (ParseDuration)

const MAX: u64 = 1 << 63;

/// The nanoseconds of a duration.
pub(crate) fn read(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    if unsigned.is_empty() {
        return None;
    }
    let mut rest = unsigned;
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (amount, after) = amount(rest)?;
        rest = after;
        sum = sum.checked_add(amount).filter(|sum| *sum <= MAX)?;
    }
    match text.starts_with('-') {
        true => Some(0i64.wrapping_sub_unsigned(sum)),
        false => i64::try_from(sum).ok(),
    }
}

/// The nanoseconds of the number and unit that a text begins with, and the rest of the text.
fn amount(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().filter(|whole| *whole <= MAX)? };
    let nanoseconds = whole.checked_mul(unit).filter(|nanoseconds| *nanoseconds <= MAX)?;
    let (numerator, scale) = scaled(fraction);
    let part = numerator as f64 * (unit as f64 / scale);
    let nanoseconds = nanoseconds + part as u64;
    (nanoseconds <= MAX).then_some((nanoseconds, rest))
}

/// The digits of a fraction as a number, and what it is to be divided by. Digits that no number has room for are
/// left out.
fn scaled(fraction: &str) -> (u64, f64) {
    let mut number: u64 = 0;
    let mut scale = 1.0;
    for digit in fraction.bytes().map(|byte| u64::from(byte - b'0')) {
        if number > (MAX - 1) / 10 || number * 10 + digit > MAX {
            break;
        }
        number = number * 10 + digit;
        scale *= 10.0;
    }
    (number, scale)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("+5s", 5_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("-1.5h", -5_400_000_000_000),
            (".5us", 500),
            ("1.\u{b5}s2\u{3bc}s", 3_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-2562047h47m16.854775808s", i64::MIN),
        ] {
            assert_eq!(read(text), Some(nanoseconds), "{text}");
        }
        for text in [
            "",
            "-",
            "3",
            "s",
            ".",
            ".s",
            "+.s",
            "1d",
            "1 h",
            "1hs",
            "1e3s",
            "--1s",
            "3000000h",
            "9223372036854775808ns",
            "9223372036854775810ns",
            "-9223372036854775809ns",
            "99999999999999999999s",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
