use super::*;
use serde_json::{Value, json};

fn check(pod: Value, services: Value, expected: &[(&str, &str)]) {
    let result = resolve_all(pod, services).expect("variables");
    let expected: Vec<_> = expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    assert_eq!(result, expected);
}

fn resolve_all(spec: Value, services: Value) -> Result<Vec<(String, String)>, String> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "shop", "labels": { "app": "web" } },
        "spec": { "containers": [spec] },
    }))
    .expect("a pod");
    let services: Vec<Service> = serde_json::from_value(services).expect("services");
    let map: ConfigMap = serde_json::from_value(json!({ "data": { "K": "v" } })).expect("a config map");
    let file = |path: &str, file: EnvFile| (("v".to_owned(), path.to_owned()), file);
    let files = [
        file("a.env", EnvFile::Text("J='x'\nK='from a file'\n".into())),
        file("b.env", EnvFile::Unreadable("no such file".into())),
        file("c.env", EnvFile::Text("nothing".into())),
    ];
    let sources = Sources {
        config_maps: &BTreeMap::from([("settings".into(), Some(map)), ("absent".into(), None)]),
        secrets: &BTreeMap::new(),
        services: &services,
        pod_ips: &["10.244.0.7".into()],
        host_ips: &["192.168.0.1".into()],
        node: &NodeAmounts { name: "n1".into(), cpu_milli: 2000, memory_bytes: 1 << 30, ephemeral_bytes: 0 },
        files: &BTreeMap::from(files),
    };
    variables(&pod, &pod_spec::containers(&pod)[0], &sources)
}

#[test]
fn values_refer_to_variables_before_them() {
    let env =
        json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "$(A)2 $(C)" }, { "name": "C", "value": "3" }]);
    check(json!({ "name": "main", "env": env }), json!([]), &[("A", "1"), ("B", "12 $(C)"), ("C", "3")]);
}

#[test]
fn config_maps_give_keys_with_a_prefix() {
    let container = json!({ "name": "main", "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "settings" } }] });
    check(container, json!([]), &[("P_K", "v")]);
}

#[test]
fn a_missing_config_map_is_an_error_unless_optional() {
    let reference = |optional: bool| {
        json!({ "name": "main", "env": [{ "name": "A", "valueFrom": {
            "configMapKeyRef": { "name": "absent", "key": "K", "optional": optional } } }] })
    };
    assert_eq!(resolve_all(reference(false), json!([])), Err("configmap \"absent\" not found".into()));
    check(reference(true), json!([]), &[]);
}

#[test]
fn a_variable_comes_from_a_file_of_a_volume() {
    let reference = |volume: &str, path: &str, key: &str, optional: bool| {
        json!({ "name": "main", "env": [{ "name": "A", "valueFrom": {
            "fileKeyRef": { "volumeName": volume, "path": path, "key": key, "optional": optional } } }] })
    };
    check(reference("v", "a.env", "K", false), json!([]), &[("A", "from a file")]);
    check(reference("v", "a.env", "L", true), json!([]), &[]);
    let refused = |container: Value, why: &str| assert_eq!(resolve_all(container, json!([])), Err(why.into()));
    refused(reference("v", "a.env", "L", false), "environment variable key \"L\" not found in file \"a.env\"");
    for optional in [false, true] {
        refused(reference("v", "b.env", "K", optional), "couldn't parse env file: no such file");
        refused(
            reference("v", "c.env", "K", optional),
            "couldn't parse env file: invalid environment variable format at line 1",
        );
        refused(reference("w", "a.env", "K", optional), "cannot find the volume \"w\" referenced by FileKeyRef");
    }
}

#[test]
fn the_downward_api_tells_fields_and_limits() {
    let env = json!([
        { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
        { "name": "CPUS", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu" } } },
        { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "MEM", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
        { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
    ]);
    let container = json!({ "name": "main", "env": env, "resources": { "limits": { "cpu": "1500m" } } });
    let expected = [("APP", "web"), ("CPUS", "2"), ("IP", "10.244.0.7"), ("MEM", "1024"), ("NODE", "n1")];
    check(container, json!([]), &expected);
}

#[test]
fn services_of_the_namespace_and_the_api_server_are_named() {
    let services = json!([
        { "metadata": { "name": "my-db", "namespace": "shop" }, "spec": { "clusterIP": "10.96.0.5",
            "ports": [{ "name": "sql", "port": 3306, "protocol": "TCP" }] } },
        { "metadata": { "name": "other", "namespace": "else" }, "spec": { "clusterIP": "10.96.0.6", "ports": [{ "port": 1 }] } },
        { "metadata": { "name": "headless", "namespace": "shop" }, "spec": { "clusterIP": "None", "ports": [{ "port": 1 }] } },
    ]);
    let expected = [
        ("MY_DB_PORT", "tcp://10.96.0.5:3306"),
        ("MY_DB_PORT_3306_TCP", "tcp://10.96.0.5:3306"),
        ("MY_DB_PORT_3306_TCP_ADDR", "10.96.0.5"),
        ("MY_DB_PORT_3306_TCP_PORT", "3306"),
        ("MY_DB_PORT_3306_TCP_PROTO", "tcp"),
        ("MY_DB_SERVICE_HOST", "10.96.0.5"),
        ("MY_DB_SERVICE_PORT", "3306"),
        ("MY_DB_SERVICE_PORT_SQL", "3306"),
    ];
    check(json!({ "name": "main" }), services, &expected);
}
