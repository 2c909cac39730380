//! That what allOf, anyOf, oneOf and not speak of is also described outside of them.
//!
//! Upstream: apiextensions-apiserver/pkg/apiserver/schema/complete.go
//! Left out: nothing.

use api::field::Field;

use crate::strategy::validation::Errors;

/// The mistakes in what the root's conditions speak of, held against the schema itself.
pub(super) fn completeness(conditions: &Field<'_>, schema: &Field<'_>, errors: &mut Errors) {
    nested(&conditions.child("not"), schema, errors);
    for list in ["allOf", "anyOf", "oneOf"] {
        for each in conditions.child(list).items() {
            nested(&each, schema, errors);
        }
    }
}

fn nested(conditions: &Field<'_>, schema: &Field<'_>, errors: &mut Errors) {
    if conditions.is_absent() {
        return;
    }
    if schema.is_absent() {
        errors.push(schema.required(format!("because it is defined in {conditions}")));
        return;
    }
    completeness(conditions, schema, errors);
    nested(&conditions.child("items"), &schema.child("items"), errors);
    let (spoken_of, described) = (conditions.child("properties"), schema.child("properties"));
    for (name, property) in spoken_of.entries() {
        nested(&property, &described.key(name), errors);
    }
}
