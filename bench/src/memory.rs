//! Memory of the API server: idle, per pod, per idle watch.
//!
//! Upstream: none
//! Left out: what is only touched under load.

use serde_json::{Value, json};

use crate::{
    Memory, pods,
    server::Server,
    usage::{resident_bytes, rounded},
    watches,
};

/// Resident memory of the server.
///
/// # Errors
/// A request fails.
pub async fn resident(flags: &Memory) -> anyhow::Result<Value> {
    let mut server = Server::start().await?;
    let idle = resident_bytes(server.pid())?;
    let connections = server.connect(4).await?;
    pods::create_all(&server, &connections, flags.pods).await?;
    let written = resident_bytes(server.pid())?;
    // What a restart reads is what has to be kept; the rest is history, and what the load left behind.
    server.restart().await?;
    let loaded = resident_bytes(server.pid())?;
    let connections = server.connect(50).await?;
    let before = resident_bytes(server.pid())?;
    let open = watches::open(&connections, flags.watches, |_| String::new()).await?;
    let watching = resident_bytes(server.pid())?;
    drop(open);
    server.stop().await?;
    let each = |bytes: u64, count: usize| rounded(bytes as f64 / count as f64);
    Ok(json!({
        "bench": "memory",
        "idle_mb": rounded(idle as f64 / 1e6),
        "pods": flags.pods,
        "after_creates_mb": rounded(written as f64 / 1e6),
        "after_restart_mb": rounded(loaded as f64 / 1e6),
        "bytes_per_pod": each(loaded.saturating_sub(idle), flags.pods),
        "watches": flags.watches,
        "bytes_per_watch": each(watching.saturating_sub(before), flags.watches),
    }))
}
