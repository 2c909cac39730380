//! Tables of objects and the exact causes that they are refused with.
//!
//! Each case is a valid object of its kind with one part merged over it, so that the mistake stands alone.

mod autoscaling;
mod batch;
mod core;
mod custom_resources;
mod devices;
mod expressions;
mod extension;
mod operating_systems;
mod others;
mod pods;
mod policies;
mod workloads;

use api::field::Field;
use serde_json::{Value, json};

use crate::{row::Row, rows::rows};

/// The row of a kind.
fn row(kind: &str) -> Row {
    rows().into_iter().find(|row| row.kind == kind).unwrap()
}

/// A smallest valid object of the kind, before defaulting.
fn valid(kind: &str) -> Value {
    let template = json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    });
    let selector = json!({"matchLabels": {"a": "b"}});
    let mut object = match kind {
        "Pod" => json!({"spec": template["spec"]}),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" => {
            json!({"spec": {"selector": selector, "template": template}})
        }
        "ReplicationController" => json!({"spec": {"selector": {"a": "b"}, "template": template}}),
        "PersistentVolumeClaim" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        }
        "PersistentVolume" => json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                                              "hostPath": {"path": "/x"}}}),
        "CronJob" => {
            let mut job = template.clone();
            job["spec"]["restartPolicy"] = "Never".into();
            json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": job}}}})
        }
        "Job" => {
            let mut pods = template.clone();
            pods["spec"]["restartPolicy"] = "Never".into();
            json!({"spec": {"template": pods}})
        }
        "Ingress" => json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}),
        "NetworkPolicy" => json!({"spec": {"podSelector": {}}}),
        "HorizontalPodAutoscaler" => {
            json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}})
        }
        "RoleBinding" => json!({"roleRef": {"kind": "Role", "name": "r"}}),
        "Role" => json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        "StorageClass" => json!({"provisioner": "p.example/x"}),
        "Endpoints" => json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
        "EndpointSlice" => {
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"name": "a", "port": 80}]})
        }
        "LimitRange" => json!({"spec": {"limits": [{"type": "Container"}]}}),
        "PriorityClass" => json!({"value": 5}),
        "IngressClass" => json!({"spec": {"controller": "a.example/b"}}),
        "RuntimeClass" => json!({"handler": "runc"}),
        "VolumeAttachment" => {
            json!({"spec": {"attacher": "a.example", "nodeName": "n", "source": {"persistentVolumeName": "v"}}})
        }
        "CSINode" => json!({"spec": {"drivers": [{"name": "d.example", "nodeID": "n"}]}}),
        "Event" => json!({"involvedObject": {"namespace": "ns"}}),
        _ => extension::valid(kind),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or("x").to_owned();
    object["metadata"] = json!({"name": name, "namespace": "ns"});
    if kind == "Job" {
        object["metadata"]["uid"] = "u".into();
    }
    object
}

/// The object with `part` merged over it (null removes), defaulted and prepared as for a POST.
fn made(row: &Row, part: &Value) -> Value {
    let mut object = valid(&row.kind);
    json_patch::merge(&mut object, part);
    row.strategy.defaults(&mut object);
    row.strategy.prepare_for_create(&mut object);
    row.strategy.defaults(&mut object);
    object
}

fn texts(errors: Vec<api::field::FieldError>) -> Vec<String> {
    errors.into_iter().map(|error| error.to_string()).collect()
}

/// Creating the kind with `part` is refused with exactly `causes`.
#[track_caller]
fn check(kind: &str, part: Value, causes: &[&str]) {
    let row = row(kind);
    let object = made(&row, &part);
    assert_eq!(texts(row.strategy.validate(&Field::root(&object))), causes, "{kind} {part}");
}

/// Changing the kind from `before` to `after` through the main resource is refused with exactly `causes`.
#[track_caller]
fn check_update(kind: &str, before: Value, after: Value, causes: &[&str]) {
    let row = row(kind);
    let current = made(&row, &before);
    let mut object = current.clone();
    json_patch::merge(&mut object, &after);
    row.strategy.defaults(&mut object);
    assert_eq!(texts(row.strategy.validate_update(&Field::root(&object), &current)), causes, "{kind} {after}");
}

#[test]
fn the_smallest_object_of_every_kind_is_valid_and_stays_so_when_nothing_changes() {
    for row in rows().iter().filter(|row| row.stored_as.is_none() && row.verbs != crate::row::Verbs::CreateOnly) {
        let known = [
            "Pod",
            "Service",
            "Deployment",
            "ReplicaSet",
            "DaemonSet",
            "StatefulSet",
            "ReplicationController",
            "PersistentVolumeClaim",
            "PersistentVolume",
            "CronJob",
            "Job",
            "Ingress",
            "NetworkPolicy",
            "HorizontalPodAutoscaler",
            "RoleBinding",
            "Role",
            "StorageClass",
            "Endpoints",
            "EndpointSlice",
            "LimitRange",
            "PriorityClass",
            "IngressClass",
            "RuntimeClass",
            "VolumeAttachment",
            "CSINode",
            "Event",
            "ConfigMap",
            "Secret",
            "Namespace",
            "Node",
            "Lease",
            "ServiceAccount",
            "ResourceQuota",
            "PodDisruptionBudget",
            "CSIDriver",
            "APIService",
            "CSIStorageCapacity",
            "CustomResourceDefinition",
            "DeviceClass",
            "FlowSchema",
            "IPAddress",
            "MutatingWebhookConfiguration",
            "PriorityLevelConfiguration",
            "ResourceClaim",
            "ResourceClaimTemplate",
            "ResourceSlice",
            "ServiceCIDR",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
            "VolumeAttributesClass",
        ];
        if known.contains(&row.kind.as_ref()) {
            let mut part = json!({});
            if row.kind == "CSIDriver" {
                part = json!({"metadata": {"name": "d.example"}});
            }
            check(&row.kind, part.clone(), &[]);
            check_update(&row.kind, part, json!({}), &[]);
        }
    }
}
