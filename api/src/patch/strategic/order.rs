//! The order of a merged list: as the patch has it, then as the object had it, interleaved.
//!
//! Upstream: apimachinery/pkg/util/strategicpatch/patch.go (mergePatchIntoOriginal, normalizeElementOrder)
//! Left out: nothing.

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::{JsonMap, PatchError, SET_ELEMENT_ORDER, Subject, bad_type, list, list_name, no_merge_key};
use crate::patch::go;

/// Carries out every `$setElementOrder/LIST`, together with the patch of that list, and takes both out of the patch.
pub(super) fn apply(original: &mut JsonMap, patch: &mut JsonMap, subject: Subject) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = take_list(patch, &directive)?.unwrap_or_default();
        let name = list_name(&directive, SET_ELEMENT_ORDER, "setElementOrder list")?;
        let current = original.get(name).map(as_list).transpose()?.map(<[Value]>::to_vec);
        let changes = take_list(patch, name)?;
        let member = subject.member(name)?;
        let key = member.strategy.merge_key;
        check(changes.as_deref().unwrap_or_default(), &order, key)?;
        let before = current.clone().unwrap_or_default();
        let merged = match (current, changes) {
            (None, None) => continue,
            (Some(current), None) => current,
            (None, Some(changes)) => changes.into_iter().filter_map(super::without_directives).collect(),
            (Some(current), Some(changes)) if member.strategy.merge => list::merge(current, changes, &member)?,
            (Some(_), Some(changes)) => changes,
        };
        list::check_elements(&before, &merged)?;
        original.insert(name.to_owned(), Value::Array(arrange(merged, &order, &before, key)?));
    }
    Ok(())
}

fn take_list(map: &mut JsonMap, key: &str) -> Result<Option<Vec<Value>>, PatchError> {
    match map.remove(key) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => Err(bad_type("[]interface {}", &other)),
    }
}

fn as_list(value: &Value) -> Result<&[Value], PatchError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| bad_type("[]interface {}", value))
}

/// Whether the patch's elements, deletions aside, stand in the order in the same sequence.
fn check(changes: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    if changes.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut ordered = order.iter();
    for change in changes.iter().filter(|change| change.get(super::DIRECTIVE).is_none()) {
        let wanted = identity(change, key)?;
        let mut found = false;
        for each in ordered.by_ref() {
            if identity(each, key)? == wanted {
                found = true;
                break;
            }
        }
        if !found {
            let shown = |list: &[Value]| go::display(&Value::Array(list.to_vec()));
            let message = format!(
                "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
                shown(changes),
                shown(order)
            );
            return Err(PatchError::Unmergeable(message));
        }
    }
    Ok(())
}

/// What tells elements apart: the value of the merge key, or the scalar itself.
fn identity<'a>(element: &'a Value, key: Option<&str>) -> Result<&'a Value, PatchError> {
    let Some(key) = key else { return Ok(element) };
    let map = list::as_map(element)?;
    map.get(key).ok_or_else(|| no_merge_key(map, key))
}

/// Where each element of a list stands first.
fn places(list: &[Value], key: Option<&str>) -> Result<FxHashMap<String, usize>, PatchError> {
    let mut places = FxHashMap::default();
    for (index, element) in list.iter().enumerate() {
        places.entry(identity(element, key)?.to_string()).or_insert(index);
    }
    Ok(places)
}

/// An element on its way to its place.
struct Placed {
    element: Value,
    in_order: Option<usize>,
    before: Option<usize>,
}

/// Sorts a merged list. Elements of `order` come in that order, the others as in `before`; an element of the latter
/// goes before the first of the former that it stood before.
pub(super) fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    let (in_order, in_before) = (places(order, key)?, places(before, key)?);
    let (mut ordered, mut others) = (Vec::new(), Vec::new());
    for element in merged {
        let id = identity(&element, key)?.to_string();
        let placed = Placed { element, in_order: in_order.get(&id).copied(), before: in_before.get(&id).copied() };
        if placed.in_order.is_some() { ordered.push(placed) } else { others.push(placed) }
    }
    ordered.sort_by_key(|placed| placed.in_order);
    others.sort_by_key(|placed| placed.before.unwrap_or(usize::MAX));
    let mut all = Vec::with_capacity(ordered.len() + others.len());
    let (mut ordered, mut others) = (ordered.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_is_next = match (others.peek(), ordered.peek()) {
            (None, None) => return Ok(all),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(next)) => other.before.zip(next.before).is_some_and(|(other, next)| other < next),
        };
        all.extend(if other_is_next { others.next() } else { ordered.next() }.map(|placed| placed.element));
    }
}
