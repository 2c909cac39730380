//! Services, volumes, claims, nodes, namespaces, config maps, secrets, endpoints.

use serde_json::{Value, json};

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

#[test]
fn hints_of_an_endpoint_name_a_few_zones_and_nodes_once() {
    let hints = |hints: Value| json!({"endpoints": [{"addresses": ["10.0.0.1"], "hints": hints}]});
    let named = |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    let at = "endpoints[0].hints";
    check("EndpointSlice", hints(json!({"forZones": named(&["Zone_1"]), "forNodes": named(&["node.1"])})), &[]);
    check(
        "EndpointSlice",
        hints(json!({"forZones": named(&["a", "a", "-"]), "forNodes": named(&["n", "n", "N"])})),
        &[
            &format!("{at}.forZones[1].name: Duplicate value: \"a\""),
            &format!(
                "{at}.forZones[2].name: Invalid value: \"-\": a valid label must be an empty string or consist of \
                 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
                 '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ),
            &format!("{at}.forNodes[1].name: Duplicate value: \"n\""),
            &format!(
                "{at}.forNodes[2].name: Invalid value: \"N\": a lowercase RFC 1123 subdomain must consist of lower \
                 case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
                 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ),
        ],
    );
    let nine: Vec<String> = (0..9).map(|at| format!("n{at}")).collect();
    let nine = named(&nine.iter().map(String::as_str).collect::<Vec<_>>());
    for field in ["forZones", "forNodes"] {
        let cause = format!("{at}.{field}: Too many: 9: must have at most 8 items");
        check("EndpointSlice", hints(json!({field: nine})), &[&cause]);
    }
}

#[test]
fn an_endpoint_with_a_name_has_a_whole_one_and_none_has_a_topology() {
    let name = |name: &str| json!({"addressType": "FQDN", "endpoints": [{"addresses": [name]}]});
    check("EndpointSlice", name("a.example."), &[]);
    check("EndpointSlice", name(""), &["endpoints[0].addresses[0]: Required value"]);
    check(
        "EndpointSlice",
        name("a."),
        &[
            "endpoints[0].addresses[0]: Invalid value: \"a\": should be a domain with at least two segments separated by dots",
        ],
    );
    let long = "l".repeat(64);
    check(
        "EndpointSlice",
        name(&format!("a.{long}")),
        &[&format!("endpoints[0].addresses[0]: Invalid value: \"{long}\": must be no more than 63 characters")],
    );
    let part = json!({"endpoints": [{"addresses": ["10.0.0.1"], "deprecatedTopology": {"no label": "x"}}]});
    assert_eq!(
        super::made(&super::row("EndpointSlice"), &part)["endpoints"],
        json!([{"addresses": ["10.0.0.1"], "conditions": {}}])
    );
}

#[test]
fn a_volume_in_an_attachment_is_one_of_a_csi_driver_and_of_no_claim() {
    let inlined =
        |volume: Value| json!({"spec": {"source": {"persistentVolumeName": null, "inlineVolumeSpec": volume}}});
    let driver = json!({"driver": "d.example", "volumeHandle": "h"});
    check("VolumeAttachment", inlined(json!({"accessModes": ["ReadWriteOnce"], "csi": driver})), &[]);
    let at = "spec.source.inlineVolumeSpec";
    let never = "may not be specified in the context of inline volumes";
    check(
        "VolumeAttachment",
        inlined(json!({
            "claimRef": {"name": "c"}, "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Delete",
            "nodeAffinity": {"required": {"nodeSelectorTerms": []}}, "storageClassName": "s", "volumeMode": "Block",
            "hostPath": {"path": "/x"}})),
        &[
            &format!("{at}.claimRef: Forbidden: {never}"),
            &format!("{at}.capacity: Forbidden: {never}"),
            &format!("{at}.csi: Required value: has to be specified in the context of inline volumes"),
            &format!("{at}.accessModes: Required value"),
            &format!(
                "{at}.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes"
            ),
            &format!("{at}.nodeAffinity: Forbidden: {never}"),
            &format!("{at}.storageClassName: Forbidden: {never}"),
            &format!(
                "{at}.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline \
                 volumes"
            ),
        ],
    );
    check(
        "VolumeAttachment",
        inlined(json!({"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d.example"}})),
        &[&format!("{at}.csi.volumeHandle: Required value")],
    );
    check(
        "VolumeAttachment",
        json!({"spec": {"attacher": "a_b", "source": {"persistentVolumeName": "V"}}}),
        &[
            "spec.attacher: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.source.persistentVolumeName: Invalid value: \"V\": a lowercase RFC 1123 subdomain must consist of \
             lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
             (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
}

#[test]
fn what_is_said_of_an_attachment_is_short() {
    let row = super::row("VolumeAttachment");
    let current = super::made(&row, &json!({}));
    let mut object = current.clone();
    object["status"] = json!({
        "attached": false, "attachmentMetadata": {"a": "x".repeat(256 << 10)},
        "attachError": {"message": "y".repeat(1025)}, "detachError": {"message": "short", "errorCode": -1}});
    let root = api::field::Field::root(&object);
    let errors = row.strategy.validate_subresource(crate::row::Subresource::Status, &root, &current);
    assert_eq!(
        super::texts(errors),
        [
            "status.attachmentMetadata: Too long: may not be more than 262144 bytes",
            "status.attachError.message: Too long: may not be more than 262144 bytes",
            "status.detachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ]
    );
}

#[test]
fn a_volume_says_since_when_it_is_in_its_phase() {
    const MADE: &str = "2026-01-01T00:00:00Z";
    const NOW: &str = "2026-01-01T00:05:00Z";
    let row = super::row("PersistentVolume");
    let part = json!({"status": {"phase": "Bound", "lastPhaseTransitionTime": NOW}});
    let mut volume = super::valid("PersistentVolume");
    json_patch::merge(&mut volume, &part);
    volume["metadata"]["creationTimestamp"] = MADE.into();
    row.strategy.prepare_for_create(&mut volume);
    assert_eq!(volume["status"], json!({"phase": "Pending", "lastPhaseTransitionTime": MADE}));
    let written = |status: Value| {
        let mut object = volume.clone();
        object["status"] = status;
        row.strategy.stamp(&mut object, &volume, NOW.parse().unwrap());
        object["status"]["lastPhaseTransitionTime"].clone()
    };
    let said = "2026-01-01T00:03:00Z";
    assert_eq!(written(json!({"phase": "Pending"})), MADE, "the phase stays");
    assert_eq!(written(json!({"phase": "Bound"})), NOW, "the phase changes");
    assert_eq!(written(json!({"phase": "Bound", "lastPhaseTransitionTime": MADE})), NOW, "as it was read");
    assert_eq!(written(json!({"phase": "Bound", "lastPhaseTransitionTime": said})), said, "who writes it says so");
    assert_eq!(written(json!({"phase": "Pending", "lastPhaseTransitionTime": said})), said, "and may correct it");
}

#[test]
fn a_load_balancer_serves_ranges_that_can_be_read() {
    const KEY: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let annotated =
        |kind: &str, ranges: &str| json!({"metadata": {"annotations": {KEY: ranges}}, "spec": {"type": kind}});
    let at = format!("metadata.annotations[{KEY}]");
    let form = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    check("Service", annotated("LoadBalancer", " 1.2.3.0/24 , 5.6.0.0/16"), &[]);
    check("Service", annotated("LoadBalancer", ""), &[]);
    check(
        "Service",
        annotated("LoadBalancer", "foo.bar, 5.6.0.0/16, x"),
        &[&format!("{at}: Invalid value: \"foo.bar\": {form}"), &format!("{at}: Invalid value: \"x\": {form}")],
    );
    let only = "Forbidden: may only be used when `type` is 'LoadBalancer'";
    check("Service", annotated("ClusterIP", "1.2.3.0/24"), &[&format!("{at}: {only}")]);
    let field = |ranges: Value| json!({"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}});
    check("Service", field(json!([" 1.2.3.0/24 "])), &[]);
    check(
        "Service",
        field(json!(["1.2.3.0/24", "x"])),
        &[&format!("spec.LoadBalancerSourceRanges[1]: Invalid value: \"x\": {form}")],
    );
    check_update("Service", annotated("LoadBalancer", "x"), json!({"spec": {"sessionAffinity": "ClientIP"}}), &[]);
}
