//! Tables: what `kubectl get` prints, rendered by the server.
//!
//! Upstream: pkg/printers/tablegenerator.go, pkg/printers/internalversion/printers.go (printPod),
//!   apiserver/pkg/endpoints/handlers/response.go (asTable)
//! Left out: nothing.

use serde_json::{Value, json};

use crate::{
    answer::IncludeObject,
    row::{Column, Row},
    rows::print,
};

/// The Table of `objects`. `metadata` is the list's own; `now` is seconds since 1970, for ages.
pub fn render(row: &Row, version: &str, include: IncludeObject, objects: &[Value], metadata: Value, now: i64) -> Value {
    let rendered = |object| {
        let mut rendered = render_row((row.cells)(object, now), version, include, object);
        if let Some(condition) = condition(row, object) {
            rendered["conditions"] = json!([condition]);
        }
        rendered
    };
    table(&row.columns, version, objects.iter().map(rendered).collect(), metadata)
}

/// The Table of one object of a kind that has no row, because it is only a part of other objects.
pub fn render_part(shows: &print::Table, version: &str, include: IncludeObject, part: &Value, now: i64) -> Value {
    let rows = vec![render_row((shows.cells)(part, now), version, include, part)];
    let metadata = json!({"resourceVersion": part["metadata"]["resourceVersion"]});
    table(&print::columns(shows.headings), version, rows, metadata)
}

fn table(columns: &[Column], version: &str, rows: Vec<Value>, metadata: Value) -> Value {
    let column = |column: &Column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    };
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "columnDefinitions": columns.iter().map(column).collect::<Vec<Value>>(),
        "rows": rows,
    })
}

fn render_row(cells: Vec<Value>, version: &str, include: IncludeObject, object: &Value) -> Value {
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => crate::answer::metadata_only(version, json!({"metadata": object["metadata"]})),
        IncludeObject::Object => object.clone(),
    };
    json!({"cells": cells, "object": object})
}

/// What a row says of its object beside the cells: that a pod has ended.
fn condition(row: &Row, object: &Value) -> Option<Value> {
    if !row.group.is_empty() || row.plural != "pods" {
        return None;
    }
    let (reason, message) = match object["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_pod_says_that_it_has_ended() {
        let rows = crate::rows::rows();
        let row = |plural: &str| rows.iter().find(|row| row.group.is_empty() && row.plural == plural).unwrap();
        let conditions = |plural: &str, phase: &str| {
            let object = json!({"metadata": {"name": "a"}, "status": {"phase": phase}});
            let table = render(row(plural), "v1", IncludeObject::None, &[object], json!({}), 0);
            table["rows"][0].get("conditions").cloned()
        };
        let ended = |reason: &str, message: &str| {
            Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
        };
        let done = "The pod has completed successfully.";
        assert_eq!(conditions("pods", "Succeeded"), ended("Succeeded", done));
        assert_eq!(conditions("pods", "Failed"), ended("Failed", "The pod failed."));
        assert_eq!(conditions("pods", "Running"), None);
        assert_eq!(conditions("persistentvolumes", "Failed"), None);
    }
}
