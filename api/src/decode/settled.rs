//! Whether a value is in normal form already, so that reading its text along the schema would give just it.
//!
//! Upstream: none; there a patched object is converted into its struct, whatever it is
//! Left out: floats and the types of JSONSchemaProps that are a schema or something else: those are read as text.
//!
//! What a patch makes of a stored object is nearly always in normal form. Seeing that costs a walk; only what is not goes
//! the long way through [`super::typed`], which knows what to say about it.

use serde_json::Value;

use super::MAX_DEPTH;
use super::typed::{canonical_base64, canonical_quantity, is_canonical_time};
use crate::schema::{Field, Shape, TypeId, Value as Kind, schema};
use crate::time;

/// Whether decoding the text of `value` as `type_id` gives `value` and finds nothing to say. May say no wrongly.
pub(super) fn is_settled(value: &Value, type_id: TypeId) -> bool {
    object(value, type_id, 0)
}

fn object(value: &Value, type_id: TypeId, depth: usize) -> bool {
    let one = schema().get(type_id);
    let Value::Object(entries) = value else { return false };
    depth < MAX_DEPTH
        && entries.iter().all(|(name, value)| match one.field(name) {
            Some(known) => field(value, known, depth + 1),
            None => one.open && is_plain(value, depth + 1),
        })
}

fn field(value: &Value, field: &Field, depth: usize) -> bool {
    let keeps_empty = field.required || field.keep_empty;
    match (field.shape, value) {
        (Shape::One(kind), value) => single(value, kind, depth),
        (Shape::List(kind), Value::Array(items)) => (keeps_empty || !items.is_empty()) && list(items, kind, depth),
        (Shape::Map(kind), Value::Object(entries)) => {
            (keeps_empty || !entries.is_empty())
                && depth < MAX_DEPTH
                && entries.values().all(|value| single(value, kind, depth + 1))
        }
        (Shape::MapOfLists, Value::Object(entries)) => {
            let strings = |value: &Value| value.as_array().is_some_and(|items| list(items, Kind::String, depth + 1));
            (keeps_empty || !entries.is_empty()) && depth < MAX_DEPTH && entries.values().all(strings)
        }
        _ => false,
    }
}

fn list(items: &[Value], kind: Kind, depth: usize) -> bool {
    depth < MAX_DEPTH && items.iter().all(|item| single(item, kind, depth + 1))
}

fn single(value: &Value, kind: Kind, depth: usize) -> bool {
    match (kind, value) {
        (Kind::Object(type_id), value) => object(value, type_id, depth),
        (Kind::String | Kind::IntOrString, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => true,
        (Kind::Int32 | Kind::IntOrString, Value::Number(number)) => {
            number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
        }
        (Kind::Int64, Value::Number(number)) => number.is_i64(),
        (Kind::Double, Value::Number(number)) => number.as_i64().is_some_and(|number| number.abs() < WHOLE_FLOAT),
        (Kind::Bytes, Value::String(text)) => canonical_base64(text).is_ok_and(|canonical| canonical == *text),
        (Kind::Quantity, Value::String(text)) => canonical_quantity(text).is_ok_and(|canonical| canonical == *text),
        (Kind::Time, Value::String(text)) => {
            is_canonical_time(text.as_bytes()) || time::canonical_seconds(text).is_some_and(|time| time == *text)
        }
        (Kind::MicroTime, Value::String(text)) => time::canonical_micros(text).is_some_and(|time| time == *text),
        (Kind::Raw | Kind::FieldsV1 | Kind::Json, value) => !value.is_null() && is_plain(value, depth),
        _ => false,
    }
}

/// Smaller whole numbers are read from a float's text as they stand.
const WHOLE_FLOAT: i64 = 1_000_000_000_000_000;

/// Whether any reader of JSON reads the value's text as that value.
fn is_plain(value: &Value, depth: usize) -> bool {
    match value {
        Value::Number(number) => number.is_i64(),
        Value::Array(items) => depth < MAX_DEPTH && items.iter().all(|item| is_plain(item, depth + 1)),
        Value::Object(entries) => depth < MAX_DEPTH && entries.values().all(|value| is_plain(value, depth + 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;
    use crate::decode::typed::decode;

    /// Values like those of a field, most of them right, some not.
    struct Made(u64);

    impl Made {
        fn below(&mut self, limit: u64) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.0 >> 33) % limit) as usize
        }

        fn object(&mut self, type_id: TypeId, depth: usize) -> Value {
            let fields = &schema().get(type_id).fields;
            let mut object = Map::new();
            for _ in 0..self.below(4) {
                let Some(field) = fields.get(self.below(fields.len().max(1) as u64)) else { break };
                object.insert(field.name.into(), self.field(field.shape, depth + 1));
            }
            if self.below(60) == 0 {
                object.insert("unknown".into(), 1.into());
            }
            object.into()
        }

        fn field(&mut self, shape: Shape, depth: usize) -> Value {
            let count = self.below(3);
            match shape {
                _ if self.below(60) == 0 => Value::Null,
                Shape::One(kind) => self.one(kind, depth),
                Shape::List(kind) => (0..count).map(|_| self.one(kind, depth + 1)).collect(),
                Shape::Map(kind) => (0..count).map(|at| (format!("k{at}"), self.one(kind, depth + 1))).collect(),
                Shape::MapOfLists => (0..count).map(|at| (format!("k{at}"), json!(["a", "\u{e9}\n"]))).collect(),
            }
        }

        fn one(&mut self, kind: Kind, depth: usize) -> Value {
            let odd = [json!(null), json!(1.5), json!(""), json!(-3), json!(true), json!({"a": []}), json!(u64::MAX)];
            let pick = |made: &mut Made, of: &[Value]| of[made.below(of.len() as u64)].clone();
            if self.below(40) == 0 {
                return pick(self, &odd);
            }
            match kind {
                Kind::Object(_) if depth > 5 => json!({}),
                Kind::Object(type_id) => self.object(type_id, depth),
                Kind::String => pick(self, &[json!("a"), json!(""), json!("\u{1f600}\"\\\u{1}")]),
                Kind::Bool => pick(self, &[json!(true), json!(false)]),
                Kind::Int32 => pick(self, &[json!(0), json!(-7), json!(i32::MAX), json!(i64::from(i32::MAX) + 1)]),
                Kind::Int64 => pick(self, &[json!(0), json!(i64::MIN), json!(u64::MAX)]),
                Kind::Double => pick(self, &[json!(3), json!(1e3), json!(0.25), json!(WHOLE_FLOAT), json!(-0.0)]),
                Kind::Bytes => pick(self, &[json!("YQ=="), json!("YQ"), json!("Y\nQ=="), json!("")]),
                Kind::Quantity => pick(self, &[json!("1"), json!("1000m"), json!(" 1Gi"), json!(2), json!("100m")]),
                Kind::Time => pick(self, &[json!("2026-01-31T03:04:05Z"), json!("2026-01-02T03:04:05+01:00")]),
                Kind::MicroTime => pick(self, &[json!("2026-01-02T03:04:05.000006Z"), json!("2026-01-02T03:04:05Z")]),
                Kind::IntOrString => pick(self, &[json!(1), json!("http"), json!(i64::MAX)]),
                Kind::SchemaOrBool => pick(self, &[json!(true), json!({"type": "string"})]),
                _ => pick(self, &[json!({"a": [1, null, {"b": "c"}]}), json!([]), json!(1.5)]),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_is_settled_is_decoded_to_itself(seed: u64) {
            let mut made = Made(seed);
            let types: Vec<TypeId> = schema().types().map(|(id, _)| id).collect();
            let type_id = types[made.below(types.len() as u64)];
            let value = made.object(type_id, 0);
            let decoded = decode(&value.to_string(), type_id, true).unwrap();
            if is_settled(&value, type_id) {
                prop_assert_eq!(&decoded.value, &value);
                prop_assert_eq!((decoded.type_error, decoded.strict_errors), (None, vec![]));
            }
        }
    }

    #[test]
    fn an_ordinary_object_in_normal_form_is_settled_and_one_with_a_flaw_is_not() {
        let deployment = schema().kind("apps", "v1", "Deployment").unwrap();
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"}, "generation": 2,
                "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [
                {"name": "c", "resources": {"limits": {"cpu": "100m"}}, "livenessProbe": {"httpGet": {"port": "http"}}},
            ]}}, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}},
            "status": {},
        });
        assert!(is_settled(&object, deployment));
        let mut on_the_last_day = object.clone();
        on_the_last_day["metadata"]["creationTimestamp"] = json!("2026-01-31T03:04:05Z");
        assert!(is_settled(&on_the_last_day, deployment));
        for (pointer, flaw) in [
            ("/spec/replicas", json!("3")),
            ("/spec/replicas", json!(1_i64 << 40)),
            ("/spec/replicas", json!(null)),
            ("/metadata/labels", json!({})),
            ("/metadata/managedFields/0/fieldsV1", json!(null)),
            ("/metadata/labels/a", json!(1)),
            ("/metadata/creationTimestamp", json!("2026-01-02T03:04:05+01:00")),
            ("/metadata/creationTimestamp", json!("2026-02-31T03:04:05Z")),
            ("/spec/template/spec/containers/0", json!({"name": "c", "nam": "c"})),
            ("/spec/template/spec/containers/0/resources/limits/cpu", json!("0.1")),
        ] {
            let mut flawed = object.clone();
            *flawed.pointer_mut(pointer).unwrap() = flaw;
            assert!(!is_settled(&flawed, deployment), "{pointer}");
        }
    }
}
