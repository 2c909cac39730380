//! Where in an object a value stands, and what is wrong with it: the field paths and field errors of validation.
//!
//! Upstream: apimachinery/pkg/util/validation/field (path.go, errors.go)
//! Left out: error origins and "covered by declarative validation" marks.
//!
//! A [`Field`] is a cursor: a value together with the way to it. Validation walks down with [`Field::child`] and
//! [`Field::items`]; the path is only written out when there is an error to report.

use std::fmt;

use serde_json::Value;

static NULL: Value = Value::Null;

/// A value inside an object and the path that leads to it. An absent field is a cursor on `null`.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    parent: Option<&'a Field<'a>>,
    step: Step<'a>,
    /// The value here; `Value::Null` when the field is absent.
    pub value: &'a Value,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Field<'a> {
    /// The cursor on a whole object; its path is empty.
    pub fn root(value: &'a Value) -> Field<'a> {
        Field { parent: None, step: Step::Root, value }
    }

    /// The field `name` of this object: `spec` to `spec.replicas`.
    pub fn child<'b>(&'b self, name: &'b str) -> Field<'b> {
        Field { parent: Some(self), step: Step::Name(name), value: self.value.get(name).unwrap_or(&NULL) }
    }

    /// A value that stands elsewhere, reported as if it were the field `name` here: upstream's paths are not always
    /// those of the JSON.
    pub fn alias<'b>(&'b self, name: &'b str, value: &'b Value) -> Field<'b> {
        Field { parent: Some(self), step: Step::Name(name), value }
    }

    /// The entry `key` of this map, written with brackets: `metadata.labels[app]`.
    pub fn key<'b>(&'b self, key: &'b str) -> Field<'b> {
        Field { parent: Some(self), step: Step::Key(key), value: self.value.get(key).unwrap_or(&NULL) }
    }

    /// A value of this map, reported under `key` in place of its own key: one that is too long is shortened.
    pub fn alias_key<'b>(&'b self, key: &'b str, value: &'b Value) -> Field<'b> {
        Field { parent: Some(self), step: Step::Key(key), value }
    }

    /// The same place with another value: a part of what stands there.
    pub fn instead<'b>(&self, value: &'b Value) -> Field<'b>
    where
        'a: 'b,
    {
        Field { parent: self.parent, step: self.step, value }
    }

    /// The element at `index` of this list.
    pub fn index<'b>(&'b self, index: usize) -> Field<'b> {
        Field { parent: Some(self), step: Step::Index(index), value: self.value.get(index).unwrap_or(&NULL) }
    }

    /// The elements of this list, in order; none when it is absent or not a list.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Field<'b>> + 'b {
        let values = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().enumerate().map(move |(index, value)| Field {
            parent: Some(self),
            step: Step::Index(index),
            value,
        })
    }

    /// The entries of this map, by key.
    pub fn entries<'b>(&'b self) -> impl Iterator<Item = (&'b str, Field<'b>)> + 'b {
        self.value
            .as_object()
            .into_iter()
            .flatten()
            .map(move |(key, value)| (key.as_str(), Field { parent: Some(self), step: Step::Key(key), value }))
    }

    /// Whether the field is absent or `null`.
    pub fn is_absent(&self) -> bool {
        self.value.is_null()
    }

    /// The string here, or "" when there is none: Kubernetes does not tell an absent string from an empty one.
    pub fn str(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The integer here, if there is one.
    pub fn i64(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// The boolean here; absent is false.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// The number of elements of this list or entries of this map.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            _ => 0,
        }
    }

    /// Whether this list, map or string has nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.str().is_empty()
    }

    /// The path from the root: `spec.containers[0].ports[1].name`.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The value must be given and is not.
    pub fn required(&self, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::Required, Value::Null, detail)
    }

    /// The value here is not acceptable; `detail` says what would be.
    pub fn invalid(&self, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::Invalid, self.value.clone(), detail)
    }

    /// As [`Field::invalid`], reporting `value` in place of what stands here (a default, say, or a part of it).
    pub fn invalid_value(&self, value: impl Into<Value>, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::Invalid, value.into(), detail)
    }

    /// As [`Field::invalid`], without showing the value: it is large, and only a part of it is wrong.
    pub fn invalid_unshown(&self, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::InvalidUnshown, Value::Null, detail)
    }

    /// The value here is not one of `supported`; they are reported in the order given.
    pub fn not_supported(&self, supported: &[&str]) -> FieldError {
        let quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        self.error(ErrorType::NotSupported, self.value.clone(), detail)
    }

    /// The field may not be set here, or not be set to this.
    pub fn forbidden(&self, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::Forbidden, Value::Null, detail)
    }

    /// The value stands elsewhere too and must be unique.
    pub fn duplicate(&self) -> FieldError {
        self.error(ErrorType::Duplicate, self.value.clone(), "")
    }

    /// As [`Field::duplicate`], reporting `value`.
    pub fn duplicate_value(&self, value: impl Into<Value>) -> FieldError {
        self.error(ErrorType::Duplicate, value.into(), "")
    }

    /// What the value refers to does not exist.
    pub fn not_found(&self) -> FieldError {
        self.error(ErrorType::NotFound, self.value.clone(), "")
    }

    /// The value has more than `max_bytes` bytes.
    pub fn too_long(&self, max_bytes: usize) -> FieldError {
        self.error(ErrorType::TooLong, Value::Null, format!("may not be more than {max_bytes} bytes"))
    }

    /// The list has more than `max_items` elements.
    pub fn too_many(&self, max_items: usize) -> FieldError {
        self.error(ErrorType::TooMany, self.len().into(), format!("must have at most {max_items} items"))
    }

    /// What is here could not be judged, through no mistake of the object.
    pub fn internal(&self, detail: impl Into<String>) -> FieldError {
        self.error(ErrorType::Internal, Value::Null, detail)
    }

    fn error(&self, kind: ErrorType, value: Value, detail: impl Into<String>) -> FieldError {
        FieldError { kind, field: self.path(), value, detail: detail.into() }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Name(name) => {
                let at_root = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
                write!(f, "{}{name}", if at_root { "" } else { "." })
            }
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// What kind of mistake a [`FieldError`] reports; on the wire it is the cause's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    Required,
    Invalid,
    InvalidUnshown,
    NotSupported,
    Forbidden,
    Duplicate,
    NotFound,
    TooLong,
    TooMany,
    TypeInvalid,
    Internal,
}

impl ErrorType {
    /// The reason of the cause in a Status: `FieldValueInvalid` and the like.
    pub fn reason(self) -> &'static str {
        match self {
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Invalid | ErrorType::InvalidUnshown => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
            ErrorType::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            ErrorType::Required => "Required value",
            ErrorType::Invalid | ErrorType::InvalidUnshown | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::NotFound => "Not found",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::Internal => "Internal error",
        }
    }
}

/// One mistake in an object: where, what kind, the offending value, and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub kind: ErrorType,
    pub field: String,
    pub value: Value,
    pub detail: String,
}

impl FieldError {
    /// The error without its path: `Invalid value: "x": must be ...`, the message of a cause.
    pub fn body(&self) -> String {
        use ErrorType::{Forbidden, Internal, InvalidUnshown, Required, TooLong};
        let mut text = self.kind.words().to_owned();
        if !matches!(self.kind, Required | InvalidUnshown | Forbidden | TooLong | Internal) {
            text.push_str(": ");
            match &self.value {
                Value::String(value) => text.push_str(&format!("{value:?}")),
                value => text.push_str(&value.to_string()),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_names_the_way_to_its_field_and_the_value_there() {
        let pod = json!({"metadata": {"labels": {"a/b": "-"}}, "spec": {"containers": [{"name": "c", "ports": [{"name": "X"}]}]}});
        let root = Field::root(&pod);
        let (spec, metadata) = (root.child("spec"), root.child("metadata"));
        let containers = spec.child("containers");
        let container = containers.items().next().unwrap();
        let ports = container.child("ports");
        let port = ports.index(0);
        assert_eq!(
            port.child("name").invalid("must be lower case").to_string(),
            r#"spec.containers[0].ports[0].name: Invalid value: "X": must be lower case"#
        );
        assert_eq!(metadata.child("labels").key("a/b").path(), "metadata.labels[a/b]");
        assert_eq!(containers.invalid_unshown("too many").to_string(), "spec.containers: Invalid value: too many");
        assert_eq!(containers.invalid_unshown("").kind.reason(), "FieldValueInvalid");
        assert_eq!(container.child("image").required("").to_string(), "spec.containers[0].image: Required value");
        assert_eq!(
            container.child("name").not_supported(&["a", "b"]).body(),
            r#"Unsupported value: "c": supported values: "a", "b""#
        );
    }
}
