//! What /metrics says, as a test compares it.
//!
//! Upstream: component-base/metrics/testutil

use std::{collections::BTreeSet, fmt::Write};

/// The names of the metrics and their types, a line for each, sorted.
pub fn names(text: &str) -> String {
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    names.into_iter().fold(String::new(), |mut told, name| {
        let _ = writeln!(told, "{name}");
        told
    })
}
