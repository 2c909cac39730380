//! What an Ingress and an IngressClass may be.
//!
//! Upstream: pkg/apis/networking/validation/validation.go (ValidateIngress, ValidateIngressClass)
//! Left out: nothing.

use api::{field::Field, names};
use serde_json::Value;

use crate::strategy::validation::{
    Errors, addresses, domain_prefixed_path, immutable, looks_like, optional_like, port_number, required,
};

/// What a path may not hold.
const NOT_IN_PATHS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
/// What a path may not end with.
const NOT_AT_END: [&str; 2] = ["/..", "/."];
const OLD_CLASS: &str = "kubernetes.io/ingress.class";

/// The mistakes of an Ingress.
pub(super) fn ingress(ingress: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = ingress.child("spec");
    let (rules, default) = (spec.child("rules"), spec.child("defaultBackend"));
    if rules.is_empty() && default.is_absent() {
        errors.push(spec.invalid_value(Value::Null, "either `defaultBackend` or `rules` must be specified"));
    }
    if !default.is_absent() {
        backend(&default, &mut errors);
    }
    for rule in rules.items() {
        let host = rule.child("host");
        if addresses::parse_ip(host.str()).is_some() {
            errors.push(host.invalid("must be a DNS name, not an IP address"));
        }
        host_name(&host, &mut errors);
        let http = rule.child("http");
        if !http.is_absent() {
            paths(&http, &mut errors);
        }
    }
    for tls in spec.child("tls").items() {
        for host in tls.child("hosts").items() {
            host_name(&host, &mut errors);
        }
        optional_like(&tls.child("secretName"), names::is_dns1123_subdomain, &mut errors);
    }
    let class = spec.child("ingressClassName");
    if !class.is_absent() {
        looks_like(&class, names::is_dns1123_subdomain, &mut errors);
    }
    errors
}

fn host_name(host: &Field<'_>, errors: &mut Errors) {
    let check =
        if host.str().contains('*') { names::is_wildcard_dns1123_subdomain } else { names::is_dns1123_subdomain };
    optional_like(host, check, errors);
}

fn paths(http: &Field<'_>, errors: &mut Errors) {
    let paths = http.child("paths");
    if paths.is_empty() {
        errors.push(paths.required(""));
    }
    for path in paths.items() {
        let (text, kind) = (path.child("path"), path.child("pathType"));
        match kind.str() {
            "Exact" | "Prefix" => {
                if !text.str().starts_with('/') {
                    errors.push(text.invalid_value(text.str(), "must be an absolute path"));
                }
                for part in NOT_IN_PATHS.iter().filter(|part| text.str().contains(**part)) {
                    errors.push(text.invalid(format!("must not contain '{part}'")));
                }
                for end in NOT_AT_END.iter().filter(|end| text.str().ends_with(**end)) {
                    errors.push(text.invalid(format!("cannot end with '{end}'")));
                }
            }
            "ImplementationSpecific" => {
                if !text.is_empty() && !text.str().starts_with('/') {
                    errors.push(text.invalid("must be an absolute path"));
                }
            }
            "" => errors.push(kind.required("pathType must be specified")),
            _ => errors.push(kind.not_supported(&["Exact", "ImplementationSpecific", "Prefix"])),
        }
        backend(&path.child("backend"), errors);
    }
}

fn backend(backend: &Field<'_>, errors: &mut Errors) {
    let (service, resource) = (backend.child("service"), backend.child("resource"));
    match (service.is_absent(), resource.is_absent()) {
        (false, false) => errors.push(backend.invalid_value("", "cannot set both resource and service backends")),
        (true, true) => errors.push(backend.invalid_value("", "resource or service backend is required")),
        (true, false) => {
            required(&resource.child("kind"), errors);
            required(&resource.child("name"), errors);
        }
        (false, true) => {
            let name = service.child("name");
            if name.is_empty() {
                errors.push(name.required(""));
            } else {
                looks_like(&name, names::is_dns1035_label, errors);
            }
            backend_port(backend, &service.child("port"), errors);
        }
    }
}

fn backend_port(backend: &Field<'_>, port: &Field<'_>, errors: &mut Errors) {
    let (name, number) = (port.child("name"), port.child("number"));
    let given = number.i64().unwrap_or_default();
    match (name.is_empty(), given) {
        (true, 0) => errors.push(backend.required("port name or number is required")),
        (true, given) => port_number(&number, given, errors),
        (false, 0) => looks_like(&name, names::is_port_name, errors),
        (false, _) => errors.push(backend.invalid_value("", "cannot set both port name & port number")),
    }
}

/// The mistakes of a new Ingress: it names its class one way only.
pub(super) fn create(object: &Field<'_>) -> Errors {
    let mut errors = ingress(object);
    let annotation = &object.value["metadata"]["annotations"][OLD_CLASS];
    if annotation.is_string() && !object.value["spec"]["ingressClassName"].is_null() {
        let annotations = object.child("annotations");
        let field = annotations.alias(OLD_CLASS, annotation);
        errors.push(field.invalid("can not be set when the class field is also set"));
    }
    errors
}

/// The mistakes in the status: where the load balancer is reached.
pub(super) fn status(ingress: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let status = ingress.child("status");
    let balancer = status.child("loadBalancer");
    for point in balancer.child("ingress").items() {
        let (ip, name) = (point.child("ip"), point.child("hostname"));
        if !ip.is_empty() {
            addresses::ip(&ip, &mut errors);
        }
        if !name.is_empty() {
            looks_like(&name, names::is_dns1123_subdomain, &mut errors);
            if addresses::parse_ip(name.str()).is_some() {
                errors.push(name.invalid("must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

/// The mistakes of an IngressClass.
pub(super) fn class(class: &Field<'_>) -> Errors {
    const MAX_CONTROLLER: usize = 250;
    let mut errors = Errors::new();
    let spec = class.child("spec");
    let controller = spec.child("controller");
    if controller.str().len() > MAX_CONTROLLER {
        errors.push(controller.too_long(MAX_CONTROLLER));
    }
    domain_prefixed_path(&controller, &mut errors);
    parameters(&spec.child("parameters"), &mut errors);
    errors
}

fn parameters(parameters: &Field<'_>, errors: &mut Errors) {
    if parameters.is_absent() {
        return;
    }
    optional_like(&parameters.child("apiGroup"), names::is_dns1123_subdomain, errors);
    for name in ["kind", "name"] {
        let field = parameters.child(name);
        required(&field, errors);
        optional_like(&field, names::is_path_segment_name, errors);
    }
    let (scope, namespace) = (parameters.child("scope"), parameters.child("namespace"));
    match scope.str() {
        "" => errors.push(scope.required("")),
        "Cluster" if !namespace.is_absent() => {
            errors.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'"));
        }
        "Cluster" => {}
        "Namespace" if namespace.is_empty() => {
            errors.push(namespace.required("`parameters.scope` is set to 'Namespace'"));
        }
        "Namespace" => looks_like(&namespace, names::is_dns1123_label, errors),
        _ => errors.push(scope.not_supported(&["Cluster", "Namespace"])),
    }
}

/// The mistakes in a change of an IngressClass: its controller stays.
pub(super) fn class_update(object: &Field<'_>, current: &Value) -> Errors {
    let mut errors = class(object);
    let spec = object.child("spec");
    immutable(&spec.child("controller"), &current["spec"]["controller"], &mut errors);
    errors
}
