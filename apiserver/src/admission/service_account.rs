//! Every pod has a service account, and its token where programs look for it.
//!
//! Upstream: plugin/pkg/admission/serviceaccount/admission.go
//! Left out: the annotation kubernetes.io/enforce-mountable-secrets, which upstream has deprecated.

use std::sync::LazyLock;

use api::status::Status;
use serde_json::{Value, json};

use super::{Admission, Operation, Request};
use crate::pod_references::{self, Kind, MIRROR_ANNOTATION};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour and seven seconds: upstream knows by this odd number which tokens it put in itself.
const TOKEN_EXPIRATION_S: i64 = 3607;

pub(super) struct ServiceAccount;

impl Admission for ServiceAccount {
    fn admit(&self, request: &mut Request<'_>) -> Result<(), Status> {
        let namespace = request.info.namespace.clone();
        let objects = request.objects;
        let Some(pod) = request.object_of(Operation::Create, "", "pods") else { return Ok(()) };
        if is_mirror(pod) {
            return Ok(());
        }
        let name = account_name(pod).unwrap_or("default").to_owned();
        pod["spec"]["serviceAccountName"] = name.as_str().into();
        pod["spec"]["serviceAccount"] = name.as_str().into();
        let Some(account) = objects.get("", "serviceaccounts", &namespace, &name) else {
            return Err(unknown_account(request, &name));
        };
        let account = account.decoded();
        if wants_token(pod, account) {
            mount_token(pod);
        }
        let has_pull_secrets = pod["spec"]["imagePullSecrets"].as_array().is_some_and(|list| !list.is_empty());
        if !has_pull_secrets && account["imagePullSecrets"].as_array().is_some_and(|list| !list.is_empty()) {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        Ok(())
    }

    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let (Operation::Create, Some("")) = (request.operation, request.subresource_of("", "pods")) else {
            return Ok(());
        };
        let Some(pod) = &request.object else { return Ok(()) };
        if is_mirror(pod) {
            return validate_mirror(request, pod);
        }
        let Some(name) = account_name(pod) else {
            let namespace = &request.info.namespace;
            return Err(
                request.forbidden(format!("no service account specified for pod {namespace}/{}", request.name()))
            );
        };
        match request.objects.get("", "serviceaccounts", &request.info.namespace, name) {
            Some(_) => Ok(()),
            None => Err(unknown_account(request, name)),
        }
    }
}

fn unknown_account(request: &Request<'_>, name: &str) -> Status {
    let namespace = &request.info.namespace;
    request.forbidden(format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"))
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR_ANNOTATION).is_some()
}

/// The account that the pod names, by the field or by its old name.
fn account_name(pod: &Value) -> Option<&str> {
    let name = |field: &str| pod["spec"][field].as_str().filter(|name| !name.is_empty());
    name("serviceAccountName").or_else(|| name("serviceAccount"))
}

/// A mirror pod shows what a node runs by itself: it gets nothing of the cluster.
fn validate_mirror(request: &Request<'_>, pod: &Value) -> Result<(), Status> {
    if account_name(pod).is_some() {
        return Err(request.forbidden("a mirror pod may not reference service accounts"));
    }
    let mut names_secret = false;
    pod_references::visit(pod, &mut |kind, _| names_secret |= kind == Kind::Secret);
    if names_secret {
        return Err(request.forbidden("a mirror pod may not reference secrets"));
    }
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
    if sources.any(|source| source["serviceAccountToken"].is_object()) {
        return Err(request.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// The pod's word counts, then the account's; otherwise yes.
fn wants_token(pod: &Value, account: &Value) -> bool {
    let pods = pod["spec"]["automountServiceAccountToken"].as_bool();
    pods.or_else(|| account["automountServiceAccountToken"].as_bool()).unwrap_or(true)
}

/// Mounts a token into every container that has nothing at the place of tokens yet.
fn mount_token(pod: &mut Value) {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["name"].as_str());
    let existing = names.find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", suffix(&pod["metadata"])));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        // Not `pod["spec"][list]`: an index into what isn't there would make it null.
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            if mounts.into_iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            push(container, "volumeMounts", json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
            mounted = true;
        }
    }
    if existing.is_none() && mounted {
        push(&mut pod["spec"], "volumes", token_volume(&name));
    }
}

fn push(object: &mut Value, field: &str, element: Value) {
    match &mut object[field] {
        Value::Array(list) => list.push(element),
        absent => *absent = vec![element].into(),
    }
}

/// A token, the cluster's CA and the pod's namespace.
fn token_volume(name: &str) -> Value {
    static VOLUME: LazyLock<Value> = LazyLock::new(nameless_token_volume);
    let mut volume = VOLUME.clone();
    volume["name"] = name.into();
    volume
}

fn nameless_token_volume() -> Value {
    json!({
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_EXPIRATION_S, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
        },
    })
}

/// Five letters that look like upstream's random ones. They follow from the pod's name, so that the same request is
/// always admitted to the same pod; they need to be unique only within it.
fn suffix(metadata: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    // FNV-1a.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text("namespace").bytes().chain(text("name").bytes()).chain(text("generateName").bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (0..5)
        .map(|_| {
            let letter = LETTERS[(hash % LETTERS.len() as u64) as usize];
            hash /= LETTERS.len() as u64;
            char::from(letter)
        })
        .collect()
}
