//! Whether a value is as a schema says.
//!
//! Upstream: kube-openapi/pkg/validation/validate (schema.go, type.go, validator.go, slice_validator.go,
//!   object_validator.go, schema_props.go), apiextensions-apiserver/pkg/apiserver/validation/validation.go
//! Left out: keywords that no structural schema has.
//!
//! As upstream's, a mistake stands at the path of the value as a whole, then a point, then the way inside it.

mod formats;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use api::field::{ErrorType, Field, FieldError};
use expressions::pattern;
use regex::Regex;
use serde_json::Value;

use crate::strategy::validation::Errors;

/// What is wrong with the value by the schema.
pub(super) fn mistakes(value: &Field<'_>, schema: &Value) -> Errors {
    let whole = value.path();
    let place = |way: String| match way.strip_prefix('.').unwrap_or(&way) {
        "" => whole.clone(),
        way => format!("{whole}.{way}"),
    };
    let found = each_once(check("", value.value, schema, &Patterns::default()).mistakes).into_iter();
    found.map(|mistake| FieldError { field: place(mistake.field), ..mistake }).collect()
}

/// What several alternatives have found is said once, where it was said first.
fn each_once(mut mistakes: Errors) -> Errors {
    let mut seen = BTreeSet::new();
    mistakes.retain(|mistake| seen.insert(mistake.to_string()));
    mistakes
}

/// So many compiled patterns are kept: those of one list's items.
const MAX_PATTERNS: usize = 16;

/// The patterns that were asked, compiled: the items of a list ask the same ones again.
#[derive(Default)]
struct Patterns<'a>(RefCell<BTreeMap<&'a str, Result<Regex, String>>>);

impl<'a> Patterns<'a> {
    /// Whether the pattern matches the text.
    ///
    /// # Errors
    /// Go's words for what is wrong with the pattern.
    fn is_match(&self, pattern: &'a str, text: &str) -> Result<bool, String> {
        let mut compiled = self.0.borrow_mut();
        if compiled.len() >= MAX_PATTERNS && !compiled.contains_key(pattern) {
            compiled.clear();
        }
        let regex = compiled.entry(pattern).or_insert_with(|| pattern::compile(pattern));
        regex.as_ref().map(|regex| regex.is_match(text)).map_err(Clone::clone)
    }
}

/// What was found so far. The fields of mistakes are ways inside the value.
#[derive(Default)]
struct Outcome {
    mistakes: Errors,
    /// How much was as it should be: of alternatives that all fail, the best is reported.
    matches: usize,
}

impl Outcome {
    /// Adds what one keyword's check found.
    fn add(&mut self, other: Outcome) {
        self.matches += other.matches;
        self.mistakes.extend(other.mistakes);
    }

    /// As [`Outcome::add`], for a check that was made.
    fn step(&mut self, other: Outcome) {
        self.add(other);
        self.matches += 1;
    }
}

impl From<FieldError> for Outcome {
    fn from(mistake: FieldError) -> Outcome {
        Outcome { mistakes: vec![mistake], matches: 0 }
    }
}

fn mistake(kind: ErrorType, way: &str, value: impl Into<Value>, detail: impl Into<String>) -> FieldError {
    FieldError { kind, field: way.to_owned(), value: value.into(), detail: detail.into() }
}

fn invalid(way: &str, value: impl Into<Value>, why: &str) -> FieldError {
    mistake(ErrorType::Invalid, way, value, format!("{way} in body {why}"))
}

fn too_many(way: &str, count: usize, most: u64) -> FieldError {
    mistake(ErrorType::TooMany, way, count, format!("must have at most {most} items"))
}

fn wrong_type(way: &str, wanted: &str, found: &str) -> FieldError {
    let detail = format!("{way} in body must be of type {wanted}: {found:?}");
    mistake(ErrorType::TypeInvalid, way, found, detail)
}

fn check<'a>(way: &str, value: &Value, schema: &'a Value, patterns: &Patterns<'a>) -> Outcome {
    let mut outcome = Outcome::default();
    if value.is_null() {
        outcome.add(type_of(way, value, schema));
        outcome.add(enumerated(way, value, schema));
        return outcome;
    }
    if !types(schema).is_empty() || !format(schema).is_empty() {
        outcome.step(type_of(way, value, schema));
    }
    outcome.step(alternatives(way, value, schema, patterns));
    if let Value::String(text) = value {
        outcome.step(string(way, text, schema, patterns));
        if let Some(is_of_format) = formats::known(format(schema)) {
            let refusal = (!is_of_format(text)).then(|| wrong_type(way, format(schema), text));
            outcome.step(refusal.map(Outcome::from).unwrap_or_default());
        }
    }
    if value.is_number() {
        outcome.step(number(way, value, schema));
    }
    if let Value::Array(items) = value {
        outcome.step(array(way, items, schema, patterns));
    }
    outcome.step(enumerated(way, value, schema));
    if value.is_object() {
        outcome.step(object(way, value, schema, patterns));
    }
    outcome.matches += 1;
    outcome
}

fn format(schema: &Value) -> &str {
    schema["format"].as_str().unwrap_or_default()
}

/// The types that a schema allows.
fn types(schema: &Value) -> Vec<&str> {
    if schema["x-kubernetes-int-or-string"] == true {
        return vec!["integer", "string"];
    }
    schema["type"].as_str().filter(|kind| !kind.is_empty()).into_iter().collect()
}

fn type_of(way: &str, value: &Value, schema: &Value) -> Outcome {
    let (types, wanted) = (types(schema), format(schema));
    let matching = Outcome { matches: 1, ..Outcome::default() };
    let (found, its_format) = match value {
        Value::Null if types.is_empty() || schema["nullable"] == true => return matching,
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::String(_) => ("string", ""),
        Value::Number(number) if number.is_i64() || number.is_u64() => ("integer", "int64"),
        Value::Number(_) => ("number", "float64"),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    };
    let wants = |kind: &str| types.contains(&kind);
    let is_whole = found == "number" && value.as_f64().is_some_and(is_whole) && wants("integer");
    let fits = wants(found) || is_whole || (found == "integer" && wants("number"));
    let has_format = matches!(found, "string" | "array");
    if found == "null" {
        return wrong_type(way, &types.join(","), found).into();
    }
    if !has_format && !wanted.is_empty() && !fits && wanted != its_format {
        return wrong_type(way, wanted, its_format).into();
    }
    // What has a format is left to it.
    let is_left_to_format = has_format && !wanted.is_empty() && !wants("number") && !wants("integer");
    if fits || is_left_to_format { matching } else { wrong_type(way, &types.join(","), found).into() }
}

/// Whether a float is a whole number, or as near to one as counting in floats allows.
fn is_whole(number: f64) -> bool {
    number == number.trunc() || (number - number.round()).abs() < 2e-9 * number.abs()
}

fn enumerated(way: &str, value: &Value, schema: &Value) -> Outcome {
    let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.is_empty()) else {
        return Outcome::default();
    };
    let is =
        |other: &Value| value == other || (value.is_number() && other.is_number() && value.as_f64() == other.as_f64());
    if !value.is_null() && allowed.iter().any(is) {
        return Outcome::default();
    }
    let words = allowed.iter().map(|each| match each {
        Value::String(text) => format!("{text:?}"),
        other => format!("{:?}", other.to_string()),
    });
    let detail = format!("supported values: {}", words.collect::<Vec<_>>().join(", "));
    mistake(ErrorType::NotSupported, way, value.clone(), detail).into()
}

fn string<'a>(way: &str, text: &str, schema: &'a Value, patterns: &Patterns<'a>) -> Outcome {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        let detail = format!("may not be more than {most} bytes");
        return mistake(ErrorType::TooLong, way, Value::Null, detail).into();
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        return invalid(way, text, &format!("should be at least {least} chars long")).into();
    }
    let Some(pattern) = schema["pattern"].as_str().filter(|pattern| !pattern.is_empty()) else {
        return Outcome::default();
    };
    match patterns.is_match(pattern, text) {
        Ok(true) => Outcome::default(),
        Ok(false) => invalid(way, text, &format!("should match '{pattern}'")).into(),
        Err(why) => invalid(way, text, &format!("should match '{pattern}, but pattern is invalid: {why}'")).into(),
    }
}

fn number(way: &str, value: &Value, schema: &Value) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let number = value.as_f64().unwrap_or_default();
    // Integers are held against bounds cut to integers.
    let bound = |name: &str| {
        let bound = schema[name].as_f64()?;
        Some(if value.is_i64() { bound.trunc() } else { bound })
    };
    let mut refuse = |why: String| outcome.mistakes.push(invalid(way, value.clone(), &why));
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| *factor > 0.0)
        && !is_whole(number / factor)
    {
        refuse(format!("should be a multiple of {factor}"));
    }
    if let Some(least) = bound("minimum") {
        match schema["exclusiveMinimum"] == true {
            true if number <= least => refuse(format!("should be greater than {least}")),
            false if number < least => refuse(format!("should be greater than or equal to {least}")),
            _ => {}
        }
    }
    if let Some(most) = bound("maximum") {
        match schema["exclusiveMaximum"] == true {
            true if number >= most => refuse(format!("should be less than {most}")),
            false if number > most => refuse(format!("should be less than or equal to {most}")),
            _ => {}
        }
    }
    outcome
}

fn array<'a>(way: &str, items: &[Value], schema: &'a Value, patterns: &Patterns<'a>) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    if schema["items"].is_object() {
        for (index, item) in items.iter().enumerate() {
            outcome.add(check(&format!("{way}[{index}]"), item, &schema["items"], patterns));
        }
    }
    let count = items.len();
    if let Some(least) = schema["minItems"].as_u64().filter(|least| (count as u64) < *least) {
        outcome.add(invalid(way, count, &format!("should have at least {least} items")).into());
    }
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| count as u64 > *most) {
        outcome.add(too_many(way, count, most).into());
    }
    outcome
}

fn object<'a>(way: &str, value: &Value, schema: &'a Value, patterns: &Patterns<'a>) -> Outcome {
    let Some(entries) = value.as_object() else { return Outcome::default() };
    let count = entries.len();
    if let Some(least) = schema["minProperties"].as_u64().filter(|least| (count as u64) < *least) {
        return invalid(way, count, &format!("should have at least {least} properties")).into();
    }
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| count as u64 > *most) {
        return too_many(way, count, most).into();
    }
    let mut outcome = Outcome::default();
    let (properties, additional) = (&schema["properties"], &schema["additionalProperties"]);
    for (name, value) in entries.iter().filter(|(name, _)| properties.get(name.as_str()).is_none()) {
        if additional == &Value::Bool(false) {
            let detail = format!("{way}.{name} in body is a forbidden property");
            outcome.add(mistake(ErrorType::Invalid, way, name.as_str(), detail).into());
        } else if additional.is_object() {
            outcome.add(check(&format!("{way}.{name}"), value, additional, patterns));
        }
    }
    for (name, property) in properties.as_object().into_iter().flatten() {
        if let Some(value) = entries.get(name) {
            let way = if way.is_empty() { name.clone() } else { format!("{way}.{name}") };
            outcome.add(check(&way, value, property, patterns));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !entries.contains_key(name) {
            outcome.add(mistake(ErrorType::Required, &format!("{way}.{name}"), Value::Null, "").into());
        }
    }
    outcome
}

/// What allOf, anyOf, oneOf and not ask for.
fn alternatives<'a>(way: &str, value: &Value, schema: &'a Value, patterns: &Patterns<'a>) -> Outcome {
    let mut outcome = Outcome::default();
    let of_whole = |why: String| Outcome::from(mistake(ErrorType::Invalid, "", "", format!("{way:?} must {why}")));
    let results = |name: &str| -> Vec<Outcome> {
        schema[name].as_array().into_iter().flatten().map(|each| check(way, value, each, patterns)).collect()
    };
    let is_valid = |outcome: &Outcome| outcome.mistakes.is_empty();
    let any = results("anyOf");
    if !any.is_empty() && !any.iter().any(is_valid) {
        outcome.add(of_whole("validate at least one schema (anyOf)".to_owned()));
    }
    outcome.add(best(any));
    let one = results("oneOf");
    let valid = one.iter().filter(|each| is_valid(each)).count();
    if !one.is_empty() && valid != 1 {
        let found =
            if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
        outcome.add(of_whole(format!("validate one and only one schema (oneOf). {found}")));
    }
    if valid < 2 {
        outcome.add(best(one));
    }
    let all = results("allOf");
    let (valid, count) = (all.iter().filter(|each| is_valid(each)).count(), all.len());
    for each in all {
        outcome.add(each);
    }
    if valid != count {
        let none = if valid == 0 { ". None validated" } else { "" };
        outcome.add(of_whole(format!("validate all the schemas (allOf){none}")));
    }
    let not = &schema["not"];
    if not.is_object() && is_valid(&check(way, value, not, patterns)) {
        outcome.add(of_whole("not validate the schema (not)".to_owned()));
    }
    Outcome { mistakes: each_once(outcome.mistakes), matches: outcome.matches + 1 }
}

/// The first alternative without mistakes, or else the first of those that have the most right.
fn best(alternatives: Vec<Outcome>) -> Outcome {
    let rank = |outcome: &Outcome| if outcome.mistakes.is_empty() { usize::MAX } else { outcome.matches };
    let better = |best: Outcome, next: Outcome| if rank(&next) > rank(&best) { next } else { best };
    alternatives.into_iter().reduce(better).unwrap_or_default()
}

#[cfg(test)]
mod tests;
