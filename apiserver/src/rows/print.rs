//! What `kubectl get` shows: the columns of each kind, and how an object becomes cells.
//!
//! Upstream: pkg/printers/internalversion/printers.go, apiserver/pkg/registry/rest/table.go
//! Left out: the columns' descriptions, and the "Completed" condition of finished pods' rows.

pub mod ages;

use serde_json::{Value, json};

use crate::row::Column;

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
pub const NAME_AND_CREATION: &[Heading] = &[name(), Heading("Created At", Kind::Date, 0)];

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

/// The cells of [`NAME_AND_CREATION`].
pub fn name_and_creation(object: &Value, _now: i64) -> Vec<Value> {
    let metadata = &object["metadata"];
    vec![metadata["name"].clone(), json!(metadata["creationTimestamp"].as_str().unwrap_or_default())]
}
