//! The forms that names take: what is wrong with a string that should be a DNS label, a label key, a port name.
//!
//! Upstream: apimachinery/pkg/util/validation/validation.go, apimachinery/pkg/api/validate/content
//! Left out: IP addresses and CIDRs (validation of the kinds that have them does that).
//!
//! Every function answers with the list of complaints, in upstream's words; an empty list means the value is fine.

const DNS_1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS_1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const DNS_1035_LABEL: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_WORDS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// The longest DNS label, label value and name part of a label key.
pub const LABEL_MAX_LENGTH: usize = 63;
/// The longest DNS subdomain, hence the longest name of most objects.
pub const SUBDOMAIN_MAX_LENGTH: usize = 253;

/// Checks a label in DNS (RFC 1123): the name of a namespace, of a container.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(LABEL_MAX_LENGTH, value);
    if !dns_label(value) {
        if dns_subdomain(value) {
            errors.push("must not contain dots".into());
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                         start and end with an alphanumeric character";
            errors.push(regex_error(words, DNS_1123_LABEL, &["my-name", "123-abc"]));
        }
    }
    errors
}

/// Checks a subdomain in DNS (RFC 1123): the name of most objects.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = longer_than(SUBDOMAIN_MAX_LENGTH, value);
    if !dns_subdomain(value) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                     must start and end with an alphanumeric character";
        errors.push(regex_error(words, DNS_1123_SUBDOMAIN, &["example.com"]));
    }
    errors
}

/// As [`is_dns1123_subdomain`], with underscores: the search path of a resolver.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let mut errors = longer_than(SUBDOMAIN_MAX_LENGTH, value);
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with(['-', '_'])
    };
    if !value.split('.').all(label) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', \
                     and must start and end with an alphanumeric character";
        let regex = r"[a-z0-9_]([-_a-z0-9]*[a-z0-9])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9])?)*";
        errors.push(regex_error(words, regex, &["example.com"]));
    }
    errors
}

/// Checks a wildcard subdomain, `*.example.com`: the host of an ingress rule.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = longer_than(SUBDOMAIN_MAX_LENGTH, value);
    if !value.strip_prefix("*.").is_some_and(dns_subdomain) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                     consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        errors.push(regex_error(words, &format!(r"\*\.{DNS_1123_SUBDOMAIN}"), &["*.example.com"]));
    }
    errors
}

/// Checks a label in DNS (RFC 1035): the name of a Service.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(LABEL_MAX_LENGTH, value);
    if !(dns_label(value) && value.starts_with(|first: char| first.is_ascii_lowercase())) {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                     alphabetic character, and end with an alphanumeric character";
        errors.push(regex_error(words, DNS_1035_LABEL, &["my-name", "abc-123"]));
    }
    errors
}

/// Checks a qualified name: the key of a label, an annotation, an extended resource.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let text = regex_error(LABEL_KEY_WORDS, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
            let prefix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {text} {prefix}")];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".into());
            name
        }
        Some((prefix, name)) => {
            errors.extend(is_dns1123_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX_LENGTH {
        errors.push(format!("name part must be no more than {LABEL_MAX_LENGTH} bytes"));
    }
    if !label_word(name) {
        let text = regex_error(LABEL_KEY_WORDS, LABEL_KEY, &["MyName", "my.name", "123-abc"]);
        errors.push(format!("name part {text}"));
    }
    errors
}

/// Checks the value of a label.
pub fn is_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX_LENGTH {
        errors.push(format!("must be no more than {LABEL_MAX_LENGTH} bytes"));
    }
    if !(value.is_empty() || label_word(value)) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                     must start and end with an alphanumeric character";
        errors.push(regex_error(words, &format!("({LABEL_KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// Checks that the value can be one segment of a URL path: the name of a ClusterRole.
pub fn is_path_segment_name(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    is_path_segment_prefix(value)
}

/// Checks that the value can begin a segment of a URL path: the generateName of a ClusterRole.
pub fn is_path_segment_prefix(value: &str) -> Vec<String> {
    ["/", "%"].iter().filter(|part| value.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

/// Checks an identifier in C: the reason of a condition.
pub fn is_c_identifier(value: &str) -> Vec<String> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let fine =
        value.as_bytes().first().is_some_and(|first| !first.is_ascii_digit()) && value.as_bytes().iter().all(word);
    if fine {
        return Vec::new();
    }
    let words = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                 alphanumeric characters or '_'";
    vec![regex_error(words, "[A-Za-z_][A-Za-z0-9_]*", &["my_name", "MY_NAME", "MyName"])]
}

/// Checks the name of an environment variable: printable ASCII but '='.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.is_empty() {
        errors.push("environment variable name must be non-empty".into());
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        let words = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        errors.push(words.into());
    }
    errors
}

/// Checks the key of a ConfigMap or Secret.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut errors = longer_than(SUBDOMAIN_MAX_LENGTH, value);
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(regex_error(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match value {
        "." | ".." => errors.push(format!("must not be '{value}'")),
        _ if value.starts_with("..") => errors.push("must not start with '..'".into()),
        _ => (),
    }
    errors
}

/// Checks the name of a port (an IANA service name).
pub fn is_port_name(value: &str) -> Vec<String> {
    let mut errors = longer_than(15, value);
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.is_empty() || !value.bytes().all(allowed) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        errors.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        errors.push("must not begin or end with a hyphen".into());
    }
    errors
}

/// Checks the number of a port.
pub fn is_port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec!["must be between 1 and 65535, inclusive".into()] }
}

/// Checks a percentage, `25%`.
pub fn is_percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let words = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_error(words, "[0-9]+%", &["1%", "93%"])]
}

/// Checks the name of an HTTP header.
pub fn is_http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_error(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

fn dns_label(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !value.is_empty() && value.bytes().all(inner) && !value.starts_with('-') && !value.ends_with('-')
}

fn dns_subdomain(value: &str) -> bool {
    value.split('.').all(dns_label)
}

fn label_word(value: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = value.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes.iter().all(inner)
}

fn longer_than(max: usize, value: &str) -> Vec<String> {
    if value.len() > max { vec![format!("must be no more than {max} characters")] } else { Vec::new() }
}

/// The sentence about a form that a value does not have, with examples of it.
pub fn regex_error(words: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{regex}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pod_name_gets_the_sentence_that_people_search_for() {
        assert_eq!(
            is_dns1123_subdomain("Web_1"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            is_dns1123_label("-a"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(is_dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    }

    #[test]
    fn names_of_every_form_are_told_from_those_that_are_not() {
        /// A check, what passes it, and what doesn't.
        type Case = (fn(&str) -> Vec<String>, &'static [&'static str], &'static [&'static str]);
        let fine: [Case; 11] = [
            (is_dns1123_label, &["a", "0", "a-1"], &["", "A", "a_", "a.b", "a-"]),
            (is_dns1123_subdomain, &["a", "a.b-c.d"], &["", ".", "a..b", "a.-b", "A"]),
            (is_wildcard_dns1123_subdomain, &["*.a.b"], &["*", "*.", "a.b", "*.*.b"]),
            (is_dns1035_label, &["a", "a-1"], &["1a", "", "a-"]),
            (is_qualified_name, &["a", "A_b.c", "ex.com/A"], &["", "/a", "a/", "a/b/c", "EX/a", "-a"]),
            (is_label_value, &["", "a", "A_b.c"], &["-", "a-", "a/b"]),
            (is_path_segment_name, &["system:node", "a b"], &[".", "..", "a/b", "a%b"]),
            (is_c_identifier, &["Ready", "_a1"], &["", "1a", "a-b"]),
            (is_env_var_name, &["A", "1a.b-c"], &["", "a=b", "ä"]),
            (is_config_map_key, &["a.b", "..a"], &["", ".", "..", "a/b"]),
            (is_port_name, &["http", "a-1"], &["", "1", "a--b", "-a", "HTTP", "sixteen-letters-"]),
        ];
        for (check, good, bad) in fine {
            for value in good.iter().filter(|value| **value != "..a") {
                assert_eq!(check(value), Vec::<String>::new(), "{value:?}");
            }
            for value in bad {
                assert!(!check(value).is_empty(), "{value:?}");
            }
        }
        assert_eq!(is_config_map_key("..a"), ["must not start with '..'"]);
    }
}
