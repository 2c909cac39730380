//! Which other objects a pod refers to: one visitor, for the node authorizer and for admission.
//!
//! Upstream: pkg/api/pod/util.go (VisitPodSecretNames, VisitPodConfigmapNames), pkg/api/persistentvolume/util.go
//! Left out: resource claims, cluster trust bundles.
//!
//! A field that can name a Secret and is not visited here would be one that a node may not read, and one that a mirror
//! pod could smuggle.

use std::collections::HashSet;

use serde_json::Value;

/// Marks pods that show what a node runs by itself.
pub(crate) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// What can be referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    Volume,
    ServiceAccount,
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All containers: init, ordinary, ephemeral.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| items(&pod["spec"][list]))
}

/// Calls `found` with every object of the pod's namespace that the pod refers to, some more than once.
pub(crate) fn visit(pod: &Value, found: &mut dyn FnMut(Kind, &str)) {
    let spec = &pod["spec"];
    let mut name = |kind: Kind, value: &Value| {
        if let Some(name) = value.as_str().filter(|name| !name.is_empty()) {
            found(kind, name);
        }
    };
    name(Kind::ServiceAccount, &spec["serviceAccountName"]);
    for reference in items(&spec["imagePullSecrets"]) {
        name(Kind::Secret, &reference["name"]);
    }
    for container in containers(pod) {
        for source in items(&container["envFrom"]) {
            name(Kind::Secret, &source["secretRef"]["name"]);
            name(Kind::ConfigMap, &source["configMapRef"]["name"]);
        }
        for variable in items(&container["env"]) {
            name(Kind::Secret, &variable["valueFrom"]["secretKeyRef"]["name"]);
            name(Kind::ConfigMap, &variable["valueFrom"]["configMapKeyRef"]["name"]);
        }
    }
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    for volume in items(&spec["volumes"]) {
        name(Kind::Secret, &volume["secret"]["secretName"]);
        name(Kind::ConfigMap, &volume["configMap"]["name"]);
        name(Kind::Claim, &volume["persistentVolumeClaim"]["claimName"]);
        if volume["ephemeral"].is_object() {
            let volume_name = volume["name"].as_str().unwrap_or_default();
            name(Kind::Claim, &Value::from(format!("{pod_name}-{volume_name}")));
        }
        for source in items(&volume["projected"]["sources"]) {
            name(Kind::Secret, &source["secret"]["name"]);
            name(Kind::ConfigMap, &source["configMap"]["name"]);
        }
        // Drivers that take their password from a Secret of the pod's namespace.
        name(Kind::Secret, &volume["azureFile"]["secretName"]);
        for driver in ["cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
            name(Kind::Secret, &volume[driver]["secretRef"]["name"]);
        }
        name(Kind::Secret, &volume["csi"]["nodePublishSecretRef"]["name"]);
    }
}

/// The Secrets that a persistent volume names, as namespace and name. `claim_namespace` stands in where none is given.
pub(crate) fn volume_secrets(volume: &Value, claim_namespace: &str) -> HashSet<(String, String)> {
    let mut secrets = HashSet::new();
    let spec = &volume["spec"];
    let mut add = |namespace: &Value, name: &Value| {
        if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
            let namespace = namespace.as_str().filter(|namespace| !namespace.is_empty()).unwrap_or(claim_namespace);
            secrets.insert((namespace.to_owned(), name.to_owned()));
        }
    };
    add(&spec["azureFile"]["secretNamespace"], &spec["azureFile"]["secretName"]);
    for driver in ["cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
        let reference = &spec[driver]["secretRef"];
        add(&reference["namespace"], &reference["name"]);
    }
    for reference in ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"] {
        let reference = &spec["csi"][reference];
        add(&reference["namespace"], &reference["name"]);
    }
    secrets
}
