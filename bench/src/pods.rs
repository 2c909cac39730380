//! The pods that every command works on: of ordinary size, on no node.
//!
//! Upstream: none
//! Left out: kinds other than pods.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{connection::Connections, load, server::Server};

pub const COLLECTION: &str = "/api/v1/namespaces/default/pods";

pub fn path(number: usize) -> String {
    format!("{COLLECTION}/pod-{number}")
}

/// A pod as a Deployment would make it.
pub fn body(number: usize) -> Bytes {
    pod(number).to_string().into()
}

/// The same, on a node already.
pub fn body_on(number: usize, node: &str) -> Bytes {
    let mut pod = pod(number);
    pod["spec"]["nodeName"] = node.into();
    pod.to_string().into()
}

fn pod(number: usize) -> Value {
    let name = format!("pod-{number}");
    json!({
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
    })
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
    create_all_of(server, connections, count, body).await
}

/// The same with other bodies.
///
/// # Errors
/// A create fails.
pub async fn create_all_of(
    server: &Server,
    connections: &Connections,
    count: usize,
    body: impl Fn(usize) -> Bytes + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let created = load::run(server, connections, (64, count), move |mut connection, number| {
        let body = body(number);
        async move { connection.send("POST", COLLECTION, body).await.map(drop) }
    });
    created.await.map(drop)
}
