//! Lists that merge: of maps by their merge key, of scalars as sets.
//!
//! Upstream: apimachinery/pkg/util/strategicpatch/patch.go (mergeSlice and below)
//! Left out: nothing.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use super::{JsonMap, Member, PatchError, bad_directive, bad_type, merge_map, no_merge_key, order};
use crate::patch::go;

/// Merges `patch` into `current`. Elements that the patch names come in its order, the others where they were.
pub(super) fn merge(current: Vec<Value>, patch: Vec<Value>, member: &Member) -> Result<Vec<Value>, PatchError> {
    if current.is_empty() && patch.is_empty() {
        return Ok(current);
    }
    if !check_elements(&current, &patch)? {
        let mut seen = FxHashSet::default();
        let merged = current.iter().chain(&patch).filter(|item| seen.insert(item.to_string())).cloned().collect();
        return order::arrange(merged, &patch, &current, None);
    }
    let Some(key) = member.strategy.merge_key else {
        return Err(PatchError::Unmergeable("cannot merge lists without merge key for type struct".into()));
    };
    let (current, patch) = apply_directives(current, patch, key)?;
    let mut merged = current.clone();
    let mut places = FxHashMap::default();
    for (index, element) in merged.iter().enumerate() {
        if let Some(value) = element.get(key) {
            places.entry(value.to_string()).or_insert(index);
        }
    }
    for element in &patch {
        let element = as_map(element)?;
        let value = element.get(key).ok_or_else(|| no_merge_key(element, key))?;
        match places.get(&value.to_string()) {
            Some(&index) => {
                let there = as_map(&merged[index])?.clone();
                merged[index] = Value::Object(merge_map(there, element.clone(), member.subject)?);
            }
            None => {
                places.insert(value.to_string(), merged.len());
                merged.extend(super::without_directives(Value::Object(element.clone())));
            }
        }
    }
    order::arrange(merged, &patch, &current, Some(key))
}

/// `current` without the scalars of `removed`.
pub(super) fn remove(current: Vec<Value>, removed: &[Value]) -> Result<Vec<Value>, PatchError> {
    if current.is_empty() && removed.is_empty() {
        return Ok(current);
    }
    check_elements(&current, removed)?;
    let removed: FxHashSet<String> = removed.iter().map(Value::to_string).collect();
    Ok(current.into_iter().filter(|item| !removed.contains(&item.to_string())).collect())
}

/// Checks that all elements have the same type, which is not a list. Tells whether they are maps.
pub(super) fn check_elements(current: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut elements = current.iter().chain(patch);
    let Some(first) = elements.next() else {
        return Err(PatchError::Unmergeable("no elements in any of the given slices".into()));
    };
    if current.iter().chain(patch).any(Value::is_array) {
        return Err(PatchError::Unprocessable("lists of lists are not supported".into()));
    }
    if elements.any(|element| go::type_name(element) != go::type_name(first)) {
        let lists = [current, patch].map(|list| Value::Array(list.to_vec())).to_vec();
        let lists = go::display(&Value::Array(lists));
        return Err(PatchError::Unmergeable(format!("list element types are not identical: {lists}")));
    }
    Ok(first.is_object())
}

/// Carries out the `$patch` elements of a list and returns what is there then, and the rest of the patch.
fn apply_directives(
    mut current: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (mut rest, mut replaces, mut deleted) = (Vec::with_capacity(patch.len()), false, FxHashSet::default());
    for element in patch {
        let map = as_map(&element)?;
        let Some(directive) = map.get(super::DIRECTIVE) else {
            rest.push(element);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(map.get(key).ok_or_else(|| no_merge_key(map, key))?.to_string());
            }
            Some("replace") => replaces = true,
            Some("merge") => {
                return Err(PatchError::Unmergeable("merging lists cannot yet be specified in the patch".into()));
            }
            _ => return Err(bad_directive(directive.clone(), map.clone())),
        }
    }
    if replaces {
        return Ok((rest, Vec::new()));
    }
    current.retain(|element| element.get(key).is_none_or(|value| !deleted.contains(&value.to_string())));
    Ok((current, rest))
}

pub(super) fn as_map(element: &Value) -> Result<&JsonMap, PatchError> {
    element.as_object().ok_or_else(|| bad_type("map[string]interface {}", element))
}
