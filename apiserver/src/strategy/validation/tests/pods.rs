//! Pods: containers, resources, probes, volumes, scheduling, and what of a pod may change.

use api::field::Field;
use serde_json::{Value, json};

use super::{check, check_update, row, texts};
use crate::row::Subresource;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const IMMUTABLE: &str = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
     tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

/// A pod whose one container has these fields beside name and image.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "c", "image": "nginx"});
    json_patch::merge(&mut container, &fields);
    json!({"spec": {"containers": [container]}})
}

#[test]
fn a_container_says_what_it_is() {
    check("Pod", json!({"spec": {"containers": null}}), &["spec.containers: Required value"]);
    check("Pod", container(json!({"name": null})), &["spec.containers[0].name: Required value"]);
    check("Pod", container(json!({"image": null})), &["spec.containers[0].image: Required value"]);
    check(
        "Pod",
        container(json!({"name": "A_b"})),
        &[&format!("spec.containers[0].name: Invalid value: \"A_b\": {LABEL}")],
    );
    check(
        "Pod",
        container(json!({"image": " nginx"})),
        &["spec.containers[0].image: Invalid value: \" nginx\": must not have leading or trailing whitespace"],
    );
    let twice = json!({"spec": {"containers": [{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]}});
    check("Pod", twice, &["spec.containers[1].name: Duplicate value: \"c\""]);
    check(
        "Pod",
        container(json!({"imagePullPolicy": "Sometimes"})),
        &[
            r#"spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never""#,
        ],
    );
}

#[test]
fn ports_are_numbers_with_unique_names() {
    let ports = |ports: Value| container(json!({"ports": ports}));
    check("Pod", ports(json!([{"containerPort": 0}])), &["spec.containers[0].ports[0].containerPort: Required value"]);
    check(
        "Pod",
        ports(json!([{"containerPort": 65536, "hostPort": -1}])),
        &[
            "spec.containers[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
        ],
    );
    check(
        "Pod",
        ports(json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}])),
        &["spec.containers[0].ports[1].name: Duplicate value: \"a\""],
    );
    check(
        "Pod",
        ports(json!([{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}])),
        &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//5\""],
    );
}

#[test]
fn resources_are_known_not_negative_and_within_limits() {
    let resources = |resources: Value| container(json!({"resources": resources}));
    check(
        "Pod",
        resources(json!({"limits": {"cpu": "-1"}})),
        &[
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    check(
        "Pod",
        resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
        &["spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
    );
    check(
        "Pod",
        resources(json!({"requests": {"example.com/gpu": "1"}})),
        &["spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"],
    );
    check(
        "Pod",
        resources(json!({"requests": {"storage": "1"}})),
        &[
            "spec.containers[0].resources.requests[storage]: Invalid value: \"storage\": must be a standard resource for containers",
        ],
    );
}

/// A pod that asks for `whole` and whose containers ask for `each`.
fn whole(whole: Value, each: &[Value]) -> Value {
    let container = |(index, resources)| json!({"name": format!("c{index}"), "image": "a", "resources": resources});
    let containers: Vec<Value> = each.iter().enumerate().map(container).collect();
    json!({"spec": {"resources": whole, "containers": containers}})
}

#[test]
fn a_whole_pod_asks_for_cpu_memory_and_huge_pages() {
    const AT: &str = "spec.resources";
    check("Pod", whole(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}), &[json!({})]), &[]);
    let supported = r#"supported values: "cpu", "hugepages-", "memory""#;
    check(
        "Pod",
        whole(json!({"requests": {"ephemeral-storage": "1Gi"}}), &[json!({})]),
        &[&format!("{AT}.requests[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": {supported}")],
    );
    check(
        "Pod",
        whole(json!({"requests": {"cpu": "2", "memory": "-1"}, "limits": {"cpu": "1", "memory": "1"}}), &[json!({})]),
        &[
            &format!("{AT}.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"),
            &format!("{AT}.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0"),
        ],
    );
    check(
        "Pod",
        whole(json!({"requests": {"hugepages-2Mi": "3Mi"}, "limits": {"hugepages-2Mi": "2Mi"}}), &[json!({})]),
        &[
            &format!(
                "{AT}.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi"
            ),
            &format!("{AT}.requests: Invalid value: \"3Mi\": must be equal to hugepages-2Mi limit of 2Mi"),
            &format!("{AT}: Forbidden: HugePages require cpu or memory"),
        ],
    );
    let claims = json!({"spec": {"resources": {"claims": [{"name": "a"}]}, "resourceClaims": [{"name": "a", "resourceClaimName": "b"}]}});
    check("Pod", claims, &["spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level"]);
    let mut windows = whole(json!({"limits": {"foo": "1"}}), &[json!({})]);
    windows["spec"]["os"] = json!({"name": "windows"});
    check("Pod", windows, &["spec.resources: Forbidden: may not be set for a windows pod"]);
}

#[test]
fn a_whole_pod_has_no_less_than_its_containers() {
    const AT: &str = "spec.resources";
    let cpu = |request: &str| json!({"requests": {"cpu": request, "memory": "1Gi"}});
    check("Pod", whole(cpu("3"), &[json!({"requests": {"cpu": "1"}}), json!({"requests": {"cpu": "2"}})]), &[]);
    check(
        "Pod",
        whole(cpu("2"), &[cpu("1"), cpu("1500m")]),
        &[
            &format!(
                "{AT}.requests[cpu]: Invalid value: \"2\": must be greater than or equal to aggregate container requests of 2500m"
            ),
            &format!(
                "{AT}.requests[memory]: Invalid value: \"1Gi\": must be greater than or equal to aggregate container requests of 2Gi"
            ),
        ],
    );
    let mut init = whole(cpu("2"), &[json!({})]);
    init["spec"]["initContainers"] = json!([{"name": "i", "image": "a", "resources": {"requests": {"cpu": "3"}}}]);
    check(
        "Pod",
        init,
        &[&format!(
            "{AT}.requests[cpu]: Invalid value: \"2\": must be greater than or equal to aggregate container requests of 3"
        )],
    );
    // Limits of containers may add up to more than the pod's, but none is above it.
    let limits = |cpu: &str| json!({"limits": {"cpu": cpu}, "requests": {"cpu": "1"}});
    check("Pod", whole(limits("3"), &[limits("3")]), &[]);
    check(
        "Pod",
        whole(
            json!({"limits": {"cpu": "3"}}),
            &[json!({"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}), limits("2")],
        ),
        &[],
    );
    check(
        "Pod",
        whole(limits("2"), &[json!({}), limits("3")]),
        &[&format!(
            "{AT}.containers[1][cpu].limits: Invalid value: \"3\": must be less than or equal to pod limits of 2"
        )],
    );
    let pages = |count: &str| json!({"limits": {"cpu": "1", "hugepages-2Mi": count}});
    check(
        "Pod",
        whole(
            json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2", "hugepages-2Mi": "4Mi"}}),
            &[pages("4Mi"), pages("2Mi")],
        ),
        &[
            &format!(
                "{AT}.requests[hugepages-2Mi]: Invalid value: \"4Mi\": must be greater than or equal to aggregate container requests of 6Mi"
            ),
            &format!(
                "{AT}.limits[hugepages-2Mi]: Invalid value: \"4Mi\": must be greater than or equal to aggregate container limits of 6Mi"
            ),
        ],
    );
}

#[test]
fn what_a_whole_pod_asks_for_does_not_change() {
    let asks = |cpu: &str| json!({"spec": {"resources": {"requests": {"cpu": cpu}}}});
    check_update("Pod", asks("1"), asks("1000m"), &[]);
    check_update("Pod", asks("1"), asks("2"), &[IMMUTABLE]);
    check_update("Pod", json!({}), asks("1"), &[IMMUTABLE]);
}

#[test]
fn a_probe_does_one_thing_with_sensible_numbers() {
    let probe = |probe: Value| container(json!({"livenessProbe": probe}));
    check("Pod", probe(json!({})), &["spec.containers[0].livenessProbe: Required value: must specify a handler type"]);
    check(
        "Pod",
        probe(json!({"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}})),
        &["spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
    );
    check(
        "Pod",
        probe(json!({"exec": {"command": ["a"]}, "successThreshold": 2, "initialDelaySeconds": -1})),
        &[
            "spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
}

#[test]
fn mounts_refer_to_volumes_that_are_there() {
    let mount = |mount: Value| container(json!({"volumeMounts": [mount]}));
    check(
        "Pod",
        mount(json!({"name": "v", "mountPath": "/x"})),
        &["spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
    );
    let volume = |volume: Value| json!({"spec": {"volumes": [volume]}});
    check("Pod", volume(json!({"name": "v", "secret": {}})), &["spec.volumes[0].secret.secretName: Required value"]);
    check(
        "Pod",
        volume(json!({"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}})),
        &["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    );
    check(
        "Pod",
        volume(
            json!({"name": "v", "configMap": {"name": "c", "defaultMode": 512, "items": [{"key": "k", "path": "../a"}]}}),
        ),
        &[
            "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
            "spec.volumes[0].configMap.items[0].path: Invalid value: \"../a\": must not contain '..'",
        ],
    );
}

#[test]
fn a_variable_may_come_from_a_file_of_an_empty_dir() {
    const AT: &str = "spec.containers[0].env[0].valueFrom";
    let with = |from: Value, value: &str, volume: Value| {
        let mut pod = container(json!({"env": [{"name": "A", "value": value, "valueFrom": from}]}));
        pod["spec"]["volumes"] = json!([volume]);
        pod
    };
    let file = |fields: Value| {
        let mut selector = json!({"volumeName": "v", "path": "a/b.env", "key": "K"});
        json_patch::merge(&mut selector, &fields);
        json!({ "fileKeyRef": selector })
    };
    let empty = || json!({"name": "v", "emptyDir": {}});
    check("Pod", with(file(json!({"optional": true})), "", empty()), &[]);
    // Upstream refuses no absolute path, whatever the field's description says.
    check("Pod", with(file(json!({"path": "/a", "key": "any.thing else"})), "", empty()), &[]);
    check(
        "Pod",
        with(file(json!({"volumeName": null, "path": null, "key": null})), "", empty()),
        &[
            &format!("{AT}.fileKeyRef.key: Required value"),
            &format!("{AT}.fileKeyRef.volumeName: Required value"),
            &format!("{AT}.fileKeyRef.path: Required value"),
            &format!("{AT}.fileKeyRef.volumeName: Not found: \"\""),
        ],
    );
    let characters = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    check(
        "Pod",
        with(file(json!({"volumeName": "V_", "path": "a/../b", "key": "a=b"})), "", empty()),
        &[
            &format!("{AT}.fileKeyRef.key: Invalid value: \"a=b\": {characters}"),
            &format!("{AT}.fileKeyRef.volumeName: Invalid value: \"V_\": {LABEL}"),
            &format!("{AT}.fileKeyRef.path: Invalid value: \"a/../b\": must not contain '..'"),
            &format!("{AT}.fileKeyRef.volumeName: Not found: \"V_\""),
        ],
    );
    check(
        "Pod",
        with(file(json!({})), "", json!({"name": "v", "hostPath": {"path": "/x"}})),
        &[&format!("{AT}.fileKeyRef.volumeName: Invalid value: \"v\": referenced volume must be of type emptyDir")],
    );
    let init = json!({"name": "i", "image": "a", "env": [{"name": "A", "valueFrom": file(json!({}))}]});
    check(
        "Pod",
        json!({"spec": {"initContainers": [init]}}),
        &["spec.initContainers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: \"v\""],
    );
    check(
        "Pod",
        with(file(json!({})), "x", empty()),
        &[&format!("{AT}: Invalid value: \"\": may not be specified when `value` is not empty")],
    );
    let mut two = file(json!({}));
    two["secretKeyRef"] = json!({"name": "s", "key": "k"});
    check(
        "Pod",
        with(two, "", empty()),
        &[&format!("{AT}: Invalid value: \"\": may not have more than one field specified at a time")],
    );
    let all = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
    check("Pod", with(json!({}), "", empty()), &[&format!("{AT}: Invalid value: \"\": must specify one of: {all}")]);
}

#[test]
fn a_container_may_have_a_restart_policy_of_its_own() {
    const AT: &str = "spec.containers[0]";
    for policy in ["Always", "OnFailure", "Never"] {
        check("Pod", container(json!({ "restartPolicy": policy })), &[]);
        check("Pod", json!({"spec": {"initContainers": [{"name": "i", "image": "a", "restartPolicy": policy}]}}), &[]);
    }
    let supported = r#"supported values: "Always", "Never", "OnFailure""#;
    check(
        "Pod",
        container(json!({"restartPolicy": "Foo"})),
        &[&format!("{AT}.restartPolicy: Unsupported value: \"Foo\": {supported}")],
    );
    check(
        "Pod",
        json!({"spec": {"initContainers": [{"name": "i", "image": "a", "restartPolicy": "Foo"}]}}),
        &[&format!("spec.initContainers[0].restartPolicy: Unsupported value: \"Foo\": {supported}")],
    );
}

#[test]
fn restart_rules_stand_beside_a_policy_and_name_exit_codes() {
    const AT: &str = "spec.containers[0]";
    const NO_POLICY: &str = "restartPolicy: Required value: must specify restartPolicy when restart rules are used";
    let good = || json!({"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}});
    let with = |rules: Value| container(json!({"restartPolicy": "Never", "restartPolicyRules": rules}));
    check("Pod", with(json!([good(), {"action": "Restart", "exitCodes": {"operator": "NotIn"}}])), &[]);
    check("Pod", container(json!({"restartPolicyRules": [good()]})), &[&format!("{AT}.{NO_POLICY}")]);
    check(
        "Pod",
        with(json!([{"action": "RestartAllContainers"}, {"exitCodes": {}}])),
        &[
            &format!(
                "{AT}.restartPolicyRules[0].action: Unsupported value: \"RestartAllContainers\": supported values: \"Restart\""
            ),
            &format!("{AT}.restartPolicyRules[0].exitCodes: Required value: must be specified"),
            &format!("{AT}.restartPolicyRules[1].action: Unsupported value: \"\": supported values: \"Restart\""),
            &format!(
                "{AT}.restartPolicyRules[1].exitCodes.operator: Unsupported value: \"\": supported values: \"In\", \"NotIn\""
            ),
        ],
    );
    let codes = |count: i32| json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": (0..count).collect::<Vec<_>>()}}]);
    check("Pod", with(codes(255)), &[]);
    check(
        "Pod",
        with(codes(256)),
        &[&format!("{AT}.restartPolicyRules[0].exitCodes.values: Too long: may not be more than 255 bytes")],
    );
    check("Pod", with(vec![good(); 20].into()), &[]);
    check(
        "Pod",
        with(vec![good(); 21].into()),
        &[&format!("{AT}.restartPolicyRules: Too long: may not be more than 20 bytes")],
    );
    let init = |policy: Value| {
        let mut init = json!({"name": "i", "image": "a", "restartPolicyRules": [good()]});
        json_patch::merge(&mut init, &json!({ "restartPolicy": policy }));
        json!({"spec": {"initContainers": [init]}})
    };
    check("Pod", init("OnFailure".into()), &[]);
    check("Pod", init(Value::Null), &[&format!("spec.initContainers[0].{NO_POLICY}")]);
    let sidecar = "restartPolicyRules are not allowed for init containers with restart policy Always";
    check("Pod", init("Always".into()), &[&format!("spec.initContainers[0].restartPolicyRules: Forbidden: {sidecar}")]);
}

#[test]
fn a_container_that_ended_comes_back_if_its_rules_or_its_policy_or_the_pod_s_say_so() {
    let row = row("Pod");
    let refused = |spec: Value, list: &str, exit_code: i64| {
        let ended = json!([{"name": "c", "state": {"terminated": {"exitCode": exit_code}}}]);
        let current = json!({"metadata": {"name": "x", "namespace": "ns"}, "spec": spec, "status": {list: ended}});
        let mut object = current.clone();
        object["status"][list][0]["state"] = json!({"running": {}});
        texts(row.strategy.validate_subresource(Subresource::Status, &Field::root(&object), &current))
    };
    let own = |pod: &str, own: &str, exit_code| {
        let rules = json!([
            {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [41]}},
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [41, 42]}},
        ]);
        let container = json!({"name": "c", "restartPolicy": own, "restartPolicyRules": rules});
        refused(json!({"restartPolicy": pod, "containers": [container]}), "containerStatuses", exit_code)
    };
    let forbidden =
        |list| [format!("status.{list}[0].state: Forbidden: may not be transitioned to non-terminated state")];
    assert!(own("Never", "Always", 0).is_empty());
    assert!(own("Never", "OnFailure", 1).is_empty());
    assert!(own("Never", "Never", 42).is_empty());
    assert_eq!(own("Always", "Never", 1), forbidden("containerStatuses"));
    // The first rule that knows the code ends the search; its action means nothing while the gate is off.
    assert_eq!(own("Always", "Never", 41), forbidden("containerStatuses"));
    assert_eq!(own("Always", "OnFailure", 0), forbidden("containerStatuses"));
    for (list, specs) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        let pod = |policy: &str| json!({"restartPolicy": policy, specs: [{"name": "c"}]});
        assert!(refused(pod("Always"), list, 0).is_empty());
        assert!(refused(pod("OnFailure"), list, 1).is_empty());
        assert_eq!(refused(pod("OnFailure"), list, 0), forbidden(list));
        assert_eq!(refused(pod("Never"), list, 1), forbidden(list));
    }
    let debug = json!({"restartPolicy": "Always", "ephemeralContainers": [{"name": "c"}]});
    assert_eq!(refused(debug, "ephemeralContainerStatuses", 1), forbidden("ephemeralContainerStatuses"));
}

#[test]
fn the_spec_names_policies_that_exist() {
    check(
        "Pod",
        json!({"spec": {"restartPolicy": "Foo"}}),
        &[r#"spec.restartPolicy: Unsupported value: "Foo": supported values: "Always", "OnFailure", "Never""#],
    );
    check(
        "Pod",
        json!({"spec": {"dnsPolicy": "None"}}),
        &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    );
    check(
        "Pod",
        json!({"spec": {"activeDeadlineSeconds": 0}}),
        &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    );
    check(
        "Pod",
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}]}}),
        &[
            "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ],
    );
    check(
        "Pod",
        json!({"spec": {"nodeName": "n", "schedulingGates": [{"name": "g"}]}}),
        &["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    );
}

#[test]
fn a_pod_with_users_of_its_own_shares_nothing_else_of_the_host() {
    let device = json!({"name": "c", "image": "a", "volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]});
    let claim = json!({"name": "v", "persistentVolumeClaim": {"claimName": "p"}});
    let spec =
        json!({"hostNetwork": true, "hostPID": true, "hostIPC": true, "containers": [device], "volumes": [claim]});
    let with = |host_users: bool| {
        let mut spec = spec.clone();
        spec["hostUsers"] = host_users.into();
        json!({ "spec": spec })
    };
    check("Pod", with(true), &[]);
    check(
        "Pod",
        with(false),
        &["hostNetwork", "HostPID", "HostIPC", "containers[0].volumeDevices"]
            .map(|place| format!("spec.{place}: Forbidden: when `hostUsers` is false"))
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_pod_s_hostname_may_be_another_one() {
    let with = |fields: Value| {
        let mut spec = json!({"hostnameOverride": "a.example"});
        json_patch::merge(&mut spec, &fields);
        json!({ "spec": spec })
    };
    const AT: &str = "spec.hostnameOverride";
    check("Pod", with(json!({})), &[]);
    check("Pod", with(json!({"hostnameOverride": "a".repeat(64)})), &[]);
    check(
        "Pod",
        with(json!({"hostnameOverride": "a".repeat(65)})),
        &[&format!("{AT}: Too long: may not be more than 64 bytes")],
    );
    let form = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
                start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    for bad in ["", "Not-Lower", "a_b"] {
        check("Pod", with(json!({ "hostnameOverride": bad })), &[&format!("{AT}: Invalid value: {bad:?}: {form}")]);
    }
    check(
        "Pod",
        with(json!({"setHostnameAsFQDN": true, "hostNetwork": true})),
        &[
            &format!("{AT}: Forbidden: may not be specified when setHostnameAsFQDN is true"),
            &format!("{AT}: Forbidden: may not be specified when hostNetwork is true"),
        ],
    );
}

#[test]
fn profiles_in_annotations_are_those_of_the_fields() {
    const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/c";
    const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/c";
    let with = |key: &str, annotation: &str, field: &str, profile: Value| {
        let container = json!({"name": "c", "image": "a", "securityContext": {field: profile}});
        json!({"metadata": {"annotations": {key: annotation}}, "spec": {"containers": [container]}})
    };
    let local = |name: &str| json!({"type": "Localhost", "localhostProfile": name});
    let plain = |kind: &str| json!({ "type": kind });
    for (key, field, word) in [(SECCOMP, "seccompProfile", "seccomp"), (APP_ARMOR, "appArmorProfile", "apparmor")] {
        let at = format!("spec.containers[0].securityContext.{field}");
        check("Pod", with(key, "unconfined", field, plain("Unconfined")), &[]);
        check("Pod", with(key, "runtime/default", field, plain("RuntimeDefault")), &[]);
        check("Pod", with(key, "localhost/p", field, local("p")), &[]);
        let kind = format!("{at}.type: Forbidden: {word} type in annotation and field must match");
        check("Pod", with(key, "unconfined", field, plain("RuntimeDefault")), &[&kind]);
        check("Pod", with(key, "runtime/default", field, plain("Unconfined")), &[&kind]);
        check("Pod", with(key, "unconfined", field, local("p")), &[&kind]);
        let name = format!("{at}.localhostProfile: Forbidden: {word} profile in annotation and field must match");
        check("Pod", with(key, "localhost/q", field, local("p")), &[&name]);
        let template = with(key, "unconfined", field, plain("RuntimeDefault"));
        let mut deployment = json!({"spec": {"template": template}});
        deployment["spec"]["template"]["metadata"]["labels"] = json!({"a": "b"});
        check("Deployment", deployment, &[&format!("spec.template.{kind}")]);
    }
    check("Pod", with(SECCOMP, "docker/default", "seccompProfile", plain("RuntimeDefault")), &[]);
    let mut windows = with(APP_ARMOR, "unconfined", "appArmorProfile", Value::Null);
    windows["spec"]["securityContext"] = json!({"seccompProfile": plain("Unconfined")});
    windows["metadata"]["annotations"]["seccomp.security.alpha.kubernetes.io/pod"] = "runtime/default".into();
    let kind = "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match";
    check("Pod", windows, &[kind]);
}

#[test]
fn keys_of_labels_stand_beside_a_selector_and_not_in_it() {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let spread = |fields: Value| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"});
        json_patch::merge(&mut constraint, &fields);
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"topologySpreadConstraints": [constraint]}})
    };
    let near = |fields: Value| {
        let mut term = json!({"topologyKey": "k"});
        json_patch::merge(&mut term, &fields);
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"affinity": {"podAntiAffinity": {REQUIRED: [term]}}}})
    };
    let at_spread = "spec.topologySpreadConstraints[0]";
    let at_near = format!("spec.affinity.podAntiAffinity.{REQUIRED}[0]");
    let no_selector = "matchLabelKeys: Forbidden: must not be specified when labelSelector is not set";
    check("Pod", spread(json!({"matchLabelKeys": ["a"]})), &[&format!("{at_spread}.{no_selector}")]);
    check("Pod", near(json!({"matchLabelKeys": ["a"]})), &[&format!("{at_near}.{no_selector}")]);
    check(
        "Pod",
        spread(json!({"matchLabelKeys": ["a", "c"], "labelSelector": {"matchLabels": {"x": "y", "c": "d"}}})),
        &[],
    );
    check(
        "Pod",
        near(
            json!({"matchLabelKeys": ["a"], "mismatchLabelKeys": ["b"], "labelSelector": {"matchLabels": {"b": "2"}}}),
        ),
        &[],
    );
    for both in [json!({"matchLabels": {"b": "2"}}), json!({"matchExpressions": [{"key": "b", "operator": "Exists"}]})]
    {
        let twice = json!({"matchLabelKeys": ["a", "b"], "labelSelector": both});
        let detail = "[1]: Invalid value: \"b\": exists in both matchLabelKeys and labelSelector";
        check("Pod", spread(twice.clone()), &[&format!("{at_spread}{detail}")]);
        check("Pod", near(twice), &[&format!("{at_near}{detail}")]);
    }
    let same_and_different =
        json!({"matchLabelKeys": ["c", "a"], "mismatchLabelKeys": ["b", "a"], "labelSelector": {}});
    check(
        "Pod",
        near(same_and_different),
        &[
            &format!("{at_near}[1]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"),
            &format!(
                "{at_near}.matchLabelKeys[1]: Invalid value: \"a\": exists in both matchLabelKeys and mismatchLabelKeys"
            ),
        ],
    );
    // In a template the values are not known yet.
    let template = json!({"spec": {"template": {"spec": spread(json!({"matchLabelKeys": ["b"], "labelSelector": {"matchLabels": {"b": "2"}}}))["spec"]}}});
    check("Deployment", template, &[]);
}

#[test]
fn of_a_pod_only_images_deadline_and_tolerations_change() {
    let image = container(json!({"image": "other"}));
    check_update("Pod", json!({}), image, &[]);
    check_update("Pod", json!({}), json!({"spec": {"hostname": "h"}}), &[IMMUTABLE]);
    check_update("Pod", json!({}), json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}), &[]);
    check_update(
        "Pod",
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"spec": {"tolerations": null}}),
        &["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    );
    check_update(
        "Pod",
        json!({"spec": {"activeDeadlineSeconds": 5}}),
        json!({"spec": {"activeDeadlineSeconds": 6}}),
        &["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    );
    let two = json!({"spec": {"containers": [{"name": "c", "image": "a"}, {"name": "d", "image": "b"}]}});
    check_update("Pod", json!({}), two, &["spec.containers: Forbidden: pod updates may not add or remove containers"]);
}

#[test]
fn names_of_network_disks_are_of_a_form() {
    const AT: &str = "spec.volumes[0].iscsi";
    const FORM: &str = "must be valid format";
    let iscsi = |fields: Value| {
        let mut source = json!({"targetPortal": "127.0.0.1", "iqn": "iqn.2015-02.example.com:test", "lun": 1});
        json_patch::merge(&mut source, &fields);
        json!({"spec": {"volumes": [{"name": "v", "iscsi": source}]}})
    };
    let (eui, naa) = ("eui.0123456789ABCDEF", "naa.62004567BA64678D0123456789ABCDEF");
    for good in ["iqn.2015-02.example.com:test", "iqn.2017-10.a-b:c:d.e", eui, naa] {
        check("Pod", iscsi(json!({"iqn": good, "initiatorName": good})), &[]);
    }
    for bad in
        ["iqn.2015-02.example.com", "iqn.15-02.a:b", "iqn.2015-02.:b", "iqn.2015-02.a:b,c", "eui.01", "naa.01", "eui"]
    {
        check("Pod", iscsi(json!({ "iqn": bad })), &[&format!("{AT}.iqn: Invalid value: {bad:?}: {FORM}")]);
        check(
            "Pod",
            iscsi(json!({ "initiatorName": bad })),
            &[&format!("{AT}.initiatorname: Invalid value: {bad:?}: {FORM}")],
        );
    }
    let start = format!("{AT}.iqn: Invalid value: \"2015-02.example.com:test\": {FORM} starting with iqn, eui, or naa");
    check("Pod", iscsi(json!({"iqn": "2015-02.example.com:test"})), &[&start]);
    let too_long = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName \
                    is specified.";
    let long = iscsi(json!({"initiatorName": eui, "targetPortal": "a".repeat(63)}));
    check("Pod", long, &[&format!("spec.volumes[0].name: Invalid value: \"v\": {too_long}")]);
    let persistent = |fields: Value| {
        let mut source = json!({"targetPortal": "127.0.0.1", "iqn": eui, "lun": 1});
        json_patch::merge(&mut source, &fields);
        json!({"spec": {"hostPath": null, "iscsi": source}})
    };
    check("PersistentVolume", persistent(json!({})), &[]);
    check(
        "PersistentVolume",
        persistent(json!({"iqn": "x", "secretRef": {}})),
        &["spec.iscsi.iqn: Invalid value: \"x\": must be valid format", "spec.iscsi.secretRef.name: Required value"],
    );
    let portal = "a".repeat(63);
    check(
        "PersistentVolume",
        persistent(json!({"initiatorName": eui, "targetPortal": portal})),
        &[&format!("spec.iscsi.targetportal: Invalid value: {portal:?}: {too_long}")],
    );
}

#[test]
fn a_registry_of_quobyte_is_addresses() {
    const AT: &str = "spec.volumes[0].quobyte";
    let quobyte = |fields: Value| {
        let mut source = json!({"registry": "registry:7861", "volume": "/test"});
        json_patch::merge(&mut source, &fields);
        json!({"spec": {"volumes": [{"name": "v", "quobyte": source}]}})
    };
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    for good in ["registry:7861", "registry:7861,reg2:7861", "[fd00::1]:7861", ":1", "a:"] {
        check("Pod", quobyte(json!({ "registry": good })), &[]);
    }
    for bad in ["registry7861", "a:1:2", "[fd00::1]", "fd00::1", "a:1,b"] {
        let refused = format!("{AT}.registry: Invalid value: {bad:?}: {pairs}");
        check("Pod", quobyte(json!({ "registry": bad })), &[&refused]);
    }
    check("Pod", quobyte(json!({"registry": ""})), &[&format!("{AT}.registry: Required value: {pairs}")]);
    let tenant = "must be a UUID and may not exceed a length of 64 characters";
    check("Pod", quobyte(json!({"tenant": "a".repeat(64)})), &[]);
    check("Pod", quobyte(json!({"tenant": "a".repeat(65)})), &[&format!("{AT}.tenant: Required value: {tenant}")]);
}
