//! From the start of the API server until it says that it is ready.
//!
//! Upstream: none
//! Left out: making certificates, which happens once in a cluster's life.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Start,
    load::{milliseconds, quantile},
    pods,
    server::Server,
};

/// How long it takes, with hardly anything and with many pods in the store.
///
/// # Errors
/// It doesn't start.
pub async fn ready(flags: &Start) -> anyhow::Result<Value> {
    let mut server = Server::start().await?;
    let empty = restarts(&mut server, flags.times).await?;
    let connections = server.connect(4).await?;
    pods::create_all(&server, &connections, flags.pods).await?;
    let full = restarts(&mut server, flags.times).await?;
    server.stop().await?;
    Ok(json!({
        "bench": "start",
        "times": flags.times,
        "ready_ms": milliseconds(quantile(&empty, 0.5)),
        "ready_worst_ms": milliseconds(quantile(&empty, 1.0)),
        "pods": flags.pods,
        "ready_with_pods_ms": milliseconds(quantile(&full, 0.5)),
        "ready_with_pods_worst_ms": milliseconds(quantile(&full, 1.0)),
    }))
}

async fn restarts(server: &mut Server, times: usize) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..times {
        took.push(server.restart().await?);
    }
    took.sort();
    Ok(took)
}
