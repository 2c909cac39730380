//! The versions of a kind: their names, and where the mistakes of what they say are reported.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (validateCustomResourceDefinitionSpec, validateCustomResourceDefinitionVersion),
//!   apiextensions-apiserver/pkg/apis/apiextensions/v1/conversion.go
//! Left out: nothing.
//!
//! Upstream's internal type has schema, subresources, columns and selectable fields once in the spec where all versions
//! have them alike, and only else in the versions; the paths of its errors say so. A kind of one version has all alike.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::{
    columns,
    schema::{self, EachCost, parts},
    subresources,
};
use crate::strategy::validation::Errors;

const MAX_WARNING_BYTES: usize = 256;

/// What all versions say alike; None where they differ.
struct Alike<'a> {
    schema: Option<&'a Value>,
    subresources: Option<&'a Value>,
    columns: Option<&'a Value>,
    selectable_fields: Option<&'a Value>,
}

impl<'a> Alike<'a> {
    fn of(versions: &'a Value) -> Alike<'a> {
        let versions = versions.as_array().map(Vec::as_slice).unwrap_or_default();
        let alike = |name: &str| {
            let first = &versions.first()?[name];
            versions.iter().all(|version| &version[name] == first).then_some(first)
        };
        let schema = alike("schema");
        Alike {
            schema,
            subresources: alike("subresources"),
            columns: alike("additionalPrinterColumns"),
            selectable_fields: alike("selectableFields").filter(|_| schema.is_some()),
        }
    }
}

/// The mistakes of each version, in what it does not have in common with all others.
pub(super) fn one_by_one(spec: &Field<'_>, current: Option<&Value>, errors: &mut Errors) {
    let versions = spec.child("versions");
    let alike = Alike::of(versions.value);
    for version in versions.items() {
        let schema = version.child("schema");
        let root = schema.child("openAPIV3Schema");
        if root.is_absent() {
            errors.push(root.required("schemas are required"));
        }
    }
    let preserves = spec.child("preserveUnknownFields");
    let has_default = |schema: &Value| !schema["default"].is_null();
    let has_defaults = |version: Field<'_>| parts::any(&version.value["schema"]["openAPIV3Schema"], &has_default);
    if preserves.bool() && versions.items().any(has_defaults) {
        errors.push(preserves.invalid("must be false in order to use defaults in the schema"));
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for version in versions.items() {
        let name = version.child("name");
        unique &= seen.insert(name.str().to_owned());
        let mistakes = names::is_dns1035_label(name.str());
        if !mistakes.is_empty() {
            errors.push(name.invalid_value(name.str(), mistakes.join(",")));
        }
        one(&version, &alike, current, errors);
    }
    if !unique {
        errors.push(versions.invalid("must contain unique version names"));
    }
    if versions.items().filter(|version| version.child("storage").bool()).count() != 1 {
        errors.push(versions.invalid("must have exactly one version marked as storage version"));
    }
}

fn one(version: &Field<'_>, alike: &Alike<'_>, current: Option<&Value>, errors: &mut Errors) {
    deprecation(version, errors);
    if alike.schema.is_none() {
        let schema = version.child("schema");
        if has_status(version.value) {
            schema::beside_status(&schema, errors);
        }
        schema::validation(&schema, each_cost(version.value, current), errors);
    }
    if alike.subresources.is_none() {
        subresources::subresources(&version.child("subresources"), errors);
    }
    if alike.columns.is_none() {
        columns::columns(&version.child("additionalPrinterColumns"), errors);
    }
    if alike.selectable_fields.is_none() {
        let fields = version.child("selectableFields");
        // A schema that all versions have alike does not stand in the version. What is said then means the opposite.
        let schema = version.value["schema"].get("openAPIV3Schema").filter(|_| alike.schema.is_none());
        let without = "selectableFields may only be set when version.schema.openAPIV3Schema is not included";
        columns::selectable_fields(version, &fields, schema.ok_or(without), errors);
    }
}

/// The mistakes of what all versions have in common.
pub(super) fn all_alike(spec: &Field<'_>, current: Option<&Value>, errors: &mut Errors) {
    let versions = spec.child("versions");
    let alike = Alike::of(versions.value);
    if let Some(schema) = alike.schema {
        let validation = spec.alias("validation", schema);
        if versions.items().any(|version| has_status(version.value)) {
            schema::beside_status(&validation, errors);
        }
        schema::validation(&validation, each_cost(&versions.value[0], current), errors);
    }
    if let Some(value) = alike.subresources {
        subresources::subresources(&spec.alias("subresources", value), errors);
    }
    if let Some(value) = alike.columns {
        columns::columns(&spec.alias("additionalPrinterColumns", value), errors);
    }
    if let Some(value) = alike.selectable_fields {
        let fields = spec.alias("selectableFields", value);
        let schema = alike.schema.and_then(|schema| schema.get("openAPIV3Schema"));
        let without = "selectableFields may only be set when validations.schema is included";
        columns::selectable_fields(spec, &fields, schema.ok_or(without), errors);
    }
}

/// What was accepted before stays accepted, if a release finds the same expression more expensive than the one before.
fn each_cost(version: &Value, current: Option<&Value>) -> EachCost {
    let before = current.and_then(|current| current["spec"]["versions"].as_array()).into_iter().flatten();
    let is_same = |before: &Value| before["name"] == version["name"] && before["schema"] == version["schema"];
    if before.into_iter().any(is_same) { EachCost::IsAccepted } else { EachCost::IsLimited }
}

fn has_status(version: &Value) -> bool {
    !version["subresources"]["status"].is_null()
}

/// A warning is said of deprecated versions, in one printable line.
fn deprecation(version: &Field<'_>, errors: &mut Errors) {
    let warning = version.child("deprecationWarning");
    if warning.is_absent() {
        return;
    }
    if !version.child("deprecated").bool() {
        errors.push(warning.invalid("can only be set for deprecated versions"));
        return;
    }
    if warning.str().len() > MAX_WARNING_BYTES {
        errors.push(warning.invalid(format!("must be <= {MAX_WARNING_BYTES} characters long")));
    }
    if warning.str().is_empty() {
        errors.push(warning.invalid("must not be an empty string"));
    }
    if let Some((at, _)) = warning.str().char_indices().find(|(_, c)| !is_printable(*c)) {
        errors.push(warning.invalid(format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {at}"
        )));
    }
}

/// Whether Rust, and so Go, writes the character as it is. It stands behind another: alone, accents are escaped.
fn is_printable(c: char) -> bool {
    matches!(c, '\\' | '"' | '\'') || format!("a{c}").escape_debug().count() == 2
}
