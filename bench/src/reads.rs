//! Reads: single pods, and the list of all.
//!
//! Upstream: none
//! Left out: label selectors; pages.

use serde_json::{Value, json};

use crate::{
    List, ListNode, Load, load, pods,
    server::Server,
    usage::{resident_bytes, rounded},
};

/// Pods read per second, each read consistent.
///
/// # Errors
/// A request fails.
pub async fn get(flags: &Load) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let connections = server.connect(flags.connections).await?;
    pods::create_all(&server, &connections, 1000).await?;
    let load = load::run(&server, &connections, (flags.clients, flags.count), |mut connection, number| async move {
        connection.send("GET", &pods::path(number % 1000), Default::default()).await.map(drop)
    });
    let figures = load.await?.figures("get", (flags.clients, flags.connections));
    server.stop().await?;
    Ok(figures)
}

/// How long a list of the pods of one node takes, each list consistent.
///
/// # Errors
/// A request fails.
pub async fn list_of_a_node(flags: &ListNode) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let connections = server.connect(4).await?;
    let nodes = flags.nodes;
    let body = move |number| pods::body_on(number, &format!("node-{}", number % nodes));
    pods::create_all_of(&server, &connections, flags.pods, body).await?;
    let load = load::run(&server, &connections, (1, flags.times), move |mut connection, number| async move {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-{}", number % nodes);
        connection.send("GET", &path, Default::default()).await.map(drop)
    });
    let mut figures = load.await?.figures("list-node", (1, 1));
    figures["pods"] = json!(flags.pods);
    figures["nodes"] = json!(flags.nodes);
    server.stop().await?;
    Ok(figures)
}

/// How long a list of all pods takes, each list consistent.
///
/// # Errors
/// A request fails.
pub async fn list(flags: &List) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let connections = server.connect(flags.parallel.max(4)).await?;
    pods::create_all(&server, &connections, flags.pods).await?;
    let connections = connections.asking_for(flags.encoding);
    let before = resident_bytes(server.pid())?;
    let count = flags.parallel * flags.times;
    let load = load::run(&server, &connections, (flags.parallel, count), |mut connection, _| async move {
        connection.send("GET", "/api/v1/pods", Default::default()).await.map(drop)
    });
    let mut figures = load.await?.figures("list", (flags.parallel, flags.parallel.max(4)));
    let grown = resident_bytes(server.pid())?.saturating_sub(before);
    let bytes = connections.first().send("GET", "/api/v1/pods", Default::default()).await?.len();
    figures["pods"] = json!(flags.pods);
    figures["encoding"] = json!(format!("{:?}", flags.encoding));
    figures["bytes"] = json!(bytes);
    figures["memory_growth_mb"] = json!(rounded(grown as f64 / 1e6));
    server.stop().await?;
    Ok(figures)
}
