//! The subresources of a version: where its scale is found.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
//!   (ValidateCustomResourceDefinitionSubresources, validateSimpleJSONPath)
//! Left out: nothing.

use api::field::Field;

use crate::strategy::validation::Errors;

/// The mistakes of the subresources of a version.
pub(super) fn subresources(subresources: &Field<'_>, errors: &mut Errors) {
    let scale = subresources.child("scale");
    if scale.is_absent() {
        return;
    }
    required_path_under(".spec", &scale.child("specReplicasPath"), errors);
    required_path_under(".status", &scale.child("statusReplicasPath"), errors);
    let selector = scale.child("labelSelectorPath");
    if !selector.is_empty() && simple_path(&selector, errors) {
        let path = selector.str();
        if !path.starts_with(".spec.") && !path.starts_with(".status.") {
            errors.push(selector.invalid("should be a json path under either .spec or .status"));
        }
    }
}

fn required_path_under(parent: &str, path: &Field<'_>, errors: &mut Errors) {
    if path.is_empty() {
        errors.push(path.required(""));
    } else if simple_path(path, errors) && !path.str().starts_with(&format!("{parent}.")) {
        errors.push(path.invalid(format!("should be a json path under {parent}")));
    }
}

/// Whether a path that is not empty begins as one of a field; says so if not.
pub(super) fn simple_path(path: &Field<'_>, errors: &mut Errors) -> bool {
    let is_simple = path.str().starts_with('.');
    if !is_simple {
        errors.push(path.invalid("must be a simple json path starting with ."));
    }
    is_simple
}
