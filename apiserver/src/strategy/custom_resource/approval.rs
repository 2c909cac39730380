//! Groups of the Kubernetes community: who defines a kind in one says that it was approved, or that it was not.
//!
//! Upstream: apiextensions-apiserver/pkg/apihelpers/helpers.go (GetAPIApprovalState),
//!   apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (validateAPIApproval)
//! Left out: nothing.

use api::field::Field;
use serde_json::Value;

use crate::strategy::validation::Errors;

const ANNOTATION: &str = "api-approved.kubernetes.io";

#[derive(PartialEq)]
enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

/// The mistakes in how a definition speaks of its approval; one that says what it said before makes none.
pub(super) fn approval(definition: &Field<'_>, current: Option<&Value>, errors: &mut Errors) {
    let (metadata, spec) = (definition.child("metadata"), definition.child("spec"));
    let annotations = metadata.child("annotations");
    let (group, annotation) = (spec.child("group"), annotations.key(ANNOTATION));
    if !is_of_community(group.str()) {
        return;
    }
    let said = state(annotation.str());
    let before =
        current.map(|current| state(current["metadata"]["annotations"][ANNOTATION].as_str().unwrap_or_default()));
    if before.as_ref() == Some(&said) {
        return;
    }
    const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
    match said {
        Approval::Missing => {
            errors.push(
                annotation.required(format!("protected groups must have approval annotation {ANNOTATION:?}, {SEE}")),
            );
        }
        Approval::Invalid => errors.push(annotation.invalid(format!(
            "protected groups must have approval annotation {ANNOTATION:?} with either a URL or a reason starting with \
             \"unapproved\", {SEE}"
        ))),
        Approval::Bypassed | Approval::Approved => {}
    }
}

fn is_of_community(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

fn state(annotation: &str) -> Approval {
    let is_url = || {
        let url: Option<http::Uri> = annotation.parse().ok();
        url.is_some_and(|url| url.scheme().is_some() && url.host().is_some_and(|host| !host.is_empty()))
    };
    if annotation.is_empty() {
        Approval::Missing
    } else if annotation.starts_with("unapproved") {
        Approval::Bypassed
    } else if is_url() {
        Approval::Approved
    } else {
        Approval::Invalid
    }
}
