//! Resources inside values: their kind, API version and metadata are those of any resource.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/objectmeta (algorithm.go, coerce.go, validation.go)
//! Left out: dropping fields that metadata does not have.

use api::{
    decode,
    field::{Field, FieldError},
    names,
    schema::schema,
};
use serde_json::Value;

use crate::{
    operations::metadata,
    strategy::validation::{Errors, not_negative},
};

/// Whether a value as a whole is a resource, whatever its schema says.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Whole {
    IsResource,
    IsAsSaid,
}

impl Whole {
    pub(super) fn is_resource(self, schema: &Value) -> bool {
        self == Whole::IsResource || is_resource(schema)
    }
}

/// Whether a schema says that its values are resources.
pub(super) fn is_resource(schema: &Value) -> bool {
    schema["x-kubernetes-embedded-resource"] == true
}

/// The first field of a resource in the value that has not the type that it has in all resources.
pub(super) fn coerce(value: &Field<'_>, schema: &Value, whole: Whole) -> Option<FieldError> {
    let wrong = || {
        let text = ["apiVersion", "kind"].into_iter().find_map(|name| {
            let field = value.child(name);
            (!field.is_absent() && !field.value.is_string()).then(|| field.invalid("must be a string"))
        });
        let metadata = value.child("metadata");
        text.or_else(|| decode_metadata(metadata.value).err().map(|why| metadata.invalid(why)))
    };
    let of_this = if value.value.is_object() && whole.is_resource(schema) { wrong() } else { None };
    let mut found = of_this;
    below(value, schema, &mut |inner, schema| {
        found = found.take().or_else(|| coerce(inner, schema, Whole::IsAsSaid));
    });
    found
}

/// The mistakes of the resources in the value.
pub(super) fn validate(value: &Field<'_>, schema: &Value, whole: Whole) -> Errors {
    let mut errors = Errors::new();
    if value.value.is_object() && whole.is_resource(schema) {
        resource(value, &mut errors);
    }
    below(value, schema, &mut |inner, schema| errors.extend(validate(inner, schema, Whole::IsAsSaid)));
    errors
}

/// Shows what is inside the value, with its schema.
fn below(value: &Field<'_>, schema: &Value, show: &mut dyn FnMut(&Field<'_>, &Value)) {
    for (name, _) in value.entries() {
        if let Some(property) = schema["properties"].get(name) {
            show(&value.child(name), property);
        } else if schema["additionalProperties"].is_object() {
            show(&value.key(name), &schema["additionalProperties"]);
        }
    }
    if schema["items"].is_object() {
        for item in value.items() {
            show(&item, &schema["items"]);
        }
    }
}

fn resource(value: &Field<'_>, errors: &mut Errors) {
    let (version, kind) = (value.child("apiVersion"), value.child("kind"));
    if version.is_empty() {
        errors.push(version.required(""));
    } else if version.str().matches('/').count() > 1 {
        errors.push(version.invalid(format!("unexpected GroupVersion string: {}", version.str())));
    }
    if kind.is_empty() {
        errors.push(kind.required(""));
    } else {
        let mistakes = names::is_dns1035_label(&kind.str().to_ascii_lowercase());
        if !mistakes.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", mistakes.join(","));
            errors.push(kind.invalid(detail));
        }
    }
    let metadata = value.child("metadata");
    let (name, base, namespace) = (metadata.child("name"), metadata.child("generateName"), metadata.child("namespace"));
    errors.extend(names::is_path_segment_prefix(base.str()).into_iter().map(|wrong| base.invalid(wrong)));
    if !name.is_empty() {
        errors.extend(names::is_path_segment_name(name.str()).into_iter().map(|wrong| name.invalid(wrong)));
    }
    if !namespace.is_empty() {
        errors.extend(names::is_dns1123_label(namespace.str()).into_iter().map(|wrong| namespace.invalid(wrong)));
    }
    not_negative(&metadata.child("generation"), errors);
    metadata::validate_beside_names(&metadata, errors);
}

/// Whether the value can be read as metadata.
///
/// # Errors
/// Go's words for why not.
fn decode_metadata(value: &Value) -> Result<(), String> {
    let word = match value {
        Value::Null => return Ok(()),
        Value::Object(_) => {
            let Some(type_id) = schema().named("meta.v1.ObjectMeta") else { return Ok(()) };
            return decode::fragment(value.to_string().as_bytes(), type_id).map(|_| ());
        }
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Err(format!("json: cannot unmarshal {word} into Go value of type v1.ObjectMeta"))
}
