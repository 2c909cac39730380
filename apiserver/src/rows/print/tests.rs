//! What each kind shows, held against a file per kind: some objects as YAML, then their columns and tables.
//!
//! To see what a change of the cells does: `UPDATE_EXPECT=1 cargo test -p apiserver --lib print`, then `git diff`.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::{
    answer::IncludeObject,
    row::{Row, Verbs},
    rows::rows,
    table::render,
};

/// 2026-01-02T00:00:00Z, when all tables are printed.
const NOW: i64 = 1_767_312_000;
/// Ends the objects.
const COLUMNS: &str = "\n# columns\n";

/// The table as kubectl lays it out: headings in capitals, three spaces between columns.
fn table(row: &Row, objects: &[Value], priority: i32) -> String {
    let shown: Vec<usize> = (0..row.columns.len()).filter(|at| row.columns[*at].priority <= priority).collect();
    let mut lines: Vec<Vec<String>> = vec![shown.iter().map(|at| row.columns[*at].name.to_uppercase()).collect()];
    for object in objects {
        let cells = (row.cells)(object, NOW);
        let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
        lines.push(shown.iter().map(|at| text(&cells[*at])).collect());
    }
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    let mut laid_out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            write!(text, "{cell:width$}   ").unwrap();
        }
        writeln!(laid_out, "{}", text.trim_end()).unwrap();
    }
    laid_out
}

/// What the rows of a Table say beside their cells, a line each.
fn conditions(row: &Row, objects: &[Value]) -> String {
    let table = render(row, "v1", IncludeObject::None, objects, json!({}), NOW);
    let mut said = String::new();
    for row in table["rows"].as_array().unwrap() {
        for condition in row["conditions"].as_array().into_iter().flatten() {
            let words = ["type", "status", "reason", "message"].map(|part| condition[part].as_str().unwrap());
            writeln!(said, "{}: {}", row["cells"][0].as_str().unwrap(), words.join(" ")).unwrap();
        }
    }
    said
}

fn file_of(row: &Row) -> String {
    format!("{}/src/rows/print/golden/{}.txt", env!("CARGO_MANIFEST_DIR"), row.qualified())
}

#[test]
fn every_kind_shows_what_stands_in_its_golden_file() {
    let mut files = BTreeSet::new();
    for row in rows().iter().filter(|row| row.verbs != Verbs::CreateOnly && row.api_version() != "autoscaling/v1") {
        let path = file_of(row);
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let yaml = golden.split(COLUMNS).next().unwrap_or_default().trim_end();
        let objects: Vec<Value> = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut shown = format!("{yaml}\n{COLUMNS}");
        for column in &row.columns {
            let format = if column.format.is_empty() { String::new() } else { format!(" format={}", column.format) };
            writeln!(shown, "{}: {}{format} priority={}", column.name, column.kind, column.priority).unwrap();
        }
        write!(shown, "\n# kubectl get\n{}", table(row, &objects, 0)).unwrap();
        if row.columns.iter().any(|column| column.priority > 0) {
            write!(shown, "\n# kubectl get -o wide\n{}", table(row, &objects, 1)).unwrap();
        }
        let conditions = conditions(row, &objects);
        if !conditions.is_empty() {
            write!(shown, "\n# conditions of rows\n{conditions}").unwrap();
        }
        expect_file![&path].assert_eq(&shown);
        files.insert(format!("{}.txt", row.qualified()));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rows/print/golden");
    let found: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(found, files, "each file is of a kind");
}

#[test]
fn a_table_has_as_many_cells_as_columns_whatever_the_object_lacks() {
    for row in rows() {
        for object in [json!({"metadata": {"name": "x"}}), json!({"metadata": {}, "spec": {}, "status": {}})] {
            assert_eq!((row.cells)(&object, NOW).len(), row.columns.len(), "{}", row.qualified());
        }
    }
}
