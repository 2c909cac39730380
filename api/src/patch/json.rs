//! JSON patch (RFC 6902), as lenient and as strict as the library that upstream uses.
//!
//! Upstream: gopkg.in/evanphx/json-patch.v4, apiserver/pkg/endpoints/handlers/patch.go (applyJSPatch)
//! Left out: nothing. Beside the RFC: `replace` makes a missing field, `copy` of a missing field copies null, a missing
//!   field passes a `test` for null, and a negative index counts from the end.

use serde_json::{Map, Value};

use super::{PatchError, go};

/// The most operations that one patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// The most bytes that all copies of one patch may add.
const MAX_COPIED_BYTES: usize = 3 << 20;

/// A JSON patch that was read and not yet applied.
#[derive(Debug, Clone)]
pub struct JsonPatch {
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, Default)]
struct Operation {
    kind: String,
    path: Option<String>,
    from: Option<String>,
    value: Value,
}

impl JsonPatch {
    /// Reads a patch, and the complaints about fields that no operation has.
    ///
    /// # Errors
    /// `Malformed` for what is no list of operations, `TooLarge` for too many of them.
    pub fn read(patch: Value) -> Result<(JsonPatch, Vec<String>), PatchError> {
        let wrong = |value: &Value, wanted: &str| {
            let what = json_word(value);
            Err(PatchError::Malformed(format!(
                "error decoding patch: json: cannot unmarshal {what} into Go value of type {wanted}"
            )))
        };
        let items = match patch {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            other => return wrong(&other, "[]handlers.jsonPatchOp"),
        };
        let (mut operations, mut unknown) = (Vec::with_capacity(items.len()), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::Object(fields) => operations.push(Operation::read(fields, index, &mut unknown)?),
                Value::Null => operations.push(Operation::default()),
                other => return wrong(&other, "handlers.jsonPatchOp"),
            }
        }
        if operations.len() > MAX_OPERATIONS {
            let got = operations.len();
            let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {got}");
            return Err(PatchError::TooLarge(message));
        }
        Ok((JsonPatch { operations }, unknown))
    }

    /// The document after all operations.
    ///
    /// # Errors
    /// `Unprocessable` at the first operation that can't be done.
    pub fn apply(&self, document: &Value) -> Result<Value, PatchError> {
        let (mut document, mut copied_bytes) = (document.clone(), 0);
        for operation in &self.operations {
            operation.apply(&mut document, &mut copied_bytes)?;
        }
        Ok(document)
    }
}

impl Operation {
    fn read(fields: Map<String, Value>, index: usize, unknown: &mut Vec<String>) -> Result<Operation, PatchError> {
        let mut operation = Operation::default();
        for (name, value) in fields {
            let text = |value: Value| match value {
                Value::String(text) => Ok(Some(text)),
                Value::Null => Ok(None),
                other => {
                    let what = json_word(&other);
                    Err(PatchError::Malformed(format!(
                        "error decoding patch: json: cannot unmarshal {what} into Go struct field jsonPatchOp.{name} of \
                         type string"
                    )))
                }
            };
            match name.as_str() {
                "op" => operation.kind = text(value)?.unwrap_or_default(),
                "path" => operation.path = text(value)?,
                "from" => operation.from = text(value)?,
                "value" => operation.value = value,
                _ => unknown.push(format!("json patch unknown field \"[{index}].{name}\"")),
            }
        }
        Ok(operation)
    }

    fn apply(&self, document: &mut Value, copied_bytes: &mut usize) -> Result<(), PatchError> {
        let path = required(self.path.as_deref(), "path")?;
        match self.kind.as_str() {
            "add" => parent(document, path)?.add(self.value.clone()),
            "remove" => parent(document, path)?.remove().map(drop),
            "replace" => parent(document, path)?.replace(self.value.clone()),
            "move" => {
                let moved = parent(document, required(self.from.as_deref(), "from")?)?.remove()?;
                parent(document, path)?.add(moved)
            }
            "copy" => {
                let copied = parent(document, required(self.from.as_deref(), "from")?)?.get()?.clone();
                *copied_bytes += copied.to_string().len();
                if *copied_bytes > MAX_COPIED_BYTES {
                    return fail(format!("the copies add more than {MAX_COPIED_BYTES} bytes"));
                }
                parent(document, path)?.add(copied)
            }
            "test" => match *parent(document, path)?.get()? == self.value {
                true => Ok(()),
                false => fail(format!("testing value {path} failed")),
            },
            other => fail(format!("Unexpected kind: {other}")),
        }
    }
}

fn fail<T>(message: String) -> Result<T, PatchError> {
    Err(PatchError::Unprocessable(message))
}

fn required<'a>(text: Option<&'a str>, what: &str) -> Result<&'a str, PatchError> {
    text.ok_or_else(|| PatchError::Unprocessable(format!("the operation has no {what}")))
}

fn json_word(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::Number(_) => "number",
        scalar => go::kind(scalar),
    }
}

/// A place in a document: what holds it, and the last segment of the way.
enum Place<'a> {
    Field(&'a mut Map<String, Value>, String),
    Element(&'a mut Vec<Value>, String),
}

/// Finds what holds the place that a pointer names.
fn parent<'a>(document: &'a mut Value, path: &str) -> Result<Place<'a>, PatchError> {
    let missing = || PatchError::Unprocessable(format!("doc is missing path: {path}"));
    let mut segments: Vec<String> =
        path.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
    let last = segments.pop().ok_or_else(missing)?;
    let mut here = document;
    for segment in segments {
        here = match here {
            Value::Object(map) => map.get_mut(&segment).ok_or_else(missing)?,
            Value::Array(list) => {
                let index = index(&segment, list.len())?;
                list.get_mut(index).ok_or_else(missing)?
            }
            _ => return Err(missing()),
        };
    }
    match here {
        Value::Object(map) => Ok(Place::Field(map, last)),
        Value::Array(list) => Ok(Place::Element(list, last)),
        _ => Err(missing()),
    }
}

/// Reads an index into a list of `length`; negative ones count from the end.
fn index(segment: &str, length: usize) -> Result<usize, PatchError> {
    let number: i64 = segment.parse().map_err(|_| PatchError::Unprocessable(format!("{segment:?} is not an index")))?;
    let from_start = if number < 0 { number.saturating_add_unsigned(length as u64) } else { number };
    match usize::try_from(from_start) {
        Ok(index) if index < length => Ok(index),
        _ => fail(format!("Unable to access invalid index: {number}")),
    }
}

impl Place<'_> {
    fn get(&self) -> Result<&Value, PatchError> {
        match self {
            Place::Field(map, name) => Ok(map.get(name).unwrap_or(&Value::Null)),
            Place::Element(list, segment) => Ok(&list[index(segment, list.len())?]),
        }
    }

    fn add(self, value: Value) -> Result<(), PatchError> {
        match self {
            Place::Field(map, name) => {
                map.insert(name, value);
            }
            Place::Element(list, segment) if segment == "-" => list.push(value),
            Place::Element(list, segment) => list.insert(index(&segment, list.len() + 1)?, value),
        }
        Ok(())
    }

    fn remove(self) -> Result<Value, PatchError> {
        match self {
            Place::Field(map, name) => match map.remove(&name) {
                Some(value) => Ok(value),
                None => fail(format!("Unable to remove nonexistent key: {name}")),
            },
            Place::Element(list, segment) => {
                let index = index(&segment, list.len())?;
                Ok(list.remove(index))
            }
        }
    }

    fn replace(self, value: Value) -> Result<(), PatchError> {
        match self {
            Place::Field(map, name) => {
                map.insert(name, value);
            }
            Place::Element(list, segment) => {
                let index = index(&segment, list.len())?;
                list[index] = value;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(patch: Value) -> String {
        let document = json!({"data": {"k": "v", "a/b": "1"}, "list": ["x", "y"]});
        let patched = JsonPatch::read(patch).and_then(|(patch, _)| patch.apply(&document));
        match patched {
            Ok(patched) => format!("{} {}", patched["data"], patched["list"]),
            Err(error) => crate::status::Status::from(error).code.to_string(),
        }
    }

    #[test]
    fn operations_do_what_upstreams_do() {
        for (patch, expected) in [
            (json!([{"op": "add", "path": "/data/k", "value": "1"}]), r#"{"a/b":"1","k":"1"} ["x","y"]"#),
            (json!([{"op": "add", "path": "/foo/n", "value": "1"}]), "422"),
            (json!([{"op": "add", "path": "/list/1", "value": "z"}]), r#"{"a/b":"1","k":"v"} ["x","z","y"]"#),
            (json!([{"op": "add", "path": "/list/-", "value": "z"}]), r#"{"a/b":"1","k":"v"} ["x","y","z"]"#),
            (json!([{"op": "add", "path": "/list/-1", "value": "z"}]), r#"{"a/b":"1","k":"v"} ["x","y","z"]"#),
            (json!([{"op": "add", "path": "/list/9", "value": "z"}]), "422"),
            (json!([{"op": "remove", "path": "/list/-1"}]), r#"{"a/b":"1","k":"v"} ["x"]"#),
            (json!([{"op": "remove", "path": "/list/-3"}]), "422"),
            (json!([{"op": "remove", "path": "/list/x"}]), "422"),
            (json!([{"op": "remove", "path": "/data/a~1b"}]), r#"{"k":"v"} ["x","y"]"#),
            (json!([{"op": "remove", "path": "/data/zz"}]), "422"),
            (json!([{"op": "replace", "path": "/data/zz", "value": "q"}]), r#"{"a/b":"1","k":"v","zz":"q"} ["x","y"]"#),
            (json!([{"op": "test", "path": "/data/zz", "value": null}]), r#"{"a/b":"1","k":"v"} ["x","y"]"#),
            (json!([{"op": "test", "path": "/data/k", "value": "x"}, {"op": "remove", "path": "/data/k"}]), "422"),
            (
                json!([{"op": "copy", "from": "/data/zz", "path": "/data/n"}]),
                r#"{"a/b":"1","k":"v","n":null} ["x","y"]"#,
            ),
            (json!([{"op": "move", "from": "/data/k", "path": "/data/n"}]), r#"{"a/b":"1","n":"v"} ["x","y"]"#),
            (json!([{"op": "move", "from": "/data/zz", "path": "/data/n"}]), "422"),
            (json!([{"op": "foo", "path": "/data/k"}]), "422"),
            (json!([{"op": "add", "value": "1"}]), "422"),
            (json!([{"op": "add", "path": "", "value": "1"}]), "422"),
            (json!([]), r#"{"a/b":"1","k":"v"} ["x","y"]"#),
            (json!({"op": "add"}), "400"),
            (json!([{"op": 5}]), "400"),
            (json!(vec![json!({"op": "test", "path": "/data/k", "value": "v"}); 10_001]), "413"),
        ] {
            assert_eq!(check(patch.clone()), expected, "{patch}");
        }
    }

    #[test]
    fn copies_do_not_grow_without_bound() {
        let doubling = (0..60).map(|n| json!({"op": "copy", "from": "/data", "path": format!("/data/{n}")})).collect();
        assert_eq!(check(Value::Array(doubling)), "422");
    }

    #[test]
    fn unknown_fields_are_named() {
        let (_, unknown) = JsonPatch::read(json!([{"op": "add", "path": "/a", "value": 1, "foo": 2}])).unwrap();
        assert_eq!(unknown, [r#"json patch unknown field "[0].foo""#]);
    }

    proptest! {
        #[test]
        fn no_operation_panics(
            kind in "add|remove|replace|move|copy|test",
            path in "(/(data|list|k|-|-?[0-9]{1,20}|~[01]?|)){0,4}",
            from in "(/(data|list|k|-|-?[0-9]))*",
        ) {
            check(json!([{"op": kind, "path": path, "from": from, "value": {"k": 1}}]));
        }
    }
}
