//! What a pod's author may leave out.
//!
//! Upstream: pkg/apis/core/v1/defaults.go, conversion.go
//! Left out: nothing.

use serde_json::{Value, json};

use super::resources;
use crate::strategy::filling::{
    Fields, canonical_quantities, canonical_quantity, fill, fill_condition_times, fill_number, fill_text, fill_times,
    object_in, object_or_empty, objects_in, spec,
};

/// The permission bits of files in configMap, secret, downwardAPI and projected volumes: 0644.
const FILE_MODE: i64 = 0o644;

const CONTAINER_LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Fills in a Pod; templates get [`pod_spec`] alone.
pub(crate) fn pod(object: &mut Value) {
    fill_condition_times(object, &["lastProbeTime", "lastTransitionTime"]);
    let Some(spec) = spec(object) else { return };
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        for container in objects_in(spec, list) {
            requests_from_limits(container);
        }
    }
    fill(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        host_ports(spec);
    }
    if let Some(spec) = object.get_mut("spec").filter(|spec| spec.get("resources").is_some()) {
        resources::of_the_whole(spec);
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        first_and_all(status, "podIP", "podIPs");
        first_of_two_counts(status);
        first_and_all(status, "hostIP", "hostIPs");
        for list in ["containerStatuses", "ephemeralContainerStatuses", "initContainerStatuses"] {
            for container in objects_in(status, list) {
                container_state(object_or_empty(container, "state"));
                container_state(object_or_empty(container, "lastState"));
            }
        }
    }
}

fn container_state(state: &mut Fields) {
    if let Some(running) = object_in(state, "running") {
        fill_times(running, &["startedAt"]);
    }
    if let Some(terminated) = object_in(state, "terminated") {
        fill_times(terminated, &["finishedAt", "startedAt"]);
    }
}

/// Fills in the spec of a pod, be it a Pod's or a template's.
pub(crate) fn pod_spec(spec: &mut Fields) {
    fill_text(spec, "dnsPolicy", "ClusterFirst");
    fill_text(spec, "restartPolicy", "Always");
    object_or_empty(spec, "securityContext");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill_text(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    canonical_quantities(spec, "overhead");
    if let Some(resources) = object_in(spec, "resources") {
        canonical_quantities(resources, "limits");
        canonical_quantities(resources, "requests");
    }
    for volume in objects_in(spec, "volumes") {
        self::volume(volume);
    }
    for list in CONTAINER_LISTS {
        for container in objects_in(spec, list) {
            self::container(container);
        }
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are kept equal, the new one wins.
fn service_account(spec: &mut Fields) {
    let name = match (spec.get("serviceAccountName"), spec.get("serviceAccount")) {
        (Some(Value::String(name)), _) if !name.is_empty() => name.clone(),
        (_, Some(Value::String(old))) => old.clone(),
        _ => return,
    };
    spec.insert("serviceAccountName".to_owned(), name.as_str().into());
    spec.insert("serviceAccount".to_owned(), name.into());
}

/// Keeps a single address and the list that begins with it in step; a client may know only one of the two.
fn first_and_all(status: &mut Fields, one: &str, all: &str) {
    let first = status.get(all).and_then(|all| all.get(0)).and_then(|first| first["ip"].as_str()).map(str::to_owned);
    match (status.get(one).and_then(Value::as_str), first) {
        (Some(ip), None) if !ip.is_empty() => {
            let ip = ip.to_owned();
            status.insert(all.to_owned(), json!([{ "ip": ip }]));
        }
        (None | Some(""), Some(first)) => {
            status.insert(one.to_owned(), first.into());
        }
        _ => (),
    }
}

/// Of a podIP and podIPs that differ, the old field counts: a kubelet may know only that one.
fn first_of_two_counts(status: &mut Fields) {
    let (one, first) = (status.get("podIP"), status.get("podIPs").map(|all| &all[0]["ip"]));
    if let (Some(one), Some(first)) = (one, first)
        && one != first
    {
        let all = json!([{ "ip": one }]);
        status.insert("podIPs".to_owned(), all);
    }
}

fn container(container: &mut Fields) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = pull_policy(image);
    fill_text(container, "imagePullPolicy", policy);
    fill_text(container, "terminationMessagePath", "/dev/termination-log");
    fill_text(container, "terminationMessagePolicy", "File");
    let resources = object_or_empty(container, "resources");
    canonical_quantities(resources, "limits");
    canonical_quantities(resources, "requests");
    for port in objects_in(container, "ports") {
        fill_text(port, "protocol", "TCP");
    }
    for variable in objects_in(container, "env") {
        let Some(source) = object_in(variable, "valueFrom") else { continue };
        if let Some(field) = object_in(source, "fieldRef") {
            fill_text(field, "apiVersion", "v1");
        }
        if let Some(resource) = object_in(source, "resourceFieldRef") {
            divisor(resource);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_in(container, name) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = object_in(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(http) = object_in(lifecycle, name).and_then(|handler| object_in(handler, "httpGet")) {
                http_get(http);
            }
        }
    }
}

/// `Always` for the moving tag `latest`, said or unsaid, `IfNotPresent` for any other tag or digest.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or(image);
    let moving = match last.split_once('@') {
        Some(_) => false,
        None => last.split_once(':').is_none_or(|(_, tag)| tag == "latest"),
    };
    if moving { "Always" } else { "IfNotPresent" }
}

/// The unit in which a container's resources are shown to it; an unset one is written as 0.
fn divisor(resource: &mut Fields) {
    fill(resource, "divisor", "0");
    if let Some(divisor) = resource.get_mut("divisor") {
        canonical_quantity(divisor);
    }
}

fn probe(probe: &mut Fields) {
    fill_number(probe, "timeoutSeconds", 1);
    fill_number(probe, "periodSeconds", 10);
    fill_number(probe, "successThreshold", 1);
    fill_number(probe, "failureThreshold", 3);
    if let Some(http) = object_in(probe, "httpGet") {
        http_get(http);
    }
    if let Some(grpc) = object_in(probe, "grpc") {
        fill(grpc, "service", "");
    }
}

fn http_get(http: &mut Fields) {
    fill_text(http, "path", "/");
    fill_text(http, "scheme", "HTTP");
}

/// What is limited and not requested is requested as it is limited.
fn requests_from_limits(container: &mut Fields) {
    let Some(resources) = object_in(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    let requests = object_or_empty(resources, "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// On the host's network a container port is a host port.
fn host_ports(spec: &mut Fields) {
    for list in ["containers", "initContainers"] {
        for container in objects_in(spec, list) {
            for port in objects_in(container, "ports") {
                if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
                    fill_number(port, "hostPort", number);
                }
            }
        }
    }
}

/// Fills in a volume, be it a pod's or (its source) a persistent one.
pub(crate) fn volume(volume: &mut Fields) {
    let has_source = volume.iter().any(|(name, source)| name != "name" && !source.is_null());
    if !has_source {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    volume_source(volume);
}

/// Fills in whichever source stands in `source`.
pub(crate) fn volume_source(source: &mut Fields) {
    if let Some(empty_dir) = object_in(source, "emptyDir")
        && let Some(limit) = empty_dir.get_mut("sizeLimit")
    {
        canonical_quantity(limit);
    }
    for name in ["configMap", "secret", "downwardAPI"] {
        if let Some(files) = object_in(source, name) {
            fill(files, "defaultMode", FILE_MODE);
            downward_items(files);
        }
    }
    if let Some(projected) = object_in(source, "projected") {
        fill(projected, "defaultMode", FILE_MODE);
        for projection in objects_in(projected, "sources") {
            if let Some(token) = object_in(projection, "serviceAccountToken") {
                fill(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = object_in(projection, "downwardAPI") {
                downward_items(downward);
            }
        }
    }
    if let Some(host_path) = object_in(source, "hostPath") {
        fill(host_path, "type", "");
    }
    if let Some(claim) = object_in(source, "ephemeral")
        .and_then(|ephemeral| object_in(ephemeral, "volumeClaimTemplate"))
        .and_then(|template| object_in(template, "spec"))
    {
        fill(claim, "volumeMode", "Filesystem");
        if let Some(resources) = object_in(claim, "resources") {
            canonical_quantities(resources, "limits");
            canonical_quantities(resources, "requests");
        }
    }
    if let Some(image) = object_in(source, "image") {
        let policy = pull_policy(image.get("reference").and_then(Value::as_str).unwrap_or_default());
        fill_text(image, "pullPolicy", policy);
    }
    network_disks(source);
}

fn downward_items(files: &mut Fields) {
    for item in objects_in(files, "items") {
        if let Some(field) = object_in(item, "fieldRef") {
            fill_text(field, "apiVersion", "v1");
        }
        if let Some(resource) = object_in(item, "resourceFieldRef") {
            divisor(resource);
        }
    }
}

fn network_disks(source: &mut Fields) {
    if let Some(iscsi) = object_in(source, "iscsi") {
        fill_text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = object_in(source, "rbd") {
        fill_text(rbd, "pool", "rbd");
        fill_text(rbd, "user", "admin");
        fill_text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = object_in(source, "azureDisk") {
        fill(disk, "cachingMode", "ReadWrite");
        fill(disk, "kind", "Shared");
        fill(disk, "fsType", "ext4");
        fill(disk, "readOnly", false);
    }
    if let Some(scale_io) = object_in(source, "scaleIO") {
        fill_text(scale_io, "storageMode", "ThinProvisioned");
        fill_text(scale_io, "fsType", "xfs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_tag_is_pulled_always() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry:5000/nginx", "Always"),
            ("registry:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_pods_address_stands_first_among_its_addresses() {
        let check = |status: Value| {
            let mut object = json!({"spec": {"containers": []}, "status": status});
            pod(&mut object);
            object["status"].take()
        };
        let one = json!({"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}]});
        assert_eq!(check(json!({"podIP": "1.1.1.1"})), one);
        assert_eq!(check(json!({"podIPs": [{"ip": "1.1.1.1"}]})), one);
        assert_eq!(check(json!({"podIP": "1.1.1.1", "podIPs": [{"ip": "2.2.2.2"}, {"ip": "1.1.1.1"}]})), one);
        let two = json!({"podIP": "1.1.1.1", "podIPs": [{"ip": "1.1.1.1"}, {"ip": "fd00::1"}]});
        assert_eq!(check(two.clone()), two);
    }

    #[test]
    fn a_pod_gets_what_its_author_left_out() {
        let mut object = json!({"spec": {
            "hostNetwork": true, "serviceAccountName": "sa",
            "volumes": [{"name": "v"}, {"name": "h", "hostPath": {"path": "/"}}],
            "containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 80}],
                            "resources": {"limits": {"cpu": "0.5"}}}],
        }});
        pod(&mut object);
        let spec = &object["spec"];
        assert_eq!(spec["securityContext"], json!({}));
        assert_eq!(spec["serviceAccount"], "sa");
        assert_eq!(
            spec["volumes"],
            json!([{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/", "type": ""}}])
        );
        let container = &spec["containers"][0];
        assert_eq!(container["ports"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]));
        assert_eq!(container["resources"], json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}));
        let once = object.clone();
        pod(&mut object);
        assert_eq!(object, once, "defaulting twice changes nothing");
    }
}
