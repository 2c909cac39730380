//! Paths to a field of a schema, with dots and with keys of maps in brackets.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (ValidFieldPath)
//! Left out: nothing.

use serde_json::Value;

/// How a path may be written.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::strategy) enum Notation {
    Dots,
    DotsAndBrackets,
}

/// Where a path leads.
pub(in crate::strategy) struct Found<'a> {
    pub(in crate::strategy) steps: Vec<String>,
    pub(in crate::strategy) schema: &'a Value,
}

/// Follows the path through the schema.
///
/// # Errors
/// Why it leads nowhere, in upstream's words.
pub(in crate::strategy) fn resolve<'a>(path: &str, schema: &'a Value, notation: Notation) -> Result<Found<'a>, String> {
    let mut found = Found { steps: Vec::new(), schema };
    let mut tokens = Tokens(path);
    let end = || "unexpected end of JSON path".to_owned();
    while let Some(token) = tokens.next() {
        match token {
            "[" if notation == Notation::Dots => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let key = tokens.next().ok_or_else(end)?;
                let quoted = key.strip_prefix('\'').and_then(|key| key.strip_suffix('\''));
                let quoted = quoted.ok_or_else(|| format!("expected single quoted string but got {key}"))?;
                found.step(&unescape(quoted)?)?;
                let close = tokens.next().ok_or_else(end)?;
                if close != "]" {
                    return Err(format!("expected ] but got {close}"));
                }
            }
            "." => {
                let name = tokens.next().ok_or_else(end)?;
                found.step(name)?;
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        }
    }
    Ok(found)
}

impl Found<'_> {
    fn step(&mut self, name: &str) -> Result<(), String> {
        let properties = &self.schema["properties"];
        let next = if properties.is_object() { properties.get(name) } else { self.schema.get("additionalProperties") };
        self.schema = next.filter(|next| next.is_object()).ok_or("does not refer to a valid field")?;
        self.steps.push(name.to_owned());
        Ok(())
    }
}

/// The rest of a path: dots, brackets, quoted strings, and what stands between them.
struct Tokens<'p>(&'p str);

impl<'p> Iterator for Tokens<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let text = self.0;
        let first = text.chars().next()?;
        let length = match first {
            '.' | '[' | ']' => 1,
            '\'' => {
                let bytes = text.as_bytes();
                let close = (1..bytes.len()).find(|at| bytes[*at] == b'\'' && bytes[at - 1] != b'\\');
                close.map_or(text.len(), |at| at + 1)
            }
            _ => text.find(['.', '[', ']']).unwrap_or(text.len()),
        };
        let (token, rest) = text.split_at(length);
        self.0 = rest;
        Some(token)
    }
}

fn unescape(quoted: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        text.push(match (c, if c == '\\' { characters.next() } else { None }) {
            ('\\', Some('a')) => '\x07',
            ('\\', Some('b')) => '\x08',
            ('\\', Some('f')) => '\x0C',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('v')) => '\x0B',
            ('\\', Some(c @ ('\'' | '\\'))) => c,
            ('\\', Some(other)) => return Err(format!("invalid string literal: invalid escape char \\{other}")),
            (c, _) => c,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_a_path_or_refused(path in r"[\[\].'\\an\u{e4}]{0,12}") {
            let schema = json!({"properties": {"a": {"additionalProperties": {"type": "string"}}}});
            let found = resolve(&path, &schema, Notation::DotsAndBrackets);
            proptest::prop_assert!(found.is_err() || path.is_empty() || path.starts_with(['.', '[']));
        }
    }
}
