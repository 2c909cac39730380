//! Strategic merge patch: maps merge, and lists merge by the key that the schema names for them.
//!
//! Upstream: apimachinery/pkg/util/strategicpatch/patch.go (StrategicMergeMapPatch)
//! Left out: merging two patches with each other, and making patches: clients do that.
//!
//! Beside values a patch holds directives: `$patch: replace` and `$patch: delete` in a map or in an element of a list,
//! `$retainKeys`, `$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST`.

mod list;
mod order;

use serde_json::{Map, Value};

use super::{PatchError, go};
use crate::schema::{PatchStrategy, Shape, TypeId, Value as Kind, schema};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

type JsonMap = Map<String, Value>;

/// What the schema says about a value that is merged.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Struct(TypeId),
    MapOf(Kind),
    MapOfLists,
    /// A scalar, or JSON that the schema knows nothing about.
    Opaque,
}

/// A field of a [`Subject`] and how it merges.
struct Member {
    /// Of the field, or of each element of the list that it is.
    subject: Subject,
    strategy: PatchStrategy,
}

/// The object of type `type_id` after the patch. What the patch does not mention stays as it is.
///
/// The result is not checked against the schema; directives that are put where nothing was are dropped.
///
/// # Errors
/// `Malformed` for directives of a wrong form, `Unmergeable` for elements without their merge key and the like.
pub fn strategic(original: &JsonMap, patch: JsonMap, type_id: TypeId) -> Result<JsonMap, PatchError> {
    merge_map(original.clone(), patch, Subject::Struct(type_id))
}

fn merge_map(mut original: JsonMap, mut patch: JsonMap, subject: Subject) -> Result<JsonMap, PatchError> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(JsonMap::new()),
            _ => Err(bad_directive(directive, patch)),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order::apply(&mut original, &mut patch, subject)?;
    for (key, value) in patch {
        merge_entry(&mut original, &key, value, subject)?;
    }
    Ok(original)
}

/// Drops what `$retainKeys` does not list; the patch may set nothing else.
fn retain_keys(original: &mut JsonMap, patch: &mut JsonMap) -> Result<(), PatchError> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".into());
    let retained = retained.as_array().ok_or_else(malformed)?;
    let is_retained = |key: &str| retained.iter().any(|each| each.as_str() == Some(key));
    let is_directive = |key: &str| key.starts_with(DELETE_FROM_LIST) || key.starts_with(SET_ELEMENT_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !is_directive(key) && !is_retained(key)) {
        return Err(malformed());
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

fn merge_entry(original: &mut JsonMap, key: &str, patch: Value, subject: Subject) -> Result<(), PatchError> {
    let deleted_from = match key.starts_with(DELETE_FROM_LIST) {
        true => Some(list_name(key, DELETE_FROM_LIST, "primitive list")?),
        false => None,
    };
    let key = deleted_from.unwrap_or(key);
    if patch.is_null() {
        original.remove(key);
        return Ok(());
    }
    let merged = match (original.remove(key), patch) {
        (Some(Value::Object(current)), Value::Object(patch)) => {
            let member = subject.member(key)?;
            Value::Object(match member.strategy.replace {
                true => patch,
                false => merge_map(current, patch, member.subject)?,
            })
        }
        (Some(Value::Array(current)), Value::Array(patch)) => {
            let member = subject.member(key)?;
            Value::Array(match (member.strategy.merge, deleted_from) {
                (false, _) => patch,
                (true, None) => list::merge(current, patch, &member)?,
                (true, Some(_)) => list::remove(current, &patch)?,
            })
        }
        (current, _) if deleted_from.is_some() => match current {
            Some(current) => current,
            None => return Ok(()),
        },
        (_, patch) => match without_directives(patch) {
            Some(value) => value,
            None => return Ok(()),
        },
    };
    original.insert(key.to_owned(), merged);
    Ok(())
}

/// The list that a directive is for: what follows the slash.
fn list_name<'a>(key: &'a str, directive: &str, what: &str) -> Result<&'a str, PatchError> {
    let name = key.strip_prefix(directive).and_then(|rest| rest.strip_prefix('/'));
    name.ok_or_else(|| PatchError::Malformed(format!("invalid patch format of {what}")))
}

/// The value to put where nothing was; none for a map that is only a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Some(Value::Object(kept.filter_map(|(key, value)| Some((key, without_directives(value)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        scalar => Some(scalar),
    }
}

fn bad_directive(directive: Value, mut patch: JsonMap) -> PatchError {
    let shown = go::as_string(&directive);
    patch.insert(DIRECTIVE.into(), directive);
    PatchError::Unmergeable(format!("unknown patch type: {shown} in map: {}", go::display(&Value::Object(patch))))
}

fn no_merge_key(element: &JsonMap, key: &str) -> PatchError {
    let element = go::display(&Value::Object(element.clone()));
    PatchError::Unmergeable(format!("map: {element} does not contain declared merge key: {key}"))
}

fn bad_type(expected: &str, actual: &Value) -> PatchError {
    PatchError::Unmergeable(format!("expected a {expected}, but received a {}", go::type_name(actual)))
}

impl Subject {
    fn of(kind: Kind) -> Subject {
        match kind {
            Kind::Object(type_id) => Subject::Struct(type_id),
            _ => Subject::Opaque,
        }
    }

    /// What stands under `key`.
    fn member(self, key: &str) -> Result<Member, PatchError> {
        let unknown = |name: &str| {
            PatchError::Unmergeable(format!("unable to find api field in struct {name} for the json field {key:?}"))
        };
        let (shape, strategy) = match self {
            Subject::Struct(type_id) => {
                let one = schema().get(type_id);
                let field = one.field(key).ok_or_else(|| unknown(one.short_name()))?;
                (field.shape, field.patch)
            }
            Subject::MapOf(kind) => (Shape::One(kind), PatchStrategy::default()),
            Subject::MapOfLists => (Shape::List(Kind::String), PatchStrategy::default()),
            Subject::Opaque => return Err(unknown("RawExtension")),
        };
        let subject = match shape {
            Shape::One(kind) | Shape::List(kind) => Subject::of(kind),
            Shape::Map(kind) => Subject::MapOf(kind),
            Shape::MapOfLists => Subject::MapOfLists,
        };
        Ok(Member { subject, strategy })
    }
}

#[cfg(test)]
mod tests;
