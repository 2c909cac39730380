//! Probes and lifecycle hooks.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateProbe, validateHandler, validateLifecycle)
//! Left out: nothing.

use api::{field::Field, names};

use super::{Errors, looks_like_header, not_negative, one_of, port_number, port_or_name, required};

/// Checks a container's hooks; `grace_seconds` bounds a sleep.
pub(crate) fn lifecycle(lifecycle: &Field<'_>, grace_seconds: Option<i64>, errors: &mut Errors) {
    for name in ["postStart", "preStop"] {
        let hook = lifecycle.child(name);
        if !hook.is_absent() {
            handler(&hook, grace_seconds, errors);
        }
    }
    let signal = lifecycle.child("stopSignal");
    if !signal.is_absent() && !signal.str().starts_with("SIG") {
        errors.push(signal.invalid("must be a valid signal"));
    }
}

/// Checks the probes of a container.
pub(crate) fn probes(container: &Field<'_>, grace_seconds: Option<i64>, errors: &mut Errors) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.child(name);
        if probe.is_absent() {
            continue;
        }
        check_probe(&probe, grace_seconds, errors);
        if name == "readinessProbe" {
            let grace = probe.child("terminationGracePeriodSeconds");
            if !grace.is_absent() {
                errors.push(grace.invalid("must not be set for readinessProbes"));
            }
        } else {
            let threshold = probe.child("successThreshold");
            if threshold.i64().is_some_and(|count| count != 1) {
                errors.push(threshold.invalid("must be 1"));
            }
        }
    }
}

fn check_probe(probe: &Field<'_>, grace_seconds: Option<i64>, errors: &mut Errors) {
    handler(probe, grace_seconds, errors);
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(&probe.child(name), errors);
    }
    let grace = probe.child("terminationGracePeriodSeconds");
    if grace.i64().is_some_and(|seconds| seconds <= 0) {
        errors.push(grace.invalid("must be greater than 0"));
    }
}

/// One of the things that a probe or hook can do, and only one.
fn handler(handler: &Field<'_>, grace_seconds: Option<i64>, errors: &mut Errors) {
    let mut found = false;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = handler.child(name);
        if action.is_absent() {
            continue;
        }
        if std::mem::replace(&mut found, true) {
            errors.push(action.forbidden("may not specify more than 1 handler type"));
            continue;
        }
        match name {
            "exec" => required(&action.child("command"), errors),
            "httpGet" => http_get(&action, errors),
            "tcpSocket" => port_or_name(&action.child("port"), errors),
            "grpc" => port_number(&action.child("port"), action.child("port").i64().unwrap_or_default(), errors),
            _ => sleep(&action, grace_seconds, errors),
        }
    }
    if !found {
        errors.push(handler.required("must specify a handler type"));
    }
}

fn http_get(action: &Field<'_>, errors: &mut Errors) {
    required(&action.child("path"), errors);
    port_or_name(&action.child("port"), errors);
    one_of(&action.child("scheme"), &["HTTP", "HTTPS"], errors);
    let headers = action.child("httpHeaders");
    for header in headers.items() {
        looks_like_header(&headers, header.child("name").str(), errors);
    }
}

fn sleep(action: &Field<'_>, grace_seconds: Option<i64>, errors: &mut Errors) {
    let seconds = action.child("seconds").i64().unwrap_or_default();
    if let Some(grace) = grace_seconds.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(action.invalid_value(seconds, detail));
    }
}

/// Checks the conditions that a pod waits for beside its containers.
pub(crate) fn readiness_gates(gates: &Field<'_>, errors: &mut Errors) {
    for gate in gates.items() {
        super::looks_like(&gate.child("conditionType"), names::is_qualified_name, errors);
    }
}
