//! Annotations that mean something to a pod: whose mirror it is, what deleting it costs, and the seccomp and AppArmor
//! profiles of releases before fields existed for them.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePodSpecificAnnotations, validateSeccompAnnotationsAndFields,
//!   validateAppArmorAnnotationsAndFieldsMatchOnCreate)
//! Left out: tolerations in an annotation, which nothing reads.

use api::field::{Field, FieldError};
use serde_json::Value;

use super::{Errors, key_to_path};

/// Marks the copy of a pod that its node runs without being asked.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
/// Before the name of a container: its AppArmor profile.
pub(crate) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Checks the annotations of a pod or a template with this spec.
pub(crate) fn annotations(annotations: &Field<'_>, spec: &Value, errors: &mut Errors) {
    if annotations.is_empty() {
        return;
    }
    let mirror = annotations.key(MIRROR);
    if !mirror.is_absent() && spec["nodeName"].as_str().unwrap_or_default().is_empty() {
        errors.push(mirror.invalid("must set spec.nodeName if mirror pod annotation is set"));
    }
    let cost = annotations.key("controller.kubernetes.io/pod-deletion-cost");
    if !cost.is_absent() && !is_deletion_cost(cost.str()) {
        errors.push(cost.invalid("must be a 32bit integer"));
    }
    for (key, profile) in annotations.entries() {
        if key.starts_with(SECCOMP) || key == SECCOMP_OF_POD {
            seccomp(annotations, key, profile.str(), errors);
        }
        if let Some(name) = key.strip_prefix(APP_ARMOR) {
            app_armor(spec, name, &profile, errors);
        }
    }
}

/// A number as upstream accepts it: without a plus or leading zeros.
fn is_deletion_cost(text: &str) -> bool {
    text.parse::<i32>().is_ok_and(|number| number.to_string() == text)
}

fn seccomp(annotations: &Field<'_>, key: &str, profile: &str, errors: &mut Errors) {
    let local = profile.strip_prefix("localhost/");
    let shown = Value::from(local.unwrap_or(profile));
    let field = annotations.alias(key, &shown);
    if local.is_some() {
        key_to_path::descending(&field, errors);
    } else if !matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        errors.push(field.invalid("must be a valid seccomp profile"));
    }
}

fn app_armor(spec: &Value, container: &str, profile: &Field<'_>, errors: &mut Errors) {
    let mut containers = LISTS.into_iter().flat_map(|list| spec[list].as_array().into_iter().flatten());
    if !containers.any(|each| each["name"] == container) {
        errors.push(profile.invalid_value(container, "container not found"));
    }
    let known =
        matches!(profile.str(), "" | "runtime/default" | "unconfined") || profile.str().starts_with("localhost/");
    if !known {
        errors.push(profile.invalid(format!("invalid AppArmor profile name: {:?}", profile.str())));
    }
}

/// Checks that where a profile is named in an annotation and in a field, both are the same.
pub(crate) fn agree_with_fields(annotations: &Value, spec: &Field<'_>, errors: &mut Errors) {
    let names_profile = |key: &String| key == SECCOMP_OF_POD || key.starts_with(SECCOMP) || key.starts_with(APP_ARMOR);
    if !annotations.as_object().is_some_and(|all| all.keys().any(names_profile)) {
        return;
    }
    let of_pod = spec.child("securityContext");
    let profile = of_pod.child("seccompProfile");
    seccomp_agrees(&annotations[SECCOMP_OF_POD], &profile, errors);
    each_container(spec, |name, context| {
        let annotation = annotations.get(format!("{SECCOMP}{name}")).unwrap_or(&Value::Null);
        seccomp_agrees(annotation, &context.child("seccompProfile"), errors);
    });
    if spec.value["os"]["name"] == "windows" {
        return;
    }
    let profile = of_pod.child("appArmorProfile");
    each_container(spec, |name, context| {
        let annotation = annotations.get(format!("{APP_ARMOR}{name}")).unwrap_or(&Value::Null);
        let own = context.child("appArmorProfile");
        let counts = if own.is_absent() { profile.value } else { own.value };
        errors.extend(disagreement(annotation, counts, &own, "apparmor"));
    });
}

fn each_container(spec: &Field<'_>, mut look: impl FnMut(&str, &Field<'_>)) {
    for list in LISTS {
        for container in spec.child(list).items() {
            look(container.child("name").str(), &container.child("securityContext"));
        }
    }
}

fn seccomp_agrees(annotation: &Value, profile: &Field<'_>, errors: &mut Errors) {
    errors.extend(disagreement(annotation, profile.value, profile, "seccomp"));
}

/// In what the annotation and the profile differ, reported at `at`. `what` says of which of the two kinds they are.
fn disagreement(annotation: &Value, profile: &Value, at: &Field<'_>, what: &str) -> Option<FieldError> {
    let said = annotation.as_str()?;
    let local = said.strip_prefix("localhost/");
    let same_type = match profile["type"].as_str()? {
        "Unconfined" => said == "unconfined",
        "RuntimeDefault" => said == "runtime/default" || (what == "seccomp" && said == "docker/default"),
        "Localhost" => local.is_some(),
        _ => return None,
    };
    if !same_type {
        return Some(at.child("type").forbidden(format!("{what} type in annotation and field must match")));
    }
    let differs = profile["type"] == "Localhost" && local != profile["localhostProfile"].as_str();
    differs
        .then(|| at.child("localhostProfile").forbidden(format!("{what} profile in annotation and field must match")))
}
