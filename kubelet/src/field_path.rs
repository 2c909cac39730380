//! What the downward API tells a pod about itself: its fields, and the resources of its containers.
//!
//! Upstream: pkg/fieldpath, pkg/api/v1/resource/helpers.go
//! Left out: huge pages.

use std::collections::BTreeMap;
use std::fmt::Write;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::pod_spec;
use crate::resources::{Side, amount};

/// What a limit that isn't set falls back to: the node's allocatable, in millicores and bytes.
#[derive(Debug, Clone, Default)]
pub struct NodeAmounts {
    pub name: String,
    pub cpu_milli: i64,
    pub memory_bytes: i64,
    pub ephemeral_bytes: i64,
}

/// The value of a field such as `metadata.name` or `metadata.labels['app']`.
///
/// # Errors
/// There is no such field.
pub fn of_pod(pod: &Pod, path: &str, pod_ips: &[String], host_ips: &[String], node: &str) -> Result<String, String> {
    let empty = BTreeMap::new();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&empty);
    let annotations = pod.metadata.annotations.as_ref().unwrap_or(&empty);
    if let Some(key) = subscript(path, "metadata.labels") {
        return Ok(labels.get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = subscript(path, "metadata.annotations") {
        return Ok(annotations.get(key).cloned().unwrap_or_default());
    }
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    match path {
        "metadata.name" => Ok(pod_spec::name(pod).into()),
        "metadata.namespace" => Ok(pod_spec::namespace(pod).into()),
        "metadata.uid" => Ok(pod_spec::uid(pod).into()),
        "metadata.labels" => Ok(lines(labels)),
        "metadata.annotations" => Ok(lines(annotations)),
        "spec.nodeName" => Ok(node.into()),
        "spec.serviceAccountName" => {
            Ok(pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_default())
        }
        "status.podIP" => Ok(first(pod_ips)),
        "status.podIPs" => Ok(pod_ips.join(",")),
        "status.hostIP" => Ok(first(host_ips)),
        "status.hostIPs" => Ok(host_ips.join(",")),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// The value of `limits.cpu` and the like, counted in the divisor and rounded up.
///
/// # Errors
/// There is no such resource, or the divisor is none.
pub fn of_resource(
    pod: &Pod,
    container: &Container,
    selector: &ResourceFieldSelector,
    node: &NodeAmounts,
) -> Result<String, String> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => pod_spec::container(pod, name).ok_or_else(|| format!("container {name} not found"))?,
        None => container,
    };
    let (side, resource) = match selector.resource.split_once('.') {
        Some(("limits", resource)) => (Side::Limit, resource),
        Some(("requests", resource)) => (Side::Request, resource),
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let fallback = match (side, resource) {
        (Side::Limit, "cpu") => node.cpu_milli,
        (Side::Limit, "memory") => node.memory_bytes,
        (Side::Limit, "ephemeral-storage") => node.ephemeral_bytes,
        (Side::Request, "cpu" | "memory" | "ephemeral-storage") => 0,
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let value = amount(container, resource, side).unwrap_or(fallback);
    let divisor = match selector.divisor.as_ref() {
        Some(written) => Quantity::parse(&written.0).map_err(|error| error.to_string())?,
        None => Quantity::default(),
    };
    // Millicores are divided by millicores, bytes by bytes; a divisor of 0 stands for 1.
    let divisor = if resource == "cpu" {
        if divisor.is_zero() { 1000 } else { divisor.milli_value() }
    } else if divisor.is_zero() {
        1
    } else {
        divisor.value()
    };
    Ok(((value + divisor - 1) / divisor.max(1)).to_string())
}

fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// `key="value"` lines, sorted by key, the values quoted as Go does.
fn lines(map: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{separator}{key}={}", quoted(value));
    }
    text
}

fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}
