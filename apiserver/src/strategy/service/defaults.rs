//! What a Service's author may leave out.
//!
//! Upstream: pkg/apis/core/v1/defaults.go (SetDefaults_Service), pkg/registry/core/service/storage/storage.go
//!   (normalizeClusterIPs)
//! Left out: nothing; families are filled in where addresses are given out.

use serde_json::{Value, json};

use crate::strategy::filling::{Fields, fill, fill_text, lacks, object_or_empty, objects_in, spec};

pub(super) fn service(object: &mut Value) {
    let Some(spec) = spec(object) else { return };
    fill_text(spec, "sessionAffinity", "None");
    if spec["sessionAffinity"] == "None" {
        spec.remove("sessionAffinityConfig");
    } else if spec["sessionAffinity"] == "ClientIP" {
        let client = object_or_empty(object_or_empty(spec, "sessionAffinityConfig"), "clientIP");
        fill(client, "timeoutSeconds", 10_800);
    }
    fill_text(spec, "type", "ClusterIP");
    for port in objects_in(spec, "ports") {
        fill_text(port, "protocol", "TCP");
        let unset = match port.get("targetPort") {
            None | Some(Value::Null) => true,
            Some(target) => *target == 0 || *target == "",
        };
        if unset && let Some(number) = port.get("port").cloned() {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let external = !lacks(spec, "externalIPs");
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external) {
        fill_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if has_cluster_ip(spec) {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// Whether the type is one of those that have a cluster IP (or are headless).
pub(super) fn has_cluster_ip(spec: &Fields) -> bool {
    matches!(spec.get("type").and_then(Value::as_str), Some("ClusterIP" | "NodePort" | "LoadBalancer"))
}

/// `clusterIP` is the first of `clusterIPs`: a client that knows only the old field changes both with it.
pub(super) fn normalise_cluster_ips(object: &mut Value, current: Option<&Value>) {
    let Some(spec) = spec(object) else { return };
    let Some(current) = current else {
        if !lacks(spec, "clusterIP") && lacks(spec, "clusterIPs") {
            let first = spec["clusterIP"].clone();
            spec.insert("clusterIPs".to_owned(), json!([first]));
        }
        return;
    };
    let was = current["spec"]["clusterIP"].as_str().unwrap_or_default();
    let is = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let list_is_unchanged = spec.get("clusterIPs").filter(|list| !list.is_null()) == current["spec"].get("clusterIPs");
    if !was.is_empty() && was == is && lacks(spec, "clusterIPs") {
        // A client that knows only the older field has changed something else.
        spec.insert("clusterIPs".to_owned(), current["spec"]["clusterIPs"].clone());
    } else if was.is_empty() && !is.is_empty() && lacks(spec, "clusterIPs") {
        spec.insert("clusterIPs".to_owned(), json!([is]));
    } else if !was.is_empty() && is.is_empty() && list_is_unchanged {
        spec.remove("clusterIPs");
    } else if !was.is_empty() && !is.is_empty() && was != is && list_is_unchanged {
        spec.insert("clusterIPs".to_owned(), json!([is]));
    }
}
