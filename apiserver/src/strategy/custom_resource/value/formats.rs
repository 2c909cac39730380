//! The formats of strings that are checked.
//!
//! Upstream: kube-openapi/pkg/validation/strfmt (default.go, date.go, time.go, duration.go, kubernetes-extensions.go)
//! Left out: bsonobjectid, creditcard, email, hexcolor, isbn, rgbcolor, ssn, uri; any string is of these.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

use api::names;
use regex::Regex;

/// The check of a format, if it is checked at all. Dashes in its name say nothing.
pub(super) fn known(format: &str) -> Option<fn(&str) -> bool> {
    Some(match format.replace('-', "").as_str() {
        "ipv4" => |text| text.contains('.') && text.parse::<IpAddr>().is_ok(),
        "ipv6" => |text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr,
        "mac" => is_mac,
        "uuid" => |text| is_uuid(text, None),
        "uuid3" => |text| is_uuid(text, Some(b'3')),
        "uuid4" => |text| is_uuid(text, Some(b'4')) && has_variant(text),
        "uuid5" => |text| is_uuid(text, Some(b'5')) && has_variant(text),
        "hostname" => is_hostname,
        "byte" => is_base64,
        "date" => is_date,
        "datetime" => is_date_time,
        "duration" => is_duration,
        "k8sshortname" => |text| names::is_dns1123_label(text).is_empty(),
        "k8slongname" => |text| names::is_dns1123_subdomain(text).is_empty(),
        _ => return None,
    })
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let is_plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    is_plain && (bits == "0" || !bits.starts_with('0')) && bits.parse().is_ok_and(|bits: u8| bits <= most)
}

/// 6, 8 or 20 bytes in pairs of digits with colons or dashes, or in fours with points.
fn is_mac(text: &str) -> bool {
    let is_in = |separator: char, digits: usize, counts: [usize; 3]| {
        let groups: Vec<&str> = text.split(separator).collect();
        let is_group = |group: &&str| group.len() == digits && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        counts.contains(&groups.len()) && groups.iter().all(is_group)
    };
    is_in(':', 2, [6, 8, 20]) || is_in('-', 2, [6, 8, 20]) || is_in('.', 4, [3, 4, 10])
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12, which dashes may part, of this version.
fn is_uuid(text: &str, version: Option<u8>) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let mut rest = text;
    let groups = [8, 4, 4, 4, 12].into_iter().all(|length| {
        let is_group = rest.get(..length).is_some_and(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
        rest = rest.get(length..).unwrap_or_default();
        rest = rest.strip_prefix('-').filter(|_| length != 12).unwrap_or(rest);
        is_group
    });
    groups && rest.is_empty() && version.is_none_or(|version| digits.as_bytes().get(12) == Some(&version))
}

fn has_variant(uuid: &str) -> bool {
    uuid.chars().filter(|c| *c != '-').nth(16).is_some_and(|c| "89abAB".contains(c))
}

fn is_hostname(text: &str) -> bool {
    static HOSTNAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let c = r"[a-zA-Z0-9\p{S}\p{L}]";
        let inner = r"[a-zA-Z0-9\-\p{S}\p{L}]";
        Regex::new(&format!(r"^({c}((-?{c}{{0,62}})?)|({c}(({inner}{{0,61}}{c})?)(\.)){{1,}}({c})(-?{c}){{1,62}})$"))
            .ok()
    });
    HOSTNAME.as_ref().is_none_or(|hostname| hostname.is_match(text))
        && text.len() <= 255
        && text.split('.').all(|part| part.len() <= 63)
}

/// Whole groups of four characters, the last of them filled up; at least one.
fn is_base64(text: &str) -> bool {
    let data = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    !text.is_empty() && text.len().is_multiple_of(4) && data.bytes().all(is_digit)
}

fn is_date(text: &str) -> bool {
    let is_written_out = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_written_out && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})$").ok()
    });
    let lower = text.to_ascii_lowercase();
    let Some((date, time)) = lower.split_once('t') else { return false };
    is_date(date) && TIME.as_ref().is_none_or(|form| form.is_match(time))
}

/// Numbers with units, of which one at least is a unit of time; the words for it may go on (`seconds`).
fn is_duration(text: &str) -> bool {
    static PART: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9]+[\t\n\x0C\r ]*([A-Za-zµ]+)").ok());
    const SHORT: [&str; 11] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"];
    const LONG: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    let is_unit = |unit: &str| SHORT.contains(&unit) || LONG.iter().any(|long| unit.starts_with(long));
    matches!(text, "0" | "+0" | "-0")
        || PART.as_ref().is_none_or(|part| part.captures_iter(text).any(|found| is_unit(&found[1].to_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_of_their_format_or_not() {
        for (format, good, bad) in [
            ("ipv4", &["10.0.0.1"][..], &["10.0.0", "::1"][..]),
            ("ipv6", &["::1", "fd00::a"], &["1.1.1.1", "x:"]),
            ("cidr", &["10.0.0.1/32", "::/0"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08"]),
            ("mac", &["00:00:5e:00:53:01", "0000.5e00.5301"], &["00:00", "00:00:5e:00:53:zz"]),
            ("uuid", &["A0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"], &["a0eebc99", ""]),
            ("uuid4", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], &["a0eebc99-9c0b-3ef8-bb6d-6bb9bd380a11"]),
            ("hostname", &["a.example.com", "a"], &["a..b", "-a.com", "a_b.com"]),
            ("k8s-short-name", &["a-1"], &["a.b", "A"]),
            ("k8s-long-name", &["a-1.b"], &["a..b", ""]),
            ("byte", &["YQ==", "YWJj"], &["", "YQ", "Y Q="]),
            ("date", &["2024-02-29"], &["2023-02-29", "2024-2-9"]),
            (
                "date-time",
                &["2024-02-29T23:59:59Z", "2024-01-01t00:00:00.5+01:00"],
                &["2024-01-01", "2024-01-01T24:00:00Z"],
            ),
            ("duration", &["1h30m", "22 ns", "1.5h", "2 weeks", "0"], &["", "1", "h", "1 parsec"]),
        ] {
            let check = known(format).unwrap();
            assert!(good.iter().all(|text| check(text)), "{format}: {good:?}");
            assert!(!bad.iter().any(|text| check(text)), "{format}: {bad:?}");
        }
        assert!(known("int64").is_none() && known("").is_none());
    }
}
