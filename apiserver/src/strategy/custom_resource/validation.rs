//! What a CustomResourceDefinition may be, and what of it may change.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//! Left out: what a schema may say below its root, defaults in schemas, printer columns and selectable fields.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::{
    validation::{Errors, immutable, looks_like, one_of, required, required_one_of},
    webhooks::validation::{webhook_service, webhook_url},
};

/// The mistakes of a CustomResourceDefinition.
pub(super) fn definition(definition: &Field<'_>) -> Errors {
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
    versions(&spec.child("versions"), &mut errors);
    for field in ["plural", "singular", "kind", "listKind"] {
        required(&names.child(field), &mut errors);
    }
    accepted_names(&names, &mut errors);
    conversion(&spec.child("conversion"), &mut errors);
    let preserves = spec.child("preserveUnknownFields");
    if preserves.bool() {
        errors.push(preserves.invalid(
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    errors
}

fn versions(versions: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    let mut unique = true;
    for version in versions.items() {
        let name = version.child("name");
        unique &= seen.insert(name.str().to_owned());
        let mistakes = names::is_dns1035_label(name.str());
        if !mistakes.is_empty() {
            errors.push(name.invalid_value(name.str(), mistakes.join(",")));
        }
        let schema = version.child("schema");
        let root = schema.child("openAPIV3Schema");
        if root.is_absent() {
            errors.push(root.required("schemas are required"));
        } else {
            schema_root(&root, errors);
        }
    }
    let storage = versions.items().filter(|version| version.child("storage").bool()).count();
    if !unique {
        errors.push(versions.invalid("must contain unique version names"));
    }
    if storage != 1 {
        errors.push(versions.invalid("must have exactly one version marked as storage version"));
    }
}

fn schema_root(root: &Field<'_>, errors: &mut Errors) {
    let kind = root.child("type");
    if kind.is_empty() {
        errors.push(kind.required("must not be empty at the root"));
    } else if kind.str() != "object" {
        errors.push(kind.invalid("must be object at the root"));
    }
}

fn accepted_names(names: &Field<'_>, errors: &mut Errors) {
    for field in ["plural", "singular"] {
        let name = names.child(field);
        if !name.is_empty() {
            looks_like(&name, names::is_dns1035_label, errors);
        }
    }
    for list in ["shortNames", "categories"] {
        for name in names.child(list).items() {
            looks_like(&name, names::is_dns1035_label, errors);
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
    let (kind, list) = (names.child("kind"), names.child("listKind"));
    if !kind.is_empty() && kind.str() == list.str() {
        errors.push(list.invalid("kind and listKind may not be the same"));
    }
}

fn conversion(conversion: &Field<'_>, errors: &mut Errors) {
    if conversion.is_absent() {
        return;
    }
    let (strategy, webhook) = (conversion.child("strategy"), conversion.child("webhook"));
    one_of(&strategy, &["None", "Webhook"], errors);
    if strategy.str() != "Webhook" {
        if !webhook.is_absent() {
            errors.push(webhook.forbidden("should not be set when strategy is not set to Webhook"));
        }
        return;
    }
    let config = webhook.child("clientConfig");
    let (url, service) = (config.child("url"), config.child("service"));
    if url.is_absent() == service.is_absent() {
        errors.push(config.required("exactly one of url or service is required"));
    } else if service.is_absent() {
        webhook_url(&url, errors);
    } else {
        webhook_service(&service, errors);
    }
    let versions = webhook.child("conversionReviewVersions");
    if versions.is_empty() {
        errors.push(versions.required(""));
    } else if !versions.items().any(|version| matches!(version.str(), "v1" | "v1beta1")) {
        errors.push(versions.invalid("must include at least one of v1, v1beta1"));
    }
}

/// The mistakes in a change of a CustomResourceDefinition: what its objects are named by stays.
pub(super) fn definition_update(definition: &Field<'_>, current: &Value) -> Errors {
    let mut errors = self::definition(definition);
    let spec = definition.child("spec");
    let names = spec.child("names");
    let established = current["status"]["conditions"].as_array().into_iter().flatten();
    let established = established.filter(|each| each["type"] == "Established").any(|each| each["status"] == "True");
    if established {
        immutable(&spec.child("scope"), &current["spec"]["scope"], &mut errors);
        immutable(&names.child("kind"), &current["spec"]["names"]["kind"], &mut errors);
    }
    immutable(&spec.child("group"), &current["spec"]["group"], &mut errors);
    immutable(&names.child("plural"), &current["spec"]["names"]["plural"], &mut errors);
    let versions = spec.child("versions");
    let stored = definition.value["status"]["storedVersions"].as_array().into_iter().flatten();
    for version in stored.filter_map(Value::as_str) {
        if !versions.items().any(|each| each.child("name").str() == version) {
            let detail = format!("must have version {version} because it is listed in status.storedVersions");
            errors.push(versions.invalid(detail));
        }
    }
    errors
}
