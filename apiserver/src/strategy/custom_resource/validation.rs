//! What a CustomResourceDefinition may be, and what of it may change.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//! Left out: nothing.
//!
//! Paths are those of upstream's internal type: what all versions have alike stands in the spec there.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::{
    approval,
    conversion::{self, CaBundle},
    versions,
};
use crate::strategy::validation::{Errors, immutable, looks_like, required, required_one_of};

/// The mistakes of a new CustomResourceDefinition.
pub(super) fn definition(definition: &Field<'_>) -> Errors {
    definition_after(definition, None)
}

fn definition_after(definition: &Field<'_>, current: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (definition.child("metadata"), definition.child("spec"));
    let (group, names) = (spec.child("group"), spec.child("names"));
    let (name, plural) = (metadata.child("name"), names.child("plural"));
    if name.str() != format!("{}.{}", plural.str(), group.str()) {
        errors.push(name.invalid("must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        errors.push(group.required(""));
    } else {
        let mistakes = names::is_dns1123_subdomain(group.str());
        if !mistakes.is_empty() {
            errors.push(group.invalid(mistakes.join(",")));
        } else if !group.str().contains('.') {
            errors.push(group.invalid("should be a domain with at least one dot"));
        }
    }
    required_one_of(&spec.child("scope"), &["Cluster", "Namespaced"], &mut errors);
    versions::one_by_one(&spec, current, &mut errors);
    for field in ["plural", "singular", "kind", "listKind"] {
        required(&names.child(field), &mut errors);
    }
    accepted_names(&names, &mut errors);
    versions::all_alike(&spec, current, &mut errors);
    // Until the kind is served, a bundle may be wrong: some controller is about to write the right one.
    let ca_bundle = current.map_or(CaBundle::MayBeWrong, CaBundle::after);
    conversion::conversion(&spec, ca_bundle, &mut errors);
    status(definition, &mut errors);
    stored_versions(definition, &mut errors);
    approval::approval(definition, current, &mut errors);
    let preserves = spec.child("preserveUnknownFields");
    if preserves.bool() {
        errors.push(preserves.invalid(
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    errors
}

fn accepted_names(names: &Field<'_>, errors: &mut Errors) {
    for field in ["plural", "singular"] {
        let name = names.child(field);
        let mistakes = names::is_dns1035_label(name.str());
        if !name.is_empty() && !mistakes.is_empty() {
            errors.push(name.invalid(mistakes.join(",")));
        }
    }
    for field in ["kind", "listKind"] {
        let name = names.child(field);
        let mistakes = names::is_dns1035_label(&name.str().to_ascii_lowercase());
        if !name.is_empty() && !mistakes.is_empty() {
            let detail = format!("may have mixed case, but should otherwise match: {}", mistakes.join(","));
            errors.push(name.invalid(detail));
        }
    }
    for name in names.child("shortNames").items() {
        looks_like(&name, names::is_dns1035_label, errors);
    }
    let (kind, list) = (names.child("kind"), names.child("listKind"));
    if !kind.is_empty() && kind.str() == list.str() {
        errors.push(list.invalid("kind and listKind may not be the same"));
    }
    for name in names.child("categories").items() {
        looks_like(&name, names::is_dns1035_label, errors);
    }
}

/// The mistakes of a status: the names that were accepted are names.
pub(super) fn status(definition: &Field<'_>, errors: &mut Errors) {
    let status = definition.child("status");
    accepted_names(&status.child("acceptedNames"), errors);
}

/// The version in which objects are stored is remembered, and no such version is given up.
fn stored_versions(definition: &Field<'_>, errors: &mut Errors) {
    let (spec, status) = (definition.child("spec"), definition.child("status"));
    let (versions, stored) = (spec.child("versions"), status.child("storedVersions"));
    if stored.is_empty() {
        errors.push(stored.invalid_value(Value::Null, "must have at least one stored version"));
        return;
    }
    let names = versions.value.as_array().into_iter().flatten().map(|each| &each["name"]);
    let known: BTreeSet<&str> = names.map(|name| name.as_str().unwrap_or_default()).collect();
    let remembered = stored.value.as_array().into_iter().flatten();
    let remembered: BTreeSet<&str> = remembered.map(|name| name.as_str().unwrap_or_default()).collect();
    for version in versions.items().filter(|each| each.child("storage").bool()) {
        let name = version.child("name").str();
        if !remembered.contains(name) {
            errors.push(stored.invalid(format!("must have the storage version {name}")));
        }
    }
    for version in stored.items() {
        let name = version.str();
        if !known.contains(name) {
            errors.push(version.invalid(format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {name} and removes \
                 {name} from status.storedVersions"
            )));
        }
    }
}

/// The mistakes in a change of a CustomResourceDefinition: what its objects are named by stays.
pub(super) fn definition_update(definition: &Field<'_>, current: &Value) -> Errors {
    let mut errors = definition_after(definition, Some(current));
    let spec = definition.child("spec");
    let names = spec.child("names");
    if is_established(current) {
        immutable(&spec.child("scope"), &current["spec"]["scope"], &mut errors);
        immutable(&names.child("kind"), &current["spec"]["names"]["kind"], &mut errors);
    }
    immutable(&spec.child("group"), &current["spec"]["group"], &mut errors);
    immutable(&names.child("plural"), &current["spec"]["names"]["plural"], &mut errors);
    errors
}

/// Whether the kind is served.
pub(super) fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|each| each["type"] == "Established").any(|each| each["status"] == "True")
}
