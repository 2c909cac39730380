//! The spec of a pod, in a Pod or in the template of a workload.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidatePodSpec)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::{
    Errors, affinity, containers, dns, env, in_range, operating_system, optional_like, pod_resources, probes,
    required_one_of, resources, security, volumes::volumes,
};
use crate::operations::metadata::validate_labels;

/// Whose spec it is: templates are checked more leniently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    /// A pod of this name.
    Pod(&'a str),
    Template,
}

/// Checks a pod's spec.
pub(crate) fn pod_spec(spec: &Field<'_>, holder: Holder<'_>, errors: &mut Errors) {
    let grace = spec.child("terminationGracePeriodSeconds");
    if grace.is_absent() {
        errors.push(grace.required(""));
    }
    let pod_name = if let Holder::Pod(name) = holder { name } else { "" };
    let volume_list = spec.child("volumes");
    let volumes = volumes(&volume_list, pod_name, errors);
    let claim_list = spec.child("resourceClaims");
    resource_claims(&claim_list, errors);
    let claims = spec.value["resourceClaims"].as_array().into_iter().flatten();
    let claims: BTreeSet<&str> = claims.filter_map(|claim| claim["name"].as_str()).collect();
    let around = containers::Surroundings { spec: *spec, volumes: &volumes, claims, grace_seconds: grace.i64() };
    containers::all(&around, errors);
    pod_resources::pod_resources(spec, &around.claims, errors);
    host_network_ports(spec, holder, errors);
    required_one_of(&spec.child("restartPolicy"), &["Always", "OnFailure", "Never"], errors);
    let dns_policy = spec.child("dnsPolicy");
    required_one_of(&dns_policy, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
    validate_labels(&spec.child("nodeSelector"), errors);
    security::pod_context(&spec.child("securityContext"), spec, errors);
    affinity::affinity(&spec.child("affinity"), errors);
    dns::config(&spec.child("dnsConfig"), dns_policy.str(), errors);
    probes::readiness_gates(&spec.child("readinessGates"), errors);
    scheduling_gates(&spec.child("schedulingGates"), errors);
    affinity::spread_constraints(&spec.child("topologySpreadConstraints"), errors);
    operating_system::host_processes(spec, errors);
    host_users(spec, errors);
    hostname_override(spec, errors);
    optional_like(&spec.child("serviceAccountName"), names::is_dns1123_subdomain, errors);
    optional_like(&spec.child("nodeName"), names::is_dns1123_subdomain, errors);
    in_range(&spec.child("activeDeadlineSeconds"), 1, i64::from(i32::MAX), errors);
    optional_like(&spec.child("hostname"), names::is_dns1123_label, errors);
    optional_like(&spec.child("subdomain"), names::is_dns1123_label, errors);
    affinity::tolerations(&spec.child("tolerations"), errors);
    dns::host_aliases(&spec.child("hostAliases"), errors);
    optional_like(&spec.child("priorityClassName"), names::is_dns1123_subdomain, errors);
    let runtime_class = spec.child("runtimeClassName");
    if !runtime_class.is_absent() {
        super::looks_like(&runtime_class, names::is_dns1123_subdomain, errors);
    }
    let preemption = spec.child("preemptionPolicy");
    if !preemption.is_absent() {
        required_one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    }
    resources::overhead(&spec.child("overhead"), errors);
    operating_system::rules_of(spec, errors);
    env::file_volumes(spec, errors);
}

fn resource_claims(claims: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.child("name");
        if name.is_empty() {
            errors.push(name.required(""));
        } else if seen.insert(name.str().to_owned()) {
            super::looks_like(&name, names::is_dns1123_label, errors);
        } else {
            errors.push(name.duplicate());
        }
        let (direct, template) = (claim.child("resourceClaimName"), claim.child("resourceClaimTemplateName"));
        match (direct.is_absent(), template.is_absent()) {
            (false, false) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(claim.invalid(detail));
            }
            (true, true) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(claim.invalid(detail));
            }
            _ => {}
        }
        for field in [&direct, &template].into_iter().filter(|field| !field.is_absent()) {
            super::looks_like(field, names::is_dns1123_subdomain, errors);
        }
    }
}

/// With the host's network, a port of a container is a port of the host.
fn host_network_ports(spec: &Field<'_>, holder: Holder<'_>, errors: &mut Errors) {
    if !spec.child("hostNetwork").bool() {
        return;
    }
    for container in spec.child("containers").items() {
        for port in container.child("ports").items() {
            let host = port.child("hostPort");
            let (given, inside) =
                (host.i64().unwrap_or_default(), port.child("containerPort").i64().unwrap_or_default());
            let in_pod = matches!(holder, Holder::Pod(_));
            if (in_pod || given != 0) && given != inside {
                errors.push(host.invalid_value(given, "must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

fn scheduling_gates(gates: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.child("name");
        let mistakes = names::is_qualified_name(name.str());
        errors.extend(mistakes.into_iter().map(|wrong| gate.invalid_value(name.str(), wrong)));
        if !seen.insert(name.str().to_owned()) {
            errors.push(gate.duplicate_value(name.str()));
        }
    }
}

/// A pod with users of its own shares no other namespace of the host, and has no block devices: their owners would be
/// the host's.
fn host_users(spec: &Field<'_>, errors: &mut Errors) {
    const DETAIL: &str = "when `hostUsers` is false";
    if spec.value["hostUsers"] != Value::Bool(false) {
        return;
    }
    for (name, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.child(name).bool() {
            errors.push(spec.child(shown).forbidden(DETAIL));
        }
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.child(list).items() {
            let devices = container.child("volumeDevices");
            if !devices.is_empty() {
                errors.push(devices.forbidden(DETAIL));
            }
        }
    }
}

/// The name that the pod's containers see instead of one made of its own; Linux has 64 bytes for it.
fn hostname_override(spec: &Field<'_>, errors: &mut Errors) {
    const MAX_LENGTH: usize = 64;
    let name = spec.child("hostnameOverride");
    if name.is_absent() {
        return;
    }
    if spec.child("setHostnameAsFQDN").bool() {
        errors.push(name.forbidden("may not be specified when setHostnameAsFQDN is true"));
    }
    if spec.child("hostNetwork").bool() {
        errors.push(name.forbidden("may not be specified when hostNetwork is true"));
    }
    if name.str().len() > MAX_LENGTH {
        errors.push(name.too_long(MAX_LENGTH));
    }
    super::looks_like(&name, names::is_dns1123_subdomain, errors);
}
