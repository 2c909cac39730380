//! Label selectors and field selectors: which objects a list, a watch or a controller is about.
//!
//! Upstream: apimachinery/pkg/labels/selector.go, apimachinery/pkg/fields/selector.go
//! Left out: adding requirements to a parsed selector.

mod fields;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

pub use fields::{FieldRequirement, FieldSelector};

use crate::names;

/// Requirements on labels that must all hold; or nothing at all, which no object satisfies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// What must hold of the label `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// The values compared with, sorted; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    GreaterThan,
    LessThan,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Selects every object.
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// Selects no object.
    pub fn nothing() -> Selector {
        Selector { nothing: true, ..Selector::default() }
    }

    /// Reads the string form: `app=web,tier in (a, b),!legacy`.
    ///
    /// # Errors
    /// Where the text goes wrong, in upstream's words.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut requirements = parse::requirements(text)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Selector { requirements, nothing: false })
    }

    /// Objects that carry all of `labels` (the selector of a Service or a ReplicationController).
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Selector {
        let mut requirements: Vec<Requirement> =
            labels.into_iter().map(|(key, value)| Requirement::equals(key, value)).collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements, nothing: false }
    }

    /// The selector that a typed `LabelSelector` means: absent selects nothing, empty selects everything.
    ///
    /// # Errors
    /// An operator or a value that makes no sense, in upstream's words.
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Result<Selector, String> {
        let Some(selector) = selector else { return Ok(Selector::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = expression_operator(&expression.operator)?;
            requirements.push(Requirement::new(
                &expression.key,
                operator,
                expression.values.clone().unwrap_or_default(),
            )?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Selector { requirements, nothing: false })
    }

    /// As [`Selector::from_label_selector`], from the JSON of a `LabelSelector`.
    ///
    /// # Errors
    /// An operator or a value that makes no sense, in upstream's words.
    pub fn from_json(selector: &Value) -> Result<Selector, String> {
        let Some(selector) = selector.as_object() else { return Ok(Selector::nothing()) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![text(value)])?);
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let operator = expression_operator(expression["operator"].as_str().unwrap_or_default())?;
            let values = expression["values"].as_array().into_iter().flatten().map(text).collect();
            requirements.push(Requirement::new(expression["key"].as_str().unwrap_or_default(), operator, values)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Selector { requirements, nothing: false })
    }

    /// Whether labels, looked up by key, satisfy every requirement.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// As [`Selector::matches`], for the labels of a typed object.
    pub fn matches_labels(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.matches(|key| labels?.get(key).map(String::as_str))
    }

    /// As [`Selector::matches`], for the JSON of a labels map (`null` has no labels).
    pub fn matches_json(&self, labels: &Value) -> bool {
        self.matches(|key| labels.get(key)?.as_str())
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether no object can be selected.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The labels that every selected object carries, for finding candidates by index.
    pub fn required_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.requirements.iter().filter_map(|requirement| match (requirement.operator, requirement.values.as_slice()) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, [value]) => {
                Some((requirement.key.as_str(), value.as_str()))
            }
            _ => None,
        })
    }
}

/// The string form, as [`Selector::parse`] reads it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Requirement {
    /// The label `key` is there and is `value`; not validated.
    pub fn equals(key: &str, value: &str) -> Requirement {
        Requirement { key: key.into(), operator: Operator::Equals, values: vec![value.into()] }
    }

    /// A requirement whose key, values and number of values are sensible.
    ///
    /// # Errors
    /// The first thing that is not, as a field error in upstream's words.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
        let mut errors = Vec::new();
        errors.extend(key_error("key", key));
        let listed = || format!("[{}]", values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(","));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                errors.push("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into())
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => errors.push(
                format!("values: Invalid value: {}: exact-match compatibility requires one single value", listed()),
            ),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => errors.push(format!(
                "values: Invalid value: {}: values set must be empty for exists and does not exist",
                listed()
            )),
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    errors.push(format!(
                        "values: Invalid value: {}: for 'Gt', 'Lt' operators, exactly one value is required",
                        listed()
                    ));
                }
                for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
                    errors.push(format!(
                        "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                    ));
                }
            }
            _ => (),
        }
        for (index, value) in values.iter().enumerate() {
            let complaints = names::is_label_value(value);
            if !complaints.is_empty() {
                errors.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {}", complaints.join("; ")));
            }
        }
        match errors.len() {
            0 => {
                values.sort();
                values.dedup();
                Ok(Requirement { key: key.into(), operator, values })
            }
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    /// Whether the label's value, None when it is absent, satisfies this.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let is_listed = |value: &str| self.values.iter().any(|listed| listed == value);
        let compared = |holds: fn(i64, i64) -> bool| {
            let bound = self.values.first().and_then(|bound| bound.parse().ok());
            let number = value.and_then(|value| value.parse().ok());
            number.zip(bound).is_some_and(|(number, bound)| holds(number, bound))
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(is_listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(is_listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared(|number, bound| number > bound),
            Operator::LessThan => compared(|number, bound| number < bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// What is wrong with the key of a requirement, as the field error at `path`.
fn key_error(path: &str, key: &str) -> Option<String> {
    let complaints = names::is_qualified_name(key);
    (!complaints.is_empty()).then(|| format!("{path}: Invalid value: {key:?}: {}", complaints.join("; ")))
}

fn expression_operator(name: &str) -> Result<Operator, String> {
    match name {
        "In" => Ok(Operator::In),
        "NotIn" => Ok(Operator::NotIn),
        "Exists" => Ok(Operator::Exists),
        "DoesNotExist" => Ok(Operator::DoesNotExist),
        _ => Err(format!("{name:?} is not a valid label selector operator")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Which of four objects the selector selects, by name.
    fn check(text: &str, selected: &str) {
        let selector = Selector::parse(text).unwrap();
        let objects = [
            ("a", json!({"app": "web", "tier": "front", "n": "5"})),
            ("b", json!({"app": "web", "tier": "back"})),
            ("c", json!({"app": "", "n": "x"})),
            ("d", json!(null)),
        ];
        let names: Vec<&str> =
            objects.iter().filter(|(_, it)| selector.matches_json(it)).map(|(name, _)| *name).collect();
        assert_eq!(names.join(""), selected, "{text}");
        assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector, "{text}");
    }

    #[test]
    fn a_selector_selects_the_objects_that_meet_every_requirement() {
        check("", "abcd");
        check("app=web", "ab");
        check("app==web,tier=front", "a");
        check("app", "abc");
        check("!app", "d");
        check("app=", "c");
        check("app!=web", "cd");
        check("app in (web, other)", "ab");
        check("app in (,x)", "c");
        check("app in ()", "c");
        check("tier notin (front)", "bcd");
        check("n>4", "a");
        check("n<5", "");
        check("in in (in,notin)", "");
        check(" app = web , tier notin ( back ) ", "a");
    }

    #[test]
    fn a_selector_that_cannot_be_read_says_where() {
        for (text, error) in [
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a==!", "unable to parse requirement: found '==!', expected: identifier"),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("!", "unable to parse requirement: found '', expected: identifier"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err(), error.replace("==!", "!"), "{text}");
        }
        assert!(Selector::parse("a=-").unwrap_err().starts_with(
            "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty string"
        ));
        assert!(
            Selector::parse("a/b/c")
                .unwrap_err()
                .starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\"")
        );
    }

    #[test]
    fn a_label_selector_that_is_absent_selects_nothing_and_an_empty_one_everything() {
        assert!(Selector::from_json(&json!(null)).unwrap().is_nothing());
        assert!(Selector::from_json(&json!({})).unwrap().is_everything());
        let selector =
            json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]});
        let selector = Selector::from_json(&selector).unwrap();
        assert_eq!(selector.to_string(), "app=web,tier");
        assert_eq!(selector.required_pairs().collect::<Vec<_>>(), [("app", "web")]);
        let bad = json!({"matchExpressions": [{"key": "tier", "operator": "Is"}]});
        assert_eq!(Selector::from_json(&bad).unwrap_err(), "\"Is\" is not a valid label selector operator");
    }
}
