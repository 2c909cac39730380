//! The containers of a pod: regular, init and ephemeral.
//!
//! Upstream: pkg/apis/core/validation/validation.go (validateContainers, validateInitContainers,
//!   validateEphemeralContainers)
//! Left out: nothing.

use std::collections::BTreeSet;

use api::{
    field::{Field, FieldError},
    names,
};

use super::{
    Errors, env, port_number, probes, required, required_like, required_one_of,
    resources::{self, Asker},
    restart_policy, security, volume_mounts,
    volumes::Volumes,
};

/// What the checks of one container look at beside it.
pub(crate) struct Surroundings<'a> {
    pub spec: Field<'a>,
    pub volumes: &'a Volumes<'a>,
    /// The pod's resource claims by name.
    pub claims: BTreeSet<&'a str>,
    pub grace_seconds: Option<i64>,
}

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const FOR_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";

/// Checks the containers of a spec, all three kinds.
pub(crate) fn all(around: &Surroundings<'_>, errors: &mut Errors) {
    let spec = &around.spec;
    let containers = spec.child("containers");
    let inits = spec.child("initContainers");
    regular(&containers, around, errors);
    init(&inits, &containers, around, errors);
    ephemeral(&spec.child("ephemeralContainers"), &[&containers, &inits], around, errors);
}

fn regular(containers: &Field<'_>, around: &Surroundings<'_>, errors: &mut Errors) {
    if containers.is_empty() {
        errors.push(containers.required(""));
        return;
    }
    let mut names = BTreeSet::new();
    for container in containers.items() {
        any(&container, around, errors);
        let name = container.child("name");
        if !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate_value(name.str()));
        }
        hooks_and_probes(&container, around, errors);
        restart_policy::regular(&container, errors);
    }
    let mut ports = BTreeSet::new();
    for container in containers.items() {
        host_ports(&container, &mut ports, errors);
    }
}

fn init(inits: &Field<'_>, containers: &Field<'_>, around: &Surroundings<'_>, errors: &mut Errors) {
    let mut names: BTreeSet<String> = containers.items().map(|each| each.child("name").str().to_owned()).collect();
    for container in inits.items() {
        any(&container, around, errors);
        let (name, policy) = (container.child("name"), container.child("restartPolicy"));
        restart_policy::init(&container, errors);
        if !name.is_empty() && !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate());
        }
        // They run one by one: only ports of the same container clash.
        host_ports(&container, &mut BTreeSet::new(), errors);
        if policy.str() == "Always" {
            hooks_and_probes(&container, around, errors);
            continue;
        }
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            let field = container.child(name);
            if !field.is_absent() {
                errors.push(field.forbidden(FOR_SIDECARS));
            }
        }
    }
}

fn hooks_and_probes(container: &Field<'_>, around: &Surroundings<'_>, errors: &mut Errors) {
    probes::lifecycle(&container.child("lifecycle"), around.grace_seconds, errors);
    probes::probes(container, around.grace_seconds, errors);
}

fn ephemeral(list: &Field<'_>, others: &[&Field<'_>], around: &Surroundings<'_>, errors: &mut Errors) {
    const ALLOWED: [&str; 16] = [
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "env",
        "envFrom",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
    ];
    const NOT_SET: &str = "cannot be set for an Ephemeral Container";
    let targets: BTreeSet<String> = others
        .iter()
        .flat_map(|list| list.items().map(|each| each.child("name").str().to_owned()).collect::<Vec<_>>())
        .collect();
    let mut names = targets.clone();
    for container in list.items() {
        any(&container, around, errors);
        image_without_padding(&container, errors);
        let (name, target) = (container.child("name"), container.child("targetContainerName"));
        if !names.insert(name.str().to_owned()) {
            errors.push(name.duplicate_value(name.str()));
        }
        if !target.is_empty() && !targets.contains(target.str()) {
            errors.push(target.not_found());
        }
        for (field, value) in container.value.as_object().into_iter().flatten() {
            let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            if field != "targetContainerName" && !ALLOWED.contains(&field.as_str()) && !empty {
                errors.push(container.child(field).forbidden(NOT_SET));
            }
        }
        for mount in container.child("volumeMounts").items() {
            for path in ["subPath", "subPathExpr"] {
                if !mount.child(path).is_empty() {
                    errors.push(mount.child(path).forbidden(NOT_SET));
                }
            }
        }
    }
}

/// Pods, not templates, refuse images with blanks around them.
pub(crate) fn image_without_padding(container: &Field<'_>, errors: &mut Errors) {
    let image = container.child("image");
    if image.str().trim() != image.str() {
        errors.push(image.invalid("must not have leading or trailing whitespace"));
    }
}

/// What every container must be.
fn any(container: &Field<'_>, around: &Surroundings<'_>, errors: &mut Errors) {
    required_like(&container.child("name"), names::is_dns1123_label, errors);
    required(&container.child("image"), errors);
    required_one_of(&container.child("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"], errors);
    ports(&container.child("ports"), errors);
    env::variables(&container.child("env"), errors);
    env::sources(&container.child("envFrom"), errors);
    volume_mounts::mounts_and_devices(container, around.volumes, errors);
    required_one_of(&container.child("imagePullPolicy"), &["Always", "IfNotPresent", "Never"], errors);
    resources::requirements(&container.child("resources"), Asker::Container, &around.claims, errors);
    resize_policy(&container.child("resizePolicy"), around.spec.child("restartPolicy").str(), errors);
    security::container_context(&container.child("securityContext"), around.spec.value, errors);
}

fn ports(ports: &Field<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let name = port.child("name");
        if !name.is_empty() {
            let mistakes = names::is_port_name(name.str());
            if mistakes.is_empty() && !seen.insert(name.str().to_owned()) {
                errors.push(name.duplicate());
            }
            errors.extend(mistakes.into_iter().map(|wrong| name.invalid(wrong)));
        }
        let (number, host) = (port.child("containerPort"), port.child("hostPort"));
        match number.i64().unwrap_or_default() {
            0 => errors.push(number.required("")),
            given => port_number(&number, given, errors),
        }
        if let Some(given) = host.i64().filter(|given| *given != 0) {
            port_number(&host, given, errors);
        }
        required_one_of(&port.child("protocol"), &PROTOCOLS, errors);
    }
}

/// Notes the host ports of a container, and that two ask for the same one.
fn host_ports(container: &Field<'_>, taken: &mut BTreeSet<String>, errors: &mut Errors) {
    for port in container.child("ports").items() {
        let host = port.child("hostPort");
        let Some(number) = host.i64().filter(|number| *number != 0) else { continue };
        let key = format!("{}/{}/{number}", port.child("protocol").str(), port.child("hostIP").str());
        if taken.contains(&key) {
            errors.push(host.duplicate_value(key));
        } else {
            taken.insert(key);
        }
    }
}

fn resize_policy(policies: &Field<'_>, restart_policy: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for policy in policies.items() {
        let (resource, restart) = (policy.child("resourceName"), policy.child("restartPolicy"));
        if !seen.insert(resource.str().to_owned()) {
            errors.push(policy.duplicate_value(resource.str()));
        }
        let reported = |error: FieldError| FieldError { field: policies.path(), ..error };
        let mut mistakes = Errors::new();
        required_one_of(&resource, &["cpu", "memory"], &mut mistakes);
        required_one_of(&restart, &["NotRequired", "RestartContainer"], &mut mistakes);
        errors.extend(mistakes.into_iter().map(reported));
        if restart_policy == "Never" && restart.str() != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(policies.invalid_value(restart.str(), detail));
        }
    }
}
