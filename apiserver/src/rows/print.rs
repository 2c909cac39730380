//! What `kubectl get` shows: the columns of each kind, and how an object becomes cells.
//!
//! Upstream: pkg/printers/internalversion/printers.go, apiserver/pkg/registry/rest/table.go
//! Left out: the columns' descriptions. That a row's pod has ended is said in `table.rs`.

pub mod access;
pub mod ages;
pub mod core;
pub mod devices;
pub mod extension;
pub mod networking;
pub mod nodes;
pub mod pods;
pub mod storage;
#[cfg(test)]
mod tests;
pub mod workloads;

use serde_json::{Value, json};

use crate::row::Column;

/// What a kind shows: its columns and, in their order, the cells of one object at a time in seconds since 1970.
pub struct Table {
    pub headings: &'static [Heading],
    pub cells: fn(&Value, i64) -> Vec<Value>,
}

/// A column as it is written down: a name, then what differs from a plain string that is always shown.
#[derive(Clone, Copy)]
pub struct Heading(&'static str, Kind, i32);

#[derive(Clone, Copy)]
enum Kind {
    Name,
    Text,
    Integer,
    Boolean,
    Date,
}

pub const fn name() -> Heading {
    Heading("Name", Kind::Name, 0)
}

pub const fn text(name: &'static str) -> Heading {
    Heading(name, Kind::Text, 0)
}

/// A column that names another object.
pub const fn name_of_other(name: &'static str) -> Heading {
    Heading(name, Kind::Name, 0)
}

pub const fn integer(name: &'static str) -> Heading {
    Heading(name, Kind::Integer, 0)
}

pub const fn boolean(name: &'static str) -> Heading {
    Heading(name, Kind::Boolean, 0)
}

/// A column that is shown with `-o wide` only.
pub const fn wide(heading: Heading) -> Heading {
    Heading(heading.0, heading.1, 1)
}

/// For kinds without columns of their own.
pub const NAME_AND_CREATION: Table =
    Table { headings: &[name(), Heading("Created At", Kind::Date, 0)], cells: name_and_creation };

pub fn columns(headings: &[Heading]) -> Vec<Column> {
    headings
        .iter()
        .map(|&Heading(name, kind, priority)| Column {
            name,
            kind: match kind {
                Kind::Name | Kind::Text => "string",
                Kind::Integer => "integer",
                Kind::Boolean => "boolean",
                Kind::Date => "date",
            },
            format: if matches!(kind, Kind::Name) { "name" } else { "" },
            description: "",
            priority,
        })
        .collect()
}

fn name_and_creation(object: &Value, _now: i64) -> Vec<Value> {
    let metadata = &object["metadata"];
    vec![metadata["name"].clone(), json!(metadata["creationTimestamp"].as_str().unwrap_or_default())]
}

/// The words for a value that is not there.
const NONE: &str = "<none>";
const UNSET: &str = "<unset>";
const UNKNOWN: &str = "<unknown>";

fn name_of(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

/// The string at a JSON pointer, or `otherwise`.
fn text_or<'a>(object: &'a Value, pointer: &str, otherwise: &'a str) -> &'a str {
    match object.pointer(pointer).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => text,
        _ => otherwise,
    }
}

/// The integer at a JSON pointer; absent is 0.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The number of entries of the map or items of the list at a JSON pointer.
fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Object(entries)) => entries.len(),
        Some(Value::Array(items)) => items.len(),
        _ => 0,
    }
}

/// The strings of a list, with commas.
fn joined(object: &Value, pointer: &str) -> String {
    items(object, pointer).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// `a=b,c=d`, or `<none>`.
fn labels(labels: Option<&Value>) -> String {
    let Some(labels) = labels.and_then(Value::as_object).filter(|labels| !labels.is_empty()) else {
        return NONE.to_owned();
    };
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.join(",")
}

/// A LabelSelector in its string form: `a=b,c in (d,e),!f`, or `<none>`.
fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else { return NONE.to_owned() };
    let mut parts: Vec<(&str, String)> = Vec::new();
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key, format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in items(selector, "/matchExpressions") {
        let key = text_or(expression, "/key", "");
        let mut values: Vec<&str> = items(expression, "/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match text_or(expression, "/operator", "") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        parts.push((key, part));
    }
    if parts.is_empty() {
        return NONE.to_owned();
    }
    parts.sort_by_key(|(key, _)| *key);
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(",")
}

/// The names and images of the containers at a JSON pointer, as two cells.
fn containers(object: &Value, pointer: &str) -> (String, String) {
    let all = |field: &str| {
        items(object, pointer).iter().map(|container| text_or(container, field, "")).collect::<Vec<_>>().join(",")
    };
    (all("/name"), all("/image"))
}

/// The first few of a list: `a,b,c + 2 more...`.
fn first_of(list: &[String], max: usize) -> String {
    if list.len() <= max {
        return list.join(",");
    }
    format!("{} + {} more...", list[..max].join(","), list.len() - max)
}
