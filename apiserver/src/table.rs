//! Tables: what `kubectl get` prints, rendered by the server.
//!
//! Upstream: pkg/printers/tablegenerator.go, apiserver/pkg/endpoints/handlers/response.go (asTable)
//! Left out: conditions of rows (completed pods), which kubectl no longer reads.

use serde_json::{Value, json};

use crate::{answer::IncludeObject, row::Row};

/// The Table of `objects`. `metadata` is the list's own; `now` is seconds since 1970, for ages.
pub fn render(row: &Row, version: &str, include: IncludeObject, objects: &[Value], metadata: Value, now: i64) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| render_row(row, version, include, object, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "columnDefinitions": columns(row),
        "rows": rows,
    })
}

fn columns(row: &Row) -> Vec<Value> {
    let column = |column: &crate::row::Column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    };
    row.columns.iter().map(column).collect()
}

fn render_row(row: &Row, version: &str, include: IncludeObject, object: &Value, now: i64) -> Value {
    let mut rendered = json!({"cells": (row.cells)(object, now)});
    rendered["object"] = match include {
        IncludeObject::None => return rendered_without_object(rendered),
        IncludeObject::Metadata => crate::answer::metadata_only(version, json!({"metadata": object["metadata"]})),
        IncludeObject::Object => object.clone(),
    };
    rendered
}

fn rendered_without_object(mut rendered: Value) -> Value {
    rendered["object"] = Value::Null;
    rendered
}
