//! Services, volumes, claims, nodes, namespaces, config maps, secrets, endpoints.

use serde_json::json;

use super::{check, check_update};

#[test]
fn services() {
    check("Service", json!({"spec": {"ports": null}}), &["spec.ports: Required value"]);
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 0}]}}),
        &[
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    );
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30001}]}}),
        &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    );
    check(
        "Service",
        json!({"spec": {"type": "ExternalName", "externalName": "a.example", "clusterIP": "10.96.0.5"}}),
        &["spec.clusterIPs: Forbidden: may not be set for ExternalName services"],
    );
    check(
        "Service",
        json!({"spec": {"type": "LoadBalancer", "clusterIP": "None"}}),
        &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services"],
    );
    check(
        "Service",
        json!({"spec": {"clusterIP": "x"}}),
        &["spec.clusterIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"],
    );
    check(
        "Service",
        json!({"spec": {"externalIPs": ["127.0.0.1"]}}),
        &["spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"],
    );
    let ip = |ip: &str| json!({"spec": {"clusterIP": ip, "clusterIPs": [ip]}});
    check_update(
        "Service",
        ip("10.96.0.5"),
        ip("10.96.0.6"),
        &["spec.clusterIPs[0]: Invalid value: [\"10.96.0.6\"]: may not change once set"],
    );
}

#[test]
fn claims() {
    check(
        "PersistentVolumeClaim",
        json!({"spec": {"accessModes": null, "resources": null}}),
        &[
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ],
    );
    let size = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
    check(
        "PersistentVolumeClaim",
        size("0"),
        &["spec.resources[storage]: Invalid value: \"0\": must be greater than zero"],
    );
    check_update(
        "PersistentVolumeClaim",
        json!({}),
        size("2Gi"),
        &["spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName \
           for bound claims\n"],
    );
    let mut bound = size("2Gi");
    bound["status"] = json!({"phase": "Bound"});
    check_update("PersistentVolumeClaim", json!({}), bound, &[]);
    check_update("PersistentVolumeClaim", json!({}), json!({"spec": {"volumeName": "v"}}), &[]);
    let mut shrunk = size("1Gi");
    shrunk["status"] = json!({"phase": "Bound", "capacity": {"storage": "2Gi"}});
    let mut before = size("2Gi");
    before["status"] = shrunk["status"].clone();
    // The status of a new claim is the server's: what is below it is only known from the current object.
    check_update("PersistentVolumeClaim", before, shrunk, &[]);
}

#[test]
fn volumes() {
    check(
        "PersistentVolume",
        json!({"spec": {"hostPath": null}}),
        &["spec: Required value: must specify a volume type"],
    );
    check(
        "PersistentVolume",
        json!({"spec": {"nfs": {"server": "s", "path": "/p"}}}),
        &["spec.nfs: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        "PersistentVolume",
        json!({"spec": {"capacity": {"storage": "-1"}}}),
        &[
            "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            "spec.capacity[storage]: Invalid value: \"-1\": must be greater than zero",
        ],
    );
    check(
        "PersistentVolume",
        json!({"spec": {"hostPath": null, "local": {"path": "/x"}}}),
        &["spec.nodeAffinity: Required value: Local volume requires node affinity"],
    );
    check_update(
        "PersistentVolume",
        json!({}),
        json!({"spec": {"hostPath": {"path": "/y"}}}),
        &["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"],
    );
}

#[test]
fn nodes() {
    let taints = json!({"spec": {"taints": [{"key": "a", "effect": "X"}]}});
    check(
        "Node",
        taints,
        &[
            r#"metadata.taints[0].effect: Unsupported value: "X": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#,
        ],
    );
    check(
        "Node",
        json!({"spec": {"podCIDR": "x"}}),
        &["spec.podCIDRs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"],
    );
    check_update(
        "Node",
        json!({"spec": {"podCIDR": "10.0.0.0/24"}}),
        json!({"spec": {"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"]}}),
        &["spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"],
    );
    check_update("Node", json!({}), json!({"spec": {"podCIDR": "10.0.1.0/24", "unschedulable": true}}), &[]);
    check_update(
        "Node",
        json!({"spec": {"providerID": "a"}}),
        json!({"spec": {"providerID": "b"}}),
        &["spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"],
    );
}

#[test]
fn namespaces() {
    check(
        "Namespace",
        json!({"spec": {"finalizers": ["foo"]}}),
        &[
            "spec.finalizers: Invalid value: \"foo\": name is neither a standard finalizer name nor is it fully qualified",
        ],
    );
}

#[test]
fn config_maps_and_secrets() {
    let key = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
               'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    check("ConfigMap", json!({"data": {"a b": ""}}), &[&format!("data[a b]: Invalid value: \"a b\": {key}")]);
    check(
        "ConfigMap",
        json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}}),
        &["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"],
    );
    let frozen = json!({"immutable": true, "data": {"a": "x"}});
    check_update(
        "ConfigMap",
        frozen.clone(),
        json!({"data": {"a": "y"}, "immutable": false}),
        &[
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ],
    );
    check(
        "Secret",
        json!({"type": "kubernetes.io/tls"}),
        &["data[tls.crt]: Required value", "data[tls.key]: Required value"],
    );
    check_update("Secret", json!({}), json!({"type": "a/b"}), &["type: Invalid value: \"a/b\": field is immutable"]);
}

#[test]
fn endpoints_and_slices() {
    check(
        "Endpoints",
        json!({"subsets": [{"ports": [{"port": 80}]}]}),
        &["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
    );
    check(
        "EndpointSlice",
        json!({"endpoints": [{"addresses": ["::1"]}]}),
        &["endpoints[0].addresses[0]: Invalid value: \"::1\": must be a valid IPv4 address"],
    );
    check_update(
        "EndpointSlice",
        json!({}),
        json!({"addressType": "FQDN", "endpoints": null}),
        &["addressType: Invalid value: \"FQDN\": field is immutable"],
    );
}
