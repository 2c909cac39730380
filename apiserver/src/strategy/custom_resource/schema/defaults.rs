//! The defaults in a schema: nothing in them would be dropped, they are as their schema says, and keep its rules.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/defaulting (validation.go, surroundingobject.go)
//! Left out: nothing.

use api::field::{Field, FieldError};
use serde_json::{Map, Value, json};

use super::{embedded, evaluated, pruning};
use crate::strategy::{custom_resource::value, validation::Errors};

/// Where a schema stands inside the resource that it describes a part of.
#[derive(Clone)]
struct Place<'a> {
    /// The schema of the innermost resource around.
    resource: &'a Value,
    /// From there to here.
    way: Vec<Step<'a>>,
    /// This is part of the resource's metadata, kind or API version.
    in_meta: bool,
}

#[derive(Clone)]
enum Step<'a> {
    Name(&'a str),
    FirstItem,
}

/// The mistakes of the defaults in a version's schema.
pub(super) fn defaults(root: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let place = Place { resource: root.value, way: Vec::new(), in_meta: false };
    schema(root, place, &mut { evaluated::MAX_STEPS }, &mut errors);
    errors
}

fn schema(schema: &Field<'_>, place: Place<'_>, steps: &mut usize, errors: &mut Errors) {
    let is_root = place.way.is_empty() && std::ptr::eq(place.resource, schema.value);
    let is_resource = is_root || embedded::is_resource(schema.value);
    let place = if is_resource { Place { resource: schema.value, way: Vec::new(), in_meta: false } } else { place };
    if !schema.child("default").is_absent() {
        default(schema, &place, is_resource, steps, errors);
    }
    // Defaults of additional properties are forbidden where it matters.
    let items = schema.child("items");
    if items.value.is_object() {
        let way = [place.way.clone(), vec![Step::FirstItem]].concat();
        self::schema(&items, Place { way, ..place.clone() }, steps, errors);
    }
    for (name, property) in schema.child("properties").entries() {
        let in_meta = place.in_meta || (is_resource && matches!(name, "metadata" | "apiVersion" | "kind"));
        let way = [place.way.clone(), vec![Step::Name(name)]].concat();
        self::schema(&property, Place { resource: place.resource, way, in_meta }, steps, errors);
    }
}

fn default(schema: &Field<'_>, place: &Place<'_>, is_resource: bool, steps: &mut usize, errors: &mut Errors) {
    let default = schema.child("default");
    if place.in_meta {
        let resource = surrounded(default.value, &place.way);
        let root = Field::root(&resource);
        let coerced = embedded::coerce(&root, place.resource, embedded::Whole::IsResource);
        let why = coerced.map(|mistake| mistake.to_string()).or_else(|| {
            let mistakes = embedded::validate(&root, place.resource, embedded::Whole::IsResource);
            aggregate(&mistakes)
        });
        match why {
            Some(why) => errors.push(default.invalid(format!("must result in valid metadata: {why}"))),
            None => errors.extend(by_schema(&default, schema.value, steps)),
        }
        return;
    }
    let whole = if is_resource { embedded::Whole::IsResource } else { embedded::Whole::IsAsSaid };
    if pruning::would_prune(default.value, schema.value, whole) {
        errors.push(default.invalid("must not have unknown fields"));
    }
    if let Some(mistake) = embedded::coerce(&default, schema.value, whole) {
        errors.push(mistake);
        return;
    }
    let mistakes = embedded::validate(&default, schema.value, whole);
    errors.extend(if mistakes.is_empty() { by_schema(&default, schema.value, steps) } else { mistakes });
}

/// What is wrong with the default by its schema; rules are asked only about what is as it should be.
fn by_schema(default: &Field<'_>, schema: &Value, steps: &mut usize) -> Errors {
    let mistakes = value::mistakes(default, schema);
    if mistakes.is_empty() && *steps > 0 { evaluated::broken(default, schema, steps) } else { mistakes }
}

/// Several mistakes in one text, as Go writes them; None if there are none.
fn aggregate(mistakes: &[FieldError]) -> Option<String> {
    match mistakes {
        [] => None,
        [one] => Some(one.to_string()),
        many => Some(format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))),
    }
}

/// The smallest resource that has the value at the end of the way.
fn surrounded(value: &Value, way: &[Step<'_>]) -> Value {
    let mut whole = way.iter().rev().fold(value.clone(), |inner, step| match step {
        Step::Name(name) => Value::Object(Map::from_iter([((*name).to_owned(), inner)])),
        Step::FirstItem => json!([inner]),
    });
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("kind".to_owned(), "Validation".into());
        fields.insert("apiVersion".to_owned(), "validation/v1".into());
    }
    whole
}
