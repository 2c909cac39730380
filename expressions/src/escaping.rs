//! Names of fields as expressions write them: `self.__namespace__` for `namespace`.
//!
//! Upstream: apiserver/pkg/cel/escaping.go

/// What is no name in an expression.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
const ESCAPES: [(&str, &str); 4] = [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// Whether a word has a meaning of its own in expressions, so that nothing can be named so.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// A field's name as expressions write it; None if they can't.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    name.chars()
        .all(is_allowed)
        .then(|| ESCAPES.iter().fold(name.to_owned(), |name, (plain, escaped)| name.replace(plain, escaped)))
}

/// The name of the field that an expression writes as this.
pub(crate) fn unescape(name: &str) -> String {
    if let Some(reserved) = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"))
        && is_reserved(reserved)
    {
        return reserved.to_owned();
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        match ESCAPES.iter().find_map(|(plain, escaped)| Some((rest.strip_prefix(escaped)?, plain))) {
            Some((after, plain)) => {
                out.push_str(plain);
                rest = after;
            }
            None => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_and_found_again() {
        for (name, escaped) in [
            ("name", "name"),
            ("namespace", "__namespace__"),
            ("a.b-c/d", "a__dot__b__dash__c__slash__d"),
            ("a__b", "a__underscores__b"),
            ("a___b", "a__underscores___b"),
            ("__if__", "__underscores__if__underscores__"),
        ] {
            assert_eq!(escape(name).as_deref(), Some(escaped));
            assert_eq!(unescape(escaped), name);
        }
        assert_eq!(["", "1st", "a b", "\u{e4}"].map(escape), [None, None, None, None]);
    }
}
