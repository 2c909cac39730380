//! Lists, and lists as sets.
//!
//! Upstream: cel-go ext/lists.go, ext/sets.go, apiserver/pkg/cel/library/lists.go

use std::{cmp::Ordering, sync::Arc};

use cel::common::ast::operators as op;

use super::{
    super::{Failure, Outcome, Steps, Value, error, operators},
    no_overload,
};

pub(super) fn call(name: &str, arguments: &[Value], steps: &mut Steps) -> Option<Outcome> {
    // Each function here looks at each element once, or says below that it does so more often.
    for argument in arguments {
        if let Value::List(elements) = argument
            && !["size", "first", "last"].contains(&name)
            && steps.take(elements.len()).is_err()
        {
            return Some(Err(Failure::TooExpensive));
        }
    }
    Some(match (name, arguments) {
        ("size", [Value::List(elements)]) => Ok(Value::Int(elements.len() as i64)),
        ("size", [Value::Map(entries)]) => Ok(Value::Int(entries.len() as i64)),
        (op::ADD, [Value::List(one), Value::List(other)]) => {
            Ok(Value::list(one.iter().chain(other.iter()).cloned().collect()))
        }
        ("first", [Value::List(elements)]) => Ok(Value::Optional(elements.first().cloned().map(Arc::new))),
        ("last", [Value::List(elements)]) => Ok(Value::Optional(elements.last().cloned().map(Arc::new))),
        ("slice", [Value::List(elements), Value::Int(start), Value::Int(end)]) => slice(elements, *start, *end),
        ("reverse", [Value::List(elements)]) => Ok(Value::list(elements.iter().rev().cloned().collect())),
        ("distinct", [Value::List(elements)]) => distinct(elements, steps),
        ("flatten", [Value::List(elements)]) => flatten(elements, 1, steps),
        ("flatten", [Value::List(_), Value::Int(depth)]) if *depth < 0 => Err(error("level must be non-negative")),
        ("flatten", [Value::List(elements), Value::Int(depth)]) => flatten(elements, *depth, steps),
        ("lists.range", [Value::Int(end)]) => {
            let length = usize::try_from(*end).unwrap_or_default();
            steps.take(length).map(|()| Value::list((0..*end).map(Value::Int).collect()))
        }
        ("sort", [Value::List(elements)]) => sorted(name, elements, elements, steps),
        ("@sortByAssociatedKeys", [Value::List(elements), Value::List(keys)]) => sorted(name, elements, keys, steps),
        ("indexOf", [Value::List(elements), sought]) => position(elements.iter().enumerate(), sought, steps),
        ("lastIndexOf", [Value::List(elements), sought]) => position(elements.iter().enumerate().rev(), sought, steps),
        ("isSorted", [Value::List(elements)]) => {
            Ok(Value::Bool(elements.windows(2).all(|pair| pair[0].compare(&pair[1]) != Some(Ordering::Greater))))
        }
        ("min", [Value::List(elements)]) => extreme(name, elements, Ordering::Less),
        ("max", [Value::List(elements)]) => extreme(name, elements, Ordering::Greater),
        ("sum", [Value::List(elements)]) => sum(elements),
        ("sets.contains", [Value::List(one), Value::List(other)]) => all_in(other, one, steps).map(Value::Bool),
        ("sets.equivalent", [Value::List(one), Value::List(other)]) => {
            all_in(other, one, steps).and_then(|contains| Ok(contains && all_in(one, other, steps)?)).map(Value::Bool)
        }
        ("sets.intersects", [Value::List(one), Value::List(other)]) => {
            one.iter().try_fold(false, |found, element| Ok(found || contains(other, element, steps)?)).map(Value::Bool)
        }
        _ => return None,
    })
}

pub(super) fn contains(elements: &[Value], sought: &Value, steps: &mut Steps) -> Result<bool, Failure> {
    for element in elements {
        if operators::equal(element, sought, steps)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all_in(elements: &[Value], of: &[Value], steps: &mut Steps) -> Result<bool, Failure> {
    for element in elements {
        if !contains(of, element, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn slice(elements: &[Value], start: i64, end: i64) -> Outcome {
    if start < 0 || end < 0 {
        return Err(error(format!("cannot slice({start}, {end}), negative indexes not supported")));
    }
    if start > end {
        let why = "start index must be less than or equal to end index";
        return Err(error(format!("cannot slice({start}, {end}), {why}")));
    }
    match elements.get(start as usize..end as usize) {
        Some(part) => Ok(Value::list(part.to_vec())),
        None => Err(error(format!("cannot slice({start}, {end}), list is length {}", elements.len()))),
    }
}

fn distinct(elements: &[Value], steps: &mut Steps) -> Outcome {
    let mut found: Vec<Value> = Vec::new();
    for element in elements {
        if !contains(&found, element, steps)? {
            found.push(element.clone());
        }
    }
    Ok(Value::list(found))
}

fn flatten(elements: &[Value], depth: i64, steps: &mut Steps) -> Outcome {
    let mut flat = Vec::new();
    let mut open = vec![(elements.iter(), depth)];
    while let Some((rest, depth)) = open.last_mut() {
        let depth = *depth;
        match rest.next() {
            None => {
                open.pop();
            }
            Some(Value::List(inner)) if depth > 0 => open.push((inner.iter(), depth - 1)),
            Some(element) => {
                steps.take(1)?;
                flat.push(element.clone());
            }
        }
    }
    Ok(Value::list(flat))
}

/// The elements in the order of their keys.
fn sorted(name: &str, elements: &[Value], keys: &[Value], steps: &mut Steps) -> Outcome {
    let depth = keys.len().checked_ilog2().unwrap_or_default() as usize;
    steps.take(keys.len() * depth)?;
    if let Some(first) = keys.first()
        && let Some(other) = keys.iter().find(|key| key.type_name() != first.type_name() || key.compare(key).is_none())
    {
        let is_other = other.type_name() != first.type_name();
        let why = if is_other { "list elements must have the same type" } else { "list elements must be comparable" };
        return Err(error(why));
    }
    if elements.len() != keys.len() {
        return Err(no_overload(name, &[]));
    }
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|one, other| keys[*one].compare(&keys[*other]).unwrap_or(Ordering::Equal));
    Ok(Value::list(order.into_iter().map(|position| elements[position].clone()).collect()))
}

fn position<'v>(elements: impl Iterator<Item = (usize, &'v Value)>, sought: &Value, steps: &mut Steps) -> Outcome {
    for (position, element) in elements {
        if operators::equal(element, sought, steps)? {
            return Ok(Value::Int(position as i64));
        }
    }
    Ok(Value::Int(-1))
}

fn extreme(name: &str, elements: &[Value], wanted: Ordering) -> Outcome {
    let mut elements = elements.iter();
    let Some(mut found) = elements.next() else { return Err(error(format!("{name} called on empty list"))) };
    for element in elements {
        if element.compare(found) == Some(wanted) {
            found = element;
        }
    }
    Ok(found.clone())
}

/// Of one element at least: what nothing sums up to depends on the type.
fn sum(elements: &[Value]) -> Outcome {
    let mut elements = elements.iter();
    let mut sum = elements.next().cloned().unwrap_or(Value::Int(0));
    for element in elements {
        sum = operators::calculate(op::ADD, &sum, element).unwrap_or_else(|| Err(error("no such overload")))?;
    }
    Ok(sum)
}
