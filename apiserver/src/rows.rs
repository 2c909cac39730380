//! The registry's rows: every built-in group-resource with its facts. Adding a kind is adding a row here.
//!
//! Upstream: pkg/registry/*/rest/storage_*.go and each kind's storage.go and strategy.go
//! Left out: alpha and beta versions.

mod access;
mod autoscaling_v1;
mod core;
mod devices;
mod extension;
mod networking;
mod nodes;
pub mod print;
mod storage;
mod workloads;

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::{
    row::{DeleteAnswer, Row, Scope, SelectableField, Verbs},
    strategy::Plain,
};

/// One row for each built-in group-resource, by group.
pub fn rows() -> Vec<Row> {
    let of_all = [
        core::rows(),
        workloads::rows(),
        networking::rows(),
        nodes::rows(),
        access::rows(),
        storage::rows(),
        extension::rows(),
        devices::rows(),
    ];
    of_all.into_iter().flatten().collect()
}

/// A namespaced kind as most are: all verbs, no subresources, DELETE answers with a Status, PUT needs no
/// resourceVersion and creates nothing. Its own facts are said with the update syntax.
fn namespaced(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row {
        group: Cow::Borrowed(group),
        versions: vec![Cow::Borrowed(version)],
        kind: Cow::Borrowed(kind),
        plural: Cow::Borrowed(plural),
        singular: Cow::Owned(kind.to_ascii_lowercase()),
        scope: Scope::Namespaced,
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: Verbs::All,
        subresources: Vec::new(),
        columns: print::columns(print::NAME_AND_CREATION.headings),
        cells: print::NAME_AND_CREATION.cells,
        selectable_fields: Vec::new(),
        delete_answer: DeleteAnswer::Status,
        graceful_deletion: false,
        orphans_by_default: false,
        create_on_update: false,
        unconditional_update: true,
        stored_as: None,
        deprecated: None,
        lies_idle: false,
        strategy: Arc::new(Plain),
    }
}

/// As [`namespaced`], outside of namespaces.
fn cluster_scoped(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row { scope: Scope::Cluster, ..namespaced(group, version, kind, plural) }
}

impl Row {
    /// The row with columns of its own.
    fn shown_as(mut self, table: print::Table) -> Row {
        self.columns = print::columns(table.headings);
        self.cells = table.cells;
        self
    }
}

/// A kind that nothing of ours acts on yet.
fn idle(row: Row) -> Row {
    Row { lies_idle: true, ..row }
}

/// A resource that can only be created and is never stored: bindings and reviews.
fn create_only(mut row: Row) -> Row {
    row.verbs = Verbs::CreateOnly;
    row
}

fn names(names: &[&'static str]) -> Vec<Cow<'static, str>> {
    names.iter().map(|name| Cow::Borrowed(*name)).collect()
}

/// The category of `kubectl get all`.
fn all() -> Vec<Cow<'static, str>> {
    names(&["all"])
}

/// A selectable field whose label is also the way to its value: `spec.nodeName`.
macro_rules! field {
    ($label:literal) => {
        $crate::row::SelectableField { label: $label, read: |object| $crate::rows::text_at(object, $label) }
    };
    ($label:literal, $path:literal) => {
        $crate::row::SelectableField { label: $label, read: |object| $crate::rows::text_at(object, $path) }
    };
}
use field;

/// What stands at a dotted `path`, as selectors compare it: strings as they are, numbers and booleans written out,
/// anything else "".
fn text_at<'a>(object: &'a Value, path: &str) -> Cow<'a, str> {
    let value = path.split('.').try_fold(object, |value, name| value.get(name));
    match value {
        Some(Value::String(text)) => text.into(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string().into(),
        _ => "".into(),
    }
}

/// As [`text_at`], for numbers and booleans whose absence means `default`.
fn text_or<'a>(object: &'a Value, path: &str, default: &'a str) -> Cow<'a, str> {
    let text = text_at(object, path);
    if text.is_empty() { default.into() } else { text }
}

/// Selectable fields of an object reference that stands at a prefix.
type Fields = Vec<SelectableField>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_path_of_its_own() {
        let mut seen = BTreeSet::new();
        for row in rows() {
            assert!(seen.insert((row.api_version(), row.plural.clone())), "{} stands twice", row.qualified());
            assert!(!row.columns.is_empty());
        }
    }

    #[test]
    fn every_row_prints_as_many_cells_as_it_has_columns() {
        for row in rows() {
            let empty = serde_json::json!({"metadata": {"name": "x"}});
            assert_eq!((row.cells)(&empty, 0).len(), row.columns.len(), "{}", row.qualified());
        }
    }

    #[test]
    fn short_names_are_unique() {
        let mut seen = BTreeSet::new();
        for row in rows().iter().filter(|row| row.stored_as.is_none()) {
            for name in &row.short_names {
                assert!(seen.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn a_selectable_field_is_read_where_its_label_says() {
        let rows = rows();
        let pods = rows.iter().find(|row| row.plural == "pods").unwrap();
        let pod = serde_json::json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}});
        let read = |label: &str| {
            let field = pods.selectable_fields.iter().find(|field| field.label == label).unwrap();
            (field.read)(&pod)
        };
        assert_eq!(read("spec.nodeName"), "n1");
        assert_eq!(read("status.phase"), "Running");
        assert_eq!(read("spec.hostNetwork"), "false");
        assert_eq!(read("status.podIP"), "");
    }
}
