//! What changing the type of a Service does to the fields that only some types have.
//!
//! Upstream: pkg/registry/core/service/strategy.go (patchAllocatedValues, dropTypeDependentFields)
//! Left out: nothing.

use serde_json::{Map, Value};

use super::defaults::has_cluster_ip;
use crate::strategy::filling::{Fields, lacks};

/// A client that leaves out what the server allocated keeps it, as long as the new type has it too.
pub(super) fn keep_allocated(object: &mut Value, current: &Value) {
    let (Some(spec), Some(old)) = (object["spec"].as_object_mut(), current["spec"].as_object()) else { return };
    if has_cluster_ip(old) && has_cluster_ip(spec) {
        for name in ["clusterIP", "clusterIPs"] {
            if lacks(spec, name)
                && let Some(value) = old.get(name)
            {
                spec.insert(name.to_owned(), value.clone());
            }
        }
    }
    if needs_node_port(old) && needs_node_port(spec) {
        let ports = old.get("ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let named_alike = |a: &Value, b: &Map<String, Value>| {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            text(a.get("protocol")) == text(b.get("protocol")) && a.get("port") == b.get("port")
        };
        let taken: Vec<i64> = spec["ports"].as_array().into_iter().flatten().filter_map(node_port).collect();
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(port) = port.as_object_mut() else { continue };
            if port.get("nodePort").and_then(Value::as_i64).unwrap_or_default() != 0 {
                continue;
            }
            let same = ports.iter().find(|old| named_alike(old, port)).and_then(node_port);
            if let Some(number) = same.filter(|number| !taken.contains(number)) {
                port.insert("nodePort".to_owned(), number.into());
            }
        }
    }
    if needs_health_check_port(old) && needs_health_check_port(spec) && is_zero(spec, "healthCheckNodePort") {
        copy(spec, old, "healthCheckNodePort");
    }
}

/// A field that the new type does not have goes away, unless the client set it itself: then validation refuses it.
pub(super) fn drop_what_the_new_type_has_not(object: &mut Value, current: &Value) {
    let (Some(spec), Some(old)) = (object["spec"].as_object_mut(), current["spec"].as_object()) else { return };
    if has_cluster_ip(old) && !has_cluster_ip(spec) && same(spec, old, "clusterIP") && same(spec, old, "clusterIPs") {
        for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(name);
        }
    }
    if needs_node_port(old) && !needs_node_port(spec) && node_ports(spec) == node_ports(old) {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(spec) && same(spec, old, "healthCheckNodePort") {
        spec.remove("healthCheckNodePort");
    }
    let (was, is) = (is_load_balancer(old), is_load_balancer(spec));
    if was && !is {
        for name in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(spec, old, name) {
                spec.remove(name);
            }
        }
    }
    if externally_accessible(old) && !externally_accessible(spec) && same(spec, old, "externalTrafficPolicy") {
        spec.remove("externalTrafficPolicy");
    }
    if has_cluster_ip(old) && !has_cluster_ip(spec) && same(spec, old, "internalTrafficPolicy") {
        spec.remove("internalTrafficPolicy");
    }
}

fn needs_node_port(spec: &Fields) -> bool {
    let allocates = spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    match spec.get("type").and_then(Value::as_str) {
        Some("NodePort") => true,
        Some("LoadBalancer") => allocates,
        _ => false,
    }
}

fn needs_health_check_port(spec: &Fields) -> bool {
    is_load_balancer(spec) && spec.get("externalTrafficPolicy").is_some_and(|policy| policy == "Local")
}

fn is_load_balancer(spec: &Fields) -> bool {
    spec.get("type").is_some_and(|kind| kind == "LoadBalancer")
}

fn externally_accessible(spec: &Fields) -> bool {
    match spec.get("type").and_then(Value::as_str) {
        Some("LoadBalancer" | "NodePort") => true,
        Some("ClusterIP") => !lacks(spec, "externalIPs"),
        _ => false,
    }
}

fn node_port(port: &Value) -> Option<i64> {
    port.get("nodePort").and_then(Value::as_i64).filter(|number| *number != 0)
}

fn node_ports(spec: &Fields) -> Vec<i64> {
    let ports = spec.get("ports").and_then(Value::as_array);
    let mut numbers: Vec<i64> = ports.into_iter().flatten().filter_map(node_port).collect();
    numbers.sort_unstable();
    numbers
}

fn same(spec: &Fields, old: &Fields, name: &str) -> bool {
    spec.get(name) == old.get(name)
}

fn is_zero(spec: &Fields, name: &str) -> bool {
    spec.get(name).and_then(Value::as_i64).unwrap_or_default() == 0
}

fn copy(spec: &mut Fields, old: &Fields, name: &str) {
    if let Some(value) = old.get(name) {
        spec.insert(name.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn allocated_ports_and_addresses_survive_a_client_that_leaves_them_out() {
        let current = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
                                      "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
        let mut sent = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        keep_allocated(&mut sent, &current);
        assert_eq!(sent, current);
    }

    #[test]
    fn a_service_that_becomes_an_external_name_loses_its_addresses() {
        let current = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
                                      "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}});
        let mut sent = current.clone();
        sent["spec"]["type"] = "ExternalName".into();
        drop_what_the_new_type_has_not(&mut sent, &current);
        assert_eq!(sent, json!({"spec": {"type": "ExternalName"}}));
    }
}
