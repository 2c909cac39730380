//! Field selectors: `spec.nodeName=n1,status.phase!=Running`.
//!
//! Upstream: apimachinery/pkg/fields/selector.go
//! Left out: nothing. Which fields a kind offers is its registry row's business.

use std::fmt;

/// Requirements on fields that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// The field is equal to the value, or, when `negated`, different from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    pub field: String,
    pub value: String,
    pub negated: bool,
}

impl FieldSelector {
    /// Selects every object.
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// Reads the string form. In values `\\`, `\,` and `\=` stand for the character after the backslash.
    ///
    /// # Errors
    /// Which part cannot be understood, in upstream's words.
    pub fn parse(text: &str) -> Result<FieldSelector, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((field, negated, value)) = split_term(term) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            requirements.push(FieldRequirement { field: field.into(), value: unescaped(value)?, negated });
        }
        Ok(FieldSelector { requirements })
    }

    /// The same requirements, and that the field is equal to the value.
    pub fn and(mut self, field: &str, value: &str) -> FieldSelector {
        let wanted = FieldRequirement { field: field.into(), value: value.into(), negated: false };
        if !self.requirements.contains(&wanted) {
            self.requirements.push(wanted);
        }
        self
    }

    /// The same requirements on fields of other names.
    pub fn renamed<'a>(&'a self, name: impl Fn(&'a str) -> &'a str) -> FieldSelector {
        let renamed = |each: &'a FieldRequirement| FieldRequirement { field: name(&each.field).into(), ..each.clone() };
        FieldSelector { requirements: self.requirements.iter().map(renamed).collect() }
    }

    /// Whether fields, looked up by name, satisfy every requirement. A field that is absent is the empty string.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|wanted| (field(&wanted.field).unwrap_or_default() == wanted.value) != wanted.negated)
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The value that every selected object has in `field`, for finding candidates by index.
    pub fn required(&self, field: &str) -> Option<&str> {
        let wanted = self.requirements.iter().find(|wanted| wanted.field == field && !wanted.negated)?;
        Some(&wanted.value)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FieldRequirement { field, value, negated }) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if *negated { "!=" } else { "=" };
            let value = value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
            write!(f, "{comma}{field}{operator}{value}")?;
        }
        Ok(())
    }
}

/// The parts between commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => (),
        }
    }
    terms.push(&text[start..]);
    terms
}

/// The field, whether it is negated, and the value, cut at the first operator.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    term.char_indices().find_map(|(index, _)| {
        let (field, rest) = term.split_at(index);
        let (operator, negated) =
            [("!=", true), ("==", false), ("=", false)].into_iter().find(|(operator, _)| rest.starts_with(operator))?;
        Some((field, negated, &rest[operator.len()..]))
    })
}

fn unescaped(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => return Err(format!("invalid field selector: invalid escape sequence: \\{other}")),
                None => return Err("invalid field selector: invalid escape sequence: \\".into()),
            },
            ',' | '=' => {
                let code = u32::from(letter);
                return Err(format!("invalid field selector: unescaped character in value: {code}"));
            }
            _ => plain.push(letter),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_selected_when_every_field_agrees() {
        let fields = |name: &str| match name {
            "spec.nodeName" => Some("n1"),
            "metadata.name" => Some("a,b=c"),
            _ => None,
        };
        for (text, selected) in [
            ("", true),
            ("spec.nodeName=n1", true),
            ("spec.nodeName==n1,status.phase!=Running", true),
            ("spec.nodeName!=n1", false),
            ("status.phase=", true),
            (r"metadata.name=a\,b\=c", true),
        ] {
            let selector = FieldSelector::parse(text).unwrap();
            assert_eq!(selector.matches(fields), selected, "{text}");
            assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }
        let selector = FieldSelector::parse("spec.nodeName=n1,a!=b").unwrap();
        assert_eq!((selector.required("spec.nodeName"), selector.required("a")), (Some("n1"), None));
    }

    #[test]
    fn a_field_selector_that_cannot_be_read_says_where() {
        for (text, error) in [
            ("abc", "invalid selector: 'abc'; can't understand 'abc'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ] {
            assert_eq!(FieldSelector::parse(text).unwrap_err(), error);
        }
    }
}
