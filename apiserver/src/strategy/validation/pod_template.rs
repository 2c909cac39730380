//! The pod template of a workload.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePodTemplateSpec), pkg/apis/apps/validation/validation.go
//! Left out: nothing.

use api::field::Field;

use super::{
    Errors, pod_annotations,
    pod_spec::{Holder, pod_spec},
};
use crate::operations::metadata::{validate_annotations, validate_labels};

/// Checks a template. Upstream reports its labels and annotations without `metadata` in the path.
pub(crate) fn pod_template(template: &Field<'_>, errors: &mut Errors) {
    let metadata = &template.value["metadata"];
    validate_labels(&template.alias("labels", &metadata["labels"]), errors);
    let annotations = template.alias("annotations", &metadata["annotations"]);
    validate_annotations(&annotations, errors);
    let spec = template.child("spec");
    pod_annotations::annotations(&annotations, spec.value, errors);
    pod_spec(&spec, Holder::Template, errors);
    pod_annotations::agree_with_fields(annotations.value, &spec, errors);
    let ephemeral = spec.child("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.push(ephemeral.forbidden("ephemeral containers not allowed in pod template"));
    }
}

/// Checks the template of a workload whose pods are replaced forever. `workload` is how upstream calls the kind.
pub(crate) fn lasting_pods(template: &Field<'_>, workload: &str, errors: &mut Errors) {
    let spec = template.child("spec");
    let policy = spec.child("restartPolicy");
    if policy.str() != "Always" {
        errors.push(super::unsupported(&policy, &["Always"]));
    }
    let deadline = spec.child("activeDeadlineSeconds");
    if !deadline.is_absent() {
        errors.push(deadline.forbidden(format!("activeDeadlineSeconds in {workload} is not Supported")));
    }
}
