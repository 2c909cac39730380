//! CustomResourceDefinitions.
//!
//! Upstream: apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go,
//!   apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go
//! Left out: nothing of the object; serving the resource comes with its controller.

mod approval;
mod columns;
mod conversion;
mod schema;
mod subresources;
pub(crate) mod validation;
mod value;
mod versions;
mod warnings;

use api::field::{Field, FieldError};
use serde_json::{Value, json};

use super::{
    Generation, Strategy,
    filling::{fill_text, object_in, object_or_empty, spec},
    keep_all_but, keep_metadata, keep_status,
    webhooks::service_port_default,
};
use crate::row::Subresource;

pub(crate) struct Definitions;

impl Strategy for Definitions {
    fn defaults(&self, object: &mut Value) {
        let Some(spec) = spec(object) else { return };
        let names = object_or_empty(spec, "names");
        let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        fill_text(names, "singular", &kind.to_ascii_lowercase());
        if !kind.is_empty() {
            fill_text(names, "listKind", &format!("{kind}List"));
        }
        let conversion = object_or_empty(spec, "conversion");
        fill_text(conversion, "strategy", "None");
        if let Some(config) = object_in(conversion, "webhook").and_then(|webhook| object_in(webhook, "clientConfig")) {
            service_port_default(config);
        }
    }

    fn prepare_for_create(&self, object: &mut Value) {
        let versions = object["spec"]["versions"].as_array().into_iter().flatten();
        let stored: Vec<Value> =
            versions.filter(|each| each["storage"] == true).map(|each| each["name"].clone()).collect();
        object["status"] =
            json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored});
    }

    fn prepare_for_update(&self, object: &mut Value, current: &Value) {
        keep_status(object, current);
        // A version in which objects may be stored stays among them until somebody has migrated them.
        let versions = object["spec"]["versions"].as_array().cloned().unwrap_or_default();
        let stored = object["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
        let new = versions.into_iter().filter(|each| each["storage"] == true).map(|mut each| each["name"].take());
        let new: Vec<Value> = new.filter(|name| !stored.contains(name)).collect();
        if !new.is_empty() {
            object["status"]["storedVersions"] = [stored, new].concat().into();
        }
    }

    fn prepare_for_subresource(&self, _: Subresource, object: &mut Value, current: &Value) {
        keep_all_but(object, current, &["status", "metadata"]);
        keep_metadata(object, current);
    }

    fn generation(&self) -> Generation {
        Generation::OnSpecChange
    }

    fn validate(&self, object: &Field<'_>) -> Vec<FieldError> {
        validation::definition(object)
    }

    fn validate_update(&self, object: &Field<'_>, current: &Value) -> Vec<FieldError> {
        validation::definition_update(object, current)
    }

    fn validate_subresource(&self, _: Subresource, object: &Field<'_>, _: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        validation::status(object, &mut errors);
        errors
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        warnings::of_new(object)
    }

    fn warnings_of_change(&self, object: &Value, current: &Value) -> Vec<String> {
        warnings::of_change(object, current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_kind_and_a_new_storage_version_is_remembered() {
        let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage});
        let mut object = json!({"spec": {"names": {"kind": "Foo"}, "versions": [version("v1", true)]}});
        Definitions.defaults(&mut object);
        assert_eq!(object["spec"]["names"], json!({"kind": "Foo", "singular": "foo", "listKind": "FooList"}));
        assert_eq!(object["spec"]["conversion"], json!({"strategy": "None"}));
        Definitions.prepare_for_create(&mut object);
        assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
        let current = object.clone();
        object["spec"]["versions"] = json!([version("v1", false), version("v2", true)]);
        Definitions.prepare_for_update(&mut object, &current);
        assert_eq!(object["status"]["storedVersions"], json!(["v1", "v2"]));
    }
}
