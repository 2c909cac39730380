//! The pods that every command works on: of ordinary size, on no node.
//!
//! Upstream: none
//! Left out: kinds other than pods.

use bytes::Bytes;
use serde_json::json;

use crate::{connection::Connections, load, server::Server};

pub const COLLECTION: &str = "/api/v1/namespaces/default/pods";

pub fn path(number: usize) -> String {
    format!("{COLLECTION}/pod-{number}")
}

/// A pod as a Deployment would make it.
pub fn body(number: usize) -> Bytes {
    let name = format!("pod-{number}");
    let pod = json!({
        "metadata": {
            "name": name,
            "labels": {"app": "web", "pod-template-hash": "6d4cf56db6", "tier": "frontend", "release": "stable"},
            "annotations": {"example.com/checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        },
        "spec": {
            "containers": [{
                "name": "web",
                "image": "registry.example.com/team/web:1.27.4",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [
                    {"name": "DATABASE", "value": "postgres://database.default.svc:5432/app"},
                    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
            }],
        },
    });
    pod.to_string().into()
}

/// A small change, as a controller makes it.
pub fn change(round: usize) -> Bytes {
    json!({"metadata": {"annotations": {"example.com/round": round.to_string()}}}).to_string().into()
}

/// Creates pods until there are `count`.
///
/// # Errors
/// A create fails.
pub async fn create_all(server: &Server, connections: &Connections, count: usize) -> anyhow::Result<()> {
    let created = load::run(server, connections, (64, count), |mut connection, number| async move {
        connection.send("POST", COLLECTION, body(number)).await.map(drop)
    });
    created.await.map(drop)
}
