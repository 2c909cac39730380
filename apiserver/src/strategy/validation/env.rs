//! Environment variables and where their values come from.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector,
//!   validateFileKeySelector, validateFileKeyRefVolumes)
//! Left out: nothing.

use api::{field::Field, names, quantity::Quantity};

use super::{Errors, key_to_path, looks_like, required, required_like, unsupported, volume_mounts};

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What a downward API volume may show.
pub(crate) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// All that the downward API knows by name, with and without a subscript.
const CONVERTIBLE: [&str; 13] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
];
const BYTE_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Checks the variables of a container.
pub(crate) fn variables(env: &Field<'_>, errors: &mut Errors) {
    for variable in env.items() {
        required_like(&variable.child("name"), names::is_env_var_name, errors);
        let from = variable.child("valueFrom");
        if !from.is_absent() {
            value_from(&from, !variable.child("value").is_empty(), errors);
        }
    }
}

fn value_from(from: &Field<'_>, has_value: bool, errors: &mut Errors) {
    let mut sources = 0;
    let mut source = |name: &str| {
        let present = !from.child(name).is_absent();
        sources += usize::from(present);
        present
    };
    if source("fieldRef") {
        field_selector(&from.child("fieldRef"), &ENV_FIELDS, errors);
    }
    if source("resourceFieldRef") {
        resource_selector(&from.child("resourceFieldRef"), Place::Variable, errors);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if source(name) {
            key_selector(&from.child(name), errors);
        }
    }
    if source("fileKeyRef") {
        file_selector(&from.child("fileKeyRef"), errors);
    }
    let complaint = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if has_value => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(from.invalid_value("", complaint));
}

fn key_selector(selector: &Field<'_>, errors: &mut Errors) {
    looks_like(&selector.child("name"), names::is_dns1123_subdomain, errors);
    required_like(&selector.child("key"), names::is_config_map_key, errors);
}

fn file_selector(selector: &Field<'_>, errors: &mut Errors) {
    required_like(&selector.child("key"), names::is_env_var_name, errors);
    required_like(&selector.child("volumeName"), names::is_dns1123_label, errors);
    let path = selector.child("path");
    required(&path, errors);
    key_to_path::no_backsteps(&path, errors);
}

/// The files that variables are read from lie in `emptyDir` volumes of the pod.
pub(crate) fn file_volumes(spec: &Field<'_>, errors: &mut Errors) {
    let volumes = spec.value["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.child(list).items() {
            for variable in container.child("env").items() {
                let from = variable.child("valueFrom");
                let selector = from.child("fileKeyRef");
                if selector.is_absent() {
                    continue;
                }
                let name = selector.child("volumeName");
                match volumes.iter().rfind(|volume| volume["name"] == name.str()) {
                    None => errors.push(volume_mounts::missing(&name)),
                    Some(volume) if volume["emptyDir"].is_null() => {
                        errors.push(name.invalid("referenced volume must be of type emptyDir"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Checks a reference to a field of the pod; `supported` are those without a subscript.
pub(crate) fn field_selector(selector: &Field<'_>, supported: &[&str], errors: &mut Errors) {
    let path = selector.child("fieldPath");
    if path.is_empty() {
        errors.push(path.required(""));
        return;
    }
    let (name, subscript) = match path.str().strip_suffix("']").and_then(|rest| rest.split_once("['")) {
        Some((name, subscript)) => (name, Some(subscript)),
        None => (path.str(), None),
    };
    if !CONVERTIBLE.contains(&name) && name != "status.podIPs" {
        let detail = format!("error converting fieldPath: field label not supported: {}", path.str());
        errors.push(path.invalid(detail));
        return;
    }
    match (name, subscript) {
        ("metadata.annotations", Some(key)) => {
            let lower = key.to_ascii_lowercase();
            errors.extend(
                names::is_qualified_name(&lower).into_iter().map(|wrong| selector.invalid_value(&*lower, wrong)),
            );
        }
        ("metadata.labels", Some(key)) => {
            errors.extend(names::is_qualified_name(key).into_iter().map(|wrong| selector.invalid_value(key, wrong)));
        }
        (_, Some(_)) => {
            let detail = format!("error converting fieldPath: field label does not support subscript: {}", path.str());
            errors.push(path.invalid(detail));
        }
        (name, None) if !supported.contains(&name) => errors.push(unsupported(&path, supported)),
        _ => {}
    }
}

/// Where a reference to a container's resources stands: a volume has to name the container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Variable,
    Volume,
}

/// Checks a reference to a container's resources.
pub(crate) fn resource_selector(selector: &Field<'_>, place: Place, errors: &mut Errors) {
    let (container, resource) = (selector.child("containerName"), selector.child("resource"));
    let huge_pages =
        resource.str().starts_with("limits.hugepages-") || resource.str().starts_with("requests.hugepages-");
    if place == Place::Volume && container.is_empty() {
        errors.push(container.required(""));
    } else if resource.is_empty() {
        errors.push(resource.required(""));
    } else if !RESOURCE_FIELDS.contains(&resource.str()) && !huge_pages {
        errors.push(resource.not_supported(&RESOURCE_FIELDS));
    }
    divisor(&selector.child("divisor"), resource.str(), errors);
}

fn divisor(divisor: &Field<'_>, resource: &str, errors: &mut Errors) {
    let Ok(quantity) = Quantity::parse(divisor.str()) else { return };
    if quantity.milli_value() == 0 {
        return;
    }
    let (allowed, what): (&[&str], &str) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&BYTE_DIVISORS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&BYTE_DIVISORS, "local ephemeral storage"),
        _ if resource.contains(".hugepages-") => (&BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&quantity.to_string().as_str()) {
        let list = if what == "cpu" { "1m and 1".to_owned() } else { allowed.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {what} resource");
        errors.push(divisor.invalid_value(resource, detail));
    }
}

/// Checks the sources of whole sets of variables.
pub(crate) fn sources(sources: &Field<'_>, errors: &mut Errors) {
    for source in sources.items() {
        super::optional_like(&source.child("prefix"), names::is_env_var_name, errors);
        let mut count = 0;
        for name in ["configMapRef", "secretRef"] {
            let reference = source.child(name);
            if !reference.is_absent() {
                count += 1;
                required_like(&reference.child("name"), names::is_dns1123_subdomain, errors);
            }
        }
        match count {
            0 => errors.push(sources.invalid_value("", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(sources.invalid_value("", "may not have more than one field specified at a time")),
        }
    }
}
