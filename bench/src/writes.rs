//! Creates and patches: durable when they are answered.
//!
//! Upstream: none
//! Left out: deletes.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Load, load, pods, server::Server};

/// Pods created per second.
///
/// # Errors
/// A request fails.
pub async fn create(flags: &Load) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let connections = server.connect(flags.connections).await?;
    // Made before the clock runs: on two cores the client's work counts.
    let bodies: Vec<Bytes> = (0..flags.count).map(pods::body).collect();
    let load = load::run(&server, &connections, (flags.clients, flags.count), move |mut connection, number| {
        let body = bodies[number].clone();
        async move { connection.send("POST", pods::COLLECTION, body).await.map(drop) }
    });
    let mut figures = load.await?.figures("create", (flags.clients, flags.connections));
    let stored = connections.first().send("GET", &pods::path(0), Default::default()).await?.len();
    figures["bytes_per_pod"] = json!(stored);
    server.stop().await?;
    Ok(figures)
}

/// Pods patched per second, spread over as many pods as there are clients.
///
/// # Errors
/// A request fails.
pub async fn patch(flags: &Load) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let connections = server.connect(flags.connections).await?;
    let pods = flags.clients;
    pods::create_all(&server, &connections, pods).await?;
    let load =
        load::run(&server, &connections, (flags.clients, flags.count), move |mut connection, number| async move {
            connection.send("PATCH", &pods::path(number % pods), pods::change(number)).await.map(drop)
        });
    let figures = load.await?.figures("patch", (flags.clients, flags.connections));
    server.stop().await?;
    Ok(figures)
}
