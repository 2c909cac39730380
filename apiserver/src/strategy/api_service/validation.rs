//! What an APIService may be.
//!
//! Upstream: kube-aggregator/pkg/apis/apiregistration/validation/validation.go
//! Left out: nothing.

use api::{field::Field, names};

use crate::strategy::validation::{Errors, looks_like, one_of, optional_like, port_number, required, required_like};

/// The mistakes of an APIService.
pub(super) fn api_service(service: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = service.child("spec");
    let (group, version) = (spec.child("group"), spec.child("version"));
    let metadata = service.child("metadata");
    let name = metadata.child("name");
    let expected = format!("{}.{}", version.str(), group.str());
    if name.str() != expected {
        errors.push(name.invalid(format!("must be `spec.version+\".\"+spec.group`: {expected:?}")));
    }
    optional_like(&group, names::is_dns1123_subdomain, &mut errors);
    looks_like(&version, names::is_dns1035_label, &mut errors);
    priority(&spec.child("groupPriorityMinimum"), 20_000, &mut errors);
    priority(&spec.child("versionPriority"), 1000, &mut errors);
    let (bundle, insecure) = (spec.child("caBundle"), spec.child("insecureSkipTLSVerify"));
    let target = spec.child("service");
    if target.is_absent() {
        if !bundle.is_empty() {
            let detail = "local APIServices may not have a caBundle";
            errors.push(bundle.invalid_value(format!("{} bytes", bundle.str().len()), detail));
        }
        if insecure.bool() {
            errors.push(insecure.invalid("local APIServices may not have insecureSkipTLSVerify"));
        }
        return errors;
    }
    required(&target.child("namespace"), &mut errors);
    required(&target.child("name"), &mut errors);
    let port = target.child("port");
    port_number(&port, port.i64().unwrap_or_default(), &mut errors);
    if insecure.bool() && !bundle.is_empty() {
        errors.push(insecure.invalid("may not be true if caBundle is present"));
    }
    errors
}

fn priority(priority: &Field<'_>, most: i64, errors: &mut Errors) {
    let value = priority.i64().unwrap_or_default();
    if value <= 0 || value > most {
        errors.push(priority.invalid_value(value, format!("must be positive and less than {most}")));
    }
}

/// The mistakes in the status.
pub(super) fn status(service: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    for condition in service.child("status").child("conditions").items() {
        required_like(&condition.child("type"), |_| Vec::new(), &mut errors);
        one_of(&condition.child("status"), &["False", "True", "Unknown"], &mut errors);
    }
    errors
}
