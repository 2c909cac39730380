//! The mistakes of an expression, as cel-go displays them.
//!
//! Upstream: cel-go common/errors.go, common/error.go

use std::fmt::Write;

use cel::{common::ast::SourceInfo, parser::ParseErrors};

/// More mistakes than these are only counted.
const MAX_MISTAKES: usize = 100;
/// What the parser adds where an expression ends too early, beside the message that says so.
const ECHO: &str = "Incomplete `";
const TOO_DEEP: &str = "Recursion limit of";

/// One mistake, where it is: a line from 1 and a character in it from 0.
struct Mistake {
    line: usize,
    column: usize,
    message: String,
}

/// The mistakes of an expression in the order that they were found in.
#[derive(Default)]
pub(crate) struct Mistakes {
    told: Vec<Mistake>,
    more: usize,
}

impl Mistakes {
    pub fn add(&mut self, source: &SourceInfo, part: u64, message: String) {
        if self.told.len() == MAX_MISTAKES {
            self.more += 1;
            return;
        }
        let (line, column) = place(source, part);
        self.told.push(Mistake { line, column, message });
    }

    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

/// A mistake of the whole expression.
pub(crate) fn without_place(message: &str) -> String {
    format!("ERROR: <input>:-1:0: {message}")
}

pub(crate) fn too_deep(limit: usize) -> String {
    without_place(&format!("expression recursion limit exceeded: {limit}"))
}

/// What may follow a whole operand: where something else must follow, that alone is told to be expected.
const CONTINUATIONS: [&str; 17] = [
    "'=='", "'!='", "'in'", "'<'", "'<='", "'>='", "'>'", "'&&'", "'||'", "'['", "'.'", "'-'", "'?'", "'+'", "'*'",
    "'/'", "'%'",
];

/// What the parser found.
pub(crate) fn of_syntax(source: &str, errors: &ParseErrors) -> String {
    if errors.errors.iter().any(|error| error.msg.contains(TOO_DEEP)) {
        return too_deep(crate::MAX_DEPTH);
    }
    let mut mistakes = Mistakes::default();
    for error in errors.errors.iter().filter(|error| !error.msg.starts_with(ECHO)) {
        if mistakes.told.len() == MAX_MISTAKES {
            mistakes.more += 1;
            continue;
        }
        mistakes.told.push(Mistake {
            line: usize::try_from(error.pos.0).unwrap_or(0),
            column: usize::try_from(error.pos.1 - 1).unwrap_or(0),
            message: narrowed(&error.msg),
        });
    }
    display(source, mistakes)
}

/// A message without the expectation of operators where an operand has ended: the parser for Go does not name them.
fn narrowed(message: &str) -> String {
    let Some((found, expected)) = message.split_once(" expecting {") else { return message.to_owned() };
    let expected: Vec<&str> = expected.trim_end_matches('}').split(", ").collect();
    if !["'=='", "'&&'"].iter().all(|operator| expected.contains(operator)) {
        return message.to_owned();
    }
    let needed: Vec<&str> = expected.into_iter().filter(|token| !CONTINUATIONS.contains(token)).collect();
    match needed.as_slice() {
        [] => message.to_owned(),
        [one] => format!("{found} expecting {one}"),
        ["')'", ..] => format!("{found} expecting ')'"),
        several => format!("{found} expecting {{{}}}", several.join(", ")),
    }
}

/// The mistakes in the order of their places, each with its line and a mark below it.
pub(crate) fn display(source: &str, mut mistakes: Mistakes) -> String {
    mistakes.told.sort_by_key(|mistake| (mistake.line, mistake.column));
    let lines: Vec<&str> = source.split('\n').collect();
    let mut text = String::new();
    for (position, Mistake { line, column, message }) in mistakes.told.iter().enumerate() {
        let separator = if position == 0 { "" } else { "\n" };
        let _ = write!(text, "{separator}ERROR: <input>:{line}:{}: {message}", column + 1);
        if let Some(snippet) = line.checked_sub(1).and_then(|line| lines.get(line)) {
            let _ = write!(text, "\n | {snippet}\n | {}^", ".".repeat(*column));
        }
    }
    if mistakes.more > 0 {
        let _ = write!(text, "\n{} more errors were truncated", mistakes.more);
    }
    text
}

/// Where a part of an expression is: its line from 1, and the character in the line from 0.
fn place(source: &SourceInfo, part: u64) -> (usize, usize) {
    let offset = source.offset_for(part).map_or(0, |(start, _)| start as usize);
    let before = source.source.get(..offset).unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("");
    (before.matches('\n').count() + 1, line.chars().count())
}
