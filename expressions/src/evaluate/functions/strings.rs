//! Strings, counted in characters, and what regular expressions find in them.
//!
//! Upstream: cel-go common/types/string.go, ext/strings.go, apiserver/pkg/cel/library/regex.go

use cel::common::ast::operators as op;

use super::super::{Failure, Outcome, Steps, Value, error};
use crate::pattern;

/// What compiling a pattern costs, however often it is used later.
const COMPILING: usize = 1_000;

pub(super) fn call(name: &str, arguments: &[Value], steps: &mut Steps) -> Option<Outcome> {
    let int = |number: usize| Ok(Value::Int(number as i64));
    let text = |text: String| Ok(Value::string(text));
    Some(match (name, arguments) {
        ("size", [Value::String(of)]) => int(of.chars().count()),
        ("size", [Value::Bytes(of)]) => int(of.len()),
        (op::ADD, [Value::String(one), Value::String(other)]) => text(format!("{one}{other}")),
        (op::ADD, [Value::Bytes(one), Value::Bytes(other)]) => Ok(Value::Bytes([&**one, &**other].concat().into())),
        ("contains", [Value::String(of), Value::String(part)]) => Ok(Value::Bool(of.contains(&**part))),
        ("startsWith", [Value::String(of), Value::String(part)]) => Ok(Value::Bool(of.starts_with(&**part))),
        ("endsWith", [Value::String(of), Value::String(part)]) => Ok(Value::Bool(of.ends_with(&**part))),
        ("matches", [Value::String(of), Value::String(pattern)]) => {
            compiled(pattern, steps).map(|pattern| Value::Bool(pattern.is_match(of)))
        }
        ("find", [Value::String(of), Value::String(pattern)]) => {
            compiled(pattern, steps).map(|pattern| Value::string(pattern.find(of).map_or("", |found| found.as_str())))
        }
        ("findAll", [Value::String(of), Value::String(pattern)]) => find_all(of, pattern, -1, steps),
        ("findAll", [Value::String(of), Value::String(pattern), Value::Int(most)]) => {
            find_all(of, pattern, *most, steps)
        }
        ("charAt", [Value::String(of), Value::Int(at)]) => {
            let end = of.chars().count() as i64;
            match *at {
                at if at == end => text(String::new()),
                at if (0..end).contains(&at) => text(of.chars().skip(at as usize).take(1).collect()),
                at => Err(error(format!("index out of range: {at}"))),
            }
        }
        ("lowerAscii", [Value::String(of)]) => text(of.to_ascii_lowercase()),
        ("upperAscii", [Value::String(of)]) => text(of.to_ascii_uppercase()),
        ("trim", [Value::String(of)]) => text(of.trim().to_owned()),
        ("strings.quote", [Value::String(of)]) => text(quoted(of)),
        ("indexOf", [Value::String(of), Value::String(part)]) => index_of(of, part, 0, steps),
        ("indexOf", [Value::String(of), Value::String(part), Value::Int(from)]) => index_of(of, part, *from, steps),
        ("lastIndexOf", [Value::String(of), Value::String(part)]) if part.is_empty() => int(of.chars().count()),
        ("lastIndexOf", [Value::String(of), Value::String(_)]) if of.is_empty() => Ok(Value::Int(-1)),
        ("lastIndexOf", [Value::String(of), Value::String(part)]) => {
            last_index_of(of, part, of.chars().count() as i64 - 1, steps)
        }
        ("lastIndexOf", [Value::String(of), Value::String(part), Value::Int(from)]) => {
            last_index_of(of, part, *from, steps)
        }
        ("replace", [Value::String(of), Value::String(from), Value::String(to)]) => replace(of, from, to, -1, steps),
        ("replace", [Value::String(of), Value::String(from), Value::String(to), Value::Int(most)]) => {
            replace(of, from, to, *most, steps)
        }
        ("split", [Value::String(of), Value::String(by)]) => split(of, by, -1, steps),
        ("split", [Value::String(of), Value::String(by), Value::Int(most)]) => split(of, by, *most, steps),
        ("substring", [Value::String(of), Value::Int(start)]) => {
            let end = of.chars().count() as i64;
            match (0..=end).contains(start) {
                true => text(of.chars().skip(*start as usize).collect()),
                false => Err(error(format!("index out of range: {start}"))),
            }
        }
        ("substring", [Value::String(of), Value::Int(start), Value::Int(end)]) => substring(of, *start, *end),
        ("join", [Value::List(elements)]) => join(elements, "", steps),
        ("join", [Value::List(elements), Value::String(by)]) => join(elements, by, steps),
        _ => return None,
    })
}

fn compiled(text: &str, steps: &mut Steps) -> Result<regex::Regex, Failure> {
    if let Some(known) = steps.patterns.get(text) {
        return Ok(known.clone());
    }
    steps.take(COMPILING)?;
    let compiled = pattern::compile(text).map_err(error)?;
    steps.patterns.insert(text.to_owned(), compiled.clone());
    Ok(compiled)
}

fn find_all(of: &str, pattern: &str, most: i64, steps: &mut Steps) -> Outcome {
    let pattern = compiled(pattern, steps)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for each in pattern.find_iter(of).take(most) {
        steps.take(1)?;
        found.push(Value::string(each.as_str()));
    }
    Ok(Value::list(found))
}

fn index_of(of: &str, part: &str, from: i64, steps: &mut Steps) -> Outcome {
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    if from < 0 {
        return Err(error(format!("index out of range: {from}")));
    }
    steps.take(of.len() / 10)?;
    let Some((start, _)) = of.char_indices().nth(from as usize) else { return Ok(Value::Int(-1)) };
    let found = of[start..].find(part).map(|at| from + of[start..start + at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn last_index_of(of: &str, part: &str, from: i64, steps: &mut Steps) -> Outcome {
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    if from < 0 {
        return Err(error(format!("index out of range: {from}")));
    }
    steps.take(of.len() / 10)?;
    let Some((start, _)) = of.char_indices().nth(from as usize) else { return Ok(Value::Int(-1)) };
    let end = (start + part.len()).min(of.len());
    let end = (end..=of.len()).find(|end| of.is_char_boundary(*end)).unwrap_or(of.len());
    let found = of[..end].rfind(part).map(|at| of[..at].chars().count() as i64);
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn replace(of: &str, from: &str, to: &str, most: i64, steps: &mut Steps) -> Outcome {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = if from.is_empty() { of.chars().count() + 1 } else { of.matches(from).count() };
    steps.take(times.min(most).saturating_mul(to.len()) / 10)?;
    Ok(Value::string(of.replacen(from, to, most)))
}

fn split(of: &str, by: &str, most: i64, steps: &mut Steps) -> Outcome {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(Value::list(Vec::new()));
    }
    let mut parts = Vec::new();
    if by.is_empty() {
        let mut rest = of;
        while let Some(next) = rest.chars().next() {
            steps.take(1)?;
            let length = if parts.len() + 1 == most { rest.len() } else { next.len_utf8() };
            let (part, after) = rest.split_at(length);
            parts.push(Value::string(part));
            rest = after;
        }
    } else {
        for part in of.splitn(most, by) {
            steps.take(1)?;
            parts.push(Value::string(part));
        }
    }
    Ok(Value::list(parts))
}

fn substring(of: &str, start: i64, end: i64) -> Outcome {
    let length = of.chars().count() as i64;
    if start > end {
        return Err(error(format!("invalid substring range. start: {start}, end: {end}")));
    }
    if let Some(outside) = [start, end].into_iter().find(|index| !(0..=length).contains(index)) {
        return Err(error(format!("index out of range: {outside}")));
    }
    Ok(Value::string(of.chars().skip(start as usize).take((end - start) as usize).collect::<String>()))
}

fn join(elements: &[Value], by: &str, steps: &mut Steps) -> Outcome {
    let mut joined = String::new();
    for (position, element) in elements.iter().enumerate() {
        let Value::String(element) = element else { return Err(error("no such overload")) };
        steps.take(1 + (element.len() + by.len()) / 10)?;
        if position > 0 {
            joined.push_str(by);
        }
        joined.push_str(element);
    }
    Ok(Value::string(joined))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for next in text.chars() {
        match next {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            _ => out.push(next),
        }
    }
    out.push('"');
    out
}
