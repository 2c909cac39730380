//! What of a pod is for Linux or for Windows alone.

use serde_json::{Value, json};

use super::check;

const WINDOWS: &str = "Forbidden: cannot be set for a windows pod";
const LINUX: &str = "Forbidden: windows options cannot be set for a linux pod";

/// A pod for this system, with these two security contexts.
fn pod(os: &str, of_pod: Value, of_container: Value) -> Value {
    let container = |name: &str| json!({"name": name, "image": "a", "securityContext": of_container});
    json!({"spec": {
        "os": {"name": os},
        "securityContext": of_pod,
        "initContainers": [container("i")],
        "containers": [container("c")],
    }})
}

#[test]
fn a_pod_names_a_system_that_there_is() {
    check("Pod", pod("linux", json!({}), json!({})), &[]);
    check("Pod", json!({"spec": {"os": {}}}), &["spec.os.name: Required value: cannot be empty"]);
    check(
        "Pod",
        json!({"spec": {"os": {"name": "dummyOS"}}}),
        &[r#"spec.os: Unsupported value: "dummyOS": supported values: "linux", "windows""#],
    );
}

#[test]
fn a_pod_for_linux_has_no_options_of_windows() {
    let options = json!({"windowsOptions": {}});
    check(
        "Pod",
        pod("linux", options.clone(), options),
        &[
            &format!("spec.securityContext.windowsOptions: {LINUX}"),
            &format!("spec.initContainers[0].securityContext.windowsOptions: {LINUX}"),
            &format!("spec.containers[0].securityContext.windowsOptions: {LINUX}"),
        ],
    );
}

#[test]
fn a_pod_for_windows_has_nothing_of_linux() {
    let everything = json!({
        "appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"role": "r"}, "seccompProfile": {"type": "Unconfined"},
        "fsGroup": 1, "fsGroupChangePolicy": "Always", "sysctls": [{"name": "a.b", "value": "1"}], "runAsUser": 1,
        "runAsGroup": 1, "supplementalGroups": [1], "supplementalGroupsPolicy": "Merge",
        "seLinuxChangePolicy": "Recursive",
    });
    let mut of_pod = pod("windows", everything, json!({}));
    of_pod["spec"]["hostPID"] = true.into();
    of_pod["spec"]["hostIPC"] = true.into();
    of_pod["spec"]["hostUsers"] = true.into();
    of_pod["spec"]["shareProcessNamespace"] = false.into();
    let at = |place: &str| format!("spec.{place}: {WINDOWS}");
    let expected: Vec<String> = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ]
    .into_iter()
    .map(at)
    .collect();
    check("Pod", of_pod, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    let of_container = json!({
        "appArmorProfile": {"type": "Unconfined"}, "seLinuxOptions": {"role": "r"}, "seccompProfile": {"type": "Unconfined"},
        "capabilities": {}, "readOnlyRootFilesystem": true, "privileged": false, "allowPrivilegeEscalation": true,
        "procMount": "Default", "runAsUser": 1, "runAsGroup": 1, "windowsOptions": {}, "runAsNonRoot": true,
    });
    let names = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    let of = |list: &str| names.map(|name| at(&format!("{list}[0].securityContext.{name}")));
    let expected: Vec<String> = of("initContainers").into_iter().chain(of("containers")).collect();
    let refused = pod("windows", json!({}), of_container);
    check("Pod", refused, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    check("Pod", pod("windows", json!({"windowsOptions": {}, "runAsNonRoot": true, "sysctls": []}), json!({})), &[]);
}

#[test]
fn all_containers_of_a_pod_are_processes_of_the_host_or_none() {
    let options = |host_process: Value| json!({"windowsOptions": {"hostProcess": host_process}});
    let with_network = |mut pod: Value| {
        pod["spec"]["hostNetwork"] = true.into();
        pod
    };
    check("Pod", with_network(pod("windows", options(true.into()), json!({}))), &[]);
    check("Pod", with_network(pod("windows", json!({}), options(true.into()))), &[]);
    check("Pod", pod("windows", options(false.into()), options(false.into())), &[]);
    check(
        "Pod",
        pod("windows", options(true.into()), json!({})),
        &[
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ],
    );
    let mut mixed = with_network(pod("windows", json!({}), options(true.into())));
    mixed["spec"]["containers"][0]["securityContext"] = json!({});
    let all = "spec: Invalid value: \"\": If pod contains any hostProcess containers then all containers must be \
               HostProcess containers";
    check("Pod", mixed, &[all]);
    let differ = "pod hostProcess value must be identical if both are specified, was true";
    let mut different = with_network(pod("windows", options(true.into()), json!({})));
    different["spec"]["containers"][0]["securityContext"] = options(false.into());
    check(
        "Pod",
        different,
        &[
            &format!("spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: false: {differ}"),
            all,
        ],
    );
}

#[test]
fn the_options_of_windows_are_of_a_form() {
    const AT: &str = "spec.securityContext.windowsOptions";
    let with = |options: Value| json!({"spec": {"securityContext": {"windowsOptions": options}}});
    check("Pod", with(json!({"gmsaCredentialSpecName": "a.b", "gmsaCredentialSpec": "{}"})), &[]);
    check(
        "Pod",
        with(json!({"gmsaCredentialSpec": ""})),
        &[&format!("{AT}.gmsaCredentialSpec: Invalid value: \"\": gmsaCredentialSpec cannot be an empty string")],
    );
    let long = "a".repeat(64 * 1024 + 1);
    check(
        "Pod",
        with(json!({ "gmsaCredentialSpec": long })),
        &[&format!("{AT}.gmsaCredentialSpec: Invalid value: {long:?}: gmsaCredentialSpec size must be under 64 KiB")],
    );
    for good in ["NT AUTHORITY\\SYSTEM", "Container User", "example.com\\a", "a"] {
        check("Pod", with(json!({ "runAsUserName": good })), &[]);
    }
    let refused = |name: &str, details: &[&str]| {
        let causes: Vec<String> =
            details.iter().map(|detail| format!("{AT}.runAsUserName: Invalid value: {name:?}: {detail}")).collect();
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        check("Pod", with(json!({ "runAsUserName": name })), &causes);
    };
    refused("", &["runAsUserName cannot be an empty string"]);
    refused("a\tb", &["runAsUserName cannot contain control characters"]);
    refused("a\\b\\c", &["runAsUserName cannot contain more than one backslash"]);
    refused("domain\\", &["runAsUserName's User cannot be empty"]);
    let form = "runAsUserName's Domain doesn't match the NetBios nor the DNS format";
    refused(".a\\user", &[form]);
    refused("\\user", &[form]);
    let long = "a".repeat(256);
    refused(&format!("{long}\\b"), &["runAsUserName's Domain length must be under 256 characters", form]);
    let long = "a".repeat(105);
    refused(&long, &["runAsUserName's User length must not be longer than 104 characters"]);
    refused(". .", &["runAsUserName's User cannot contain only periods or spaces"]);
    refused("a@b", &["runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"]);
}
