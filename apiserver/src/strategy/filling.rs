//! The verbs that defaulting is written with: fill a field in when the client left it out.
//!
//! Upstream: each pkg/apis/*/defaults.go does this with pointers and zero values
//! Left out: nothing.
//!
//! In Go a plain string or number cannot be told from its zero value, so "" and 0 count as left out where upstream's
//! field is not a pointer: [`fill_text`] and [`fill_number`] do that, [`fill`] does not.

use api::quantity::{Format, Quantity};
use serde_json::{Map, Value};

pub(crate) type Fields = Map<String, Value>;

/// Sets the field when it is absent.
pub(crate) fn fill(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if fields.get(name).is_none_or(Value::is_null) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Sets the field when it is absent or "".
pub(crate) fn fill_text(fields: &mut Fields, name: &str, value: &str) {
    if fields.get(name).is_none_or(|current| current.is_null() || current == "") {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Sets the field when it is absent or 0.
pub(crate) fn fill_number(fields: &mut Fields, name: &str, value: i64) {
    if fields.get(name).is_none_or(|current| current.is_null() || current.as_i64() == Some(0)) {
        fields.insert(name.to_owned(), value.into());
    }
}

/// Takes out a field that says false where upstream cannot tell that from nothing.
pub(crate) fn drop_false(fields: &mut Fields, name: &str) {
    if fields.get(name) == Some(&Value::Bool(false)) {
        fields.remove(name);
    }
}

/// Writes null for the points in time that are absent: where upstream's field is no pointer, it is always written.
pub(crate) fn fill_times(fields: &mut Fields, names: &[&str]) {
    for name in names {
        fields.entry(*name).or_insert(Value::Null);
    }
}

/// As [`fill_times`], for each of the conditions in the status.
pub(crate) fn fill_condition_times(object: &mut Value, names: &[&str]) {
    let status = object.get_mut("status").and_then(Value::as_object_mut);
    for condition in status.into_iter().flat_map(|status| objects_in(status, "conditions")) {
        fill_times(condition, names);
    }
}

/// The object at `name`, if there is one.
pub(crate) fn object_in<'a>(fields: &'a mut Fields, name: &str) -> Option<&'a mut Fields> {
    fields.get_mut(name)?.as_object_mut()
}

/// The object at `name`, made empty when there is none.
pub(crate) fn object_or_empty<'a>(fields: &'a mut Fields, name: &str) -> &'a mut Fields {
    if !fields.get(name).is_some_and(Value::is_object) {
        fields.insert(name.to_owned(), Value::Object(Map::new()));
    }
    object_in(fields, name).expect("an object was just put there")
}

/// The objects in the list at `name`.
pub(crate) fn objects_in<'a>(fields: &'a mut Fields, name: &str) -> impl Iterator<Item = &'a mut Fields> {
    fields.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The spec of an object; made empty when there is none, as upstream's zero value.
pub(crate) fn spec(object: &mut Value) -> Option<&mut Fields> {
    object.as_object_mut().map(|fields| object_or_empty(fields, "spec"))
}

/// Whether the field is absent, "" or an empty list or map.
pub(crate) fn lacks(fields: &Fields, name: &str) -> bool {
    match fields.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(entries)) => entries.is_empty(),
        Some(_) => false,
    }
}

/// Writes the quantities of a resource list (`limits`, `capacity`) in their canonical form, rounded up to thousandths.
pub(crate) fn canonical_quantities(fields: &mut Fields, name: &str) {
    for quantity in object_in(fields, name).into_iter().flat_map(Map::values_mut) {
        canonical_quantity(quantity);
    }
}

/// Writes one quantity in its canonical form. What is none is left for validation to refuse.
pub(crate) fn canonical_quantity(value: &mut Value) {
    let text = match value {
        Value::String(text) if is_plainly_canonical(text) => return,
        Value::String(text) => std::borrow::Cow::Borrowed(text.as_str()),
        Value::Number(number) => std::borrow::Cow::Owned(number.to_string()),
        _ => return,
    };
    let Ok(quantity) = Quantity::parse(&text) else { return };
    let in_milli = Quantity::from_milli(quantity.milli_value(), quantity.format());
    let rounded = if in_milli == quantity || quantity.format() == Format::Binary { quantity } else { in_milli };
    *value = rounded.to_string().into();
}

/// `2`, `10` and the like: digits without a leading zero, nothing to rewrite. (`1000` is canonical too.)
fn is_plainly_canonical(text: &str) -> bool {
    text.len() < 18
        && !text.starts_with('0')
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.ends_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_in_their_canonical_form() {
        for (sent, stored) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.1Gi", "107374182400m"),
            ("1e6", "1e6"),
            ("7", "7"),
        ] {
            let mut value = Value::from(sent);
            canonical_quantity(&mut value);
            assert_eq!(value, stored);
        }
        let mut number = Value::from(2);
        canonical_quantity(&mut number);
        assert_eq!(number, "2");
    }
}
