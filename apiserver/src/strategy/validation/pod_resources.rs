//! What a pod asks for as a whole, beside its containers.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validatePodResources, validatePodResourceConsistency)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    resources::{Bound, aggregate},
};

use super::{
    Errors,
    resources::{self, Asker},
};

/// Checks `resources` of a pod's spec; a pod without them is fine. `claims` are the names of the pod's claims.
pub(crate) fn pod_resources(spec: &Field<'_>, claims: &BTreeSet<&str>, errors: &mut Errors) {
    let whole = spec.child("resources");
    if whole.is_absent() {
        return;
    }
    if spec.value["os"]["name"] == "windows" {
        errors.push(whole.forbidden("may not be set for a windows pod"));
        return;
    }
    if !whole.child("claims").is_absent() {
        errors.push(whole.child("claims").forbidden("claims may not be set for Resources at pod-level"));
    }
    resources::requirements(&whole, Asker::Pod, claims, errors);
    covers(spec, &whole, Bound::Requests, errors);
    covers(spec, &whole, Bound::Limits, errors);
    no_container_has_more(spec, &whole, errors);
}

/// What is asked for the pod must be enough for its containers together. Their limits may add up to more, but not those
/// of huge pages, of which there are no more than were asked for.
fn covers(spec: &Field<'_>, whole: &Field<'_>, bound: Bound, errors: &mut Errors) {
    let list = whole.child(bound.name());
    for (name, needed) in aggregate(spec.value, bound) {
        let given = list.key(&name);
        let counts = bound == Bound::Requests || resources::is_huge_pages(&name);
        let enough = resources::quantity(&given);
        if counts && !given.is_absent() && needed > enough {
            let detail = format!("must be greater than or equal to aggregate container {} of {needed}", bound.name());
            errors.push(given.invalid_value(enough.to_string(), detail));
        }
    }
}

/// No container may have a limit above the pod's. Upstream reports that below the pod's resources.
fn no_container_has_more(spec: &Field<'_>, whole: &Field<'_>, errors: &mut Errors) {
    let limits = whole.child("limits");
    for (index, container) in spec.child("containers").items().enumerate() {
        for (name, limit) in container.child("resources").child("limits").entries() {
            let of_pod = limits.key(name);
            let (own, most) = (resources::quantity(&limit), resources::quantity(&of_pod));
            if !of_pod.is_absent() && own > most {
                let field = format!("{}.containers[{index}][{name}].limits", whole.path());
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(FieldError { field, ..limit.invalid_value(own.to_string(), detail) });
            }
        }
    }
}
