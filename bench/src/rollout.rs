//! A Deployment's pods, as far as objects go: the API server and the controllers, no scheduler and no node.
//!
//! Upstream: perf-tests/clusterloader2 (density)
//! Left out: pods that run.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    Rollout,
    connection::Answer,
    load::milliseconds,
    server::Server,
    usage::{per_operation_us, processor_time},
    watches,
};

/// Longer than this no rollout takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// From the POST of a Deployment until all of its pods have been created.
///
/// # Errors
/// A request fails, the controllers don't start, or not all pods come.
pub async fn pods_of_a_deployment(flags: &Rollout) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let controllers = server.start_part("controller-manager").await?;
    let measured = measure(&server, controllers.pid, flags.replicas).await;
    server.stop_part("controller-manager").await?;
    server.stop().await?;
    measured
}

async fn measure(server: &Server, controllers: i32, replicas: usize) -> anyhow::Result<Value> {
    let connections = server.connect(2).await?;
    let watch = watches::open(&connections, 1, |_| String::new()).await?.pop().context("a watch")?;
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "registry.example.com/team/web:1.27.4"}]},
            },
        },
    });
    let used = (processor_time(server.pid())?, processor_time(controllers)?);
    let began = Instant::now();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    connections.first().send("POST", path, deployment.to_string().into()).await?;
    let added = tokio::time::timeout(PATIENCE, all_added(watch, replicas)).await;
    added.context("the pods did not all come")??;
    let took = began.elapsed();
    Ok(json!({
        "bench": "rollout",
        "replicas": replicas,
        "all_pods_created_ms": milliseconds(took),
        "server_cpu_us_per_pod": per_operation_us(server.pid(), used.0, replicas)?,
        "controllers_cpu_us_per_pod": per_operation_us(controllers, used.1, replicas)?,
    }))
}

/// Reads a watch until so many objects have been added.
async fn all_added(mut watch: Answer, count: usize) -> anyhow::Result<()> {
    const ADDED: &[u8] = b"{\"type\":\"ADDED\"";
    let (mut added, mut unread) = (0, Vec::new());
    while added < count {
        let bytes = watch.next().await?.context("the watch ended early")?;
        unread.extend_from_slice(&bytes);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            added += usize::from(unread.starts_with(ADDED));
            unread.drain(..=end);
        }
    }
    ensure!(added == count, "{added} pods instead of {count}");
    Ok(())
}
