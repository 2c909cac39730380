//! How soon watchers see a write, and what watchers cost that aren't interested in it.
//!
//! Upstream: none
//! Left out: the moment of the commit: a latency is counted from before the write was sent, so it includes the write.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Latency,
    connection::{Answer, Connections},
    load::{self, milliseconds, quantile},
    pods,
    server::Server,
    watches,
};

/// The annotation that says when a write was sent, in nanoseconds since the bench began.
const SENT: &str = "example.com/sent";
/// Between two writes: the watchers have done with one when the next comes.
const PAUSE: Duration = Duration::from_millis(50);
/// Writes whose cost is compared.
const COMPARED: usize = 3000;

/// The time from a write to its event at each of many watchers, and the cost of writes with many watchers of others'
/// pods.
///
/// # Errors
/// A request fails, or a watch ends.
pub async fn latency(flags: &Latency) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let writers = server.connect(4).await?;
    pods::create_all(&server, &writers, 4).await?;
    let alone_us = cost_of_writes(&server, &writers).await?;
    let (uninterested_us, uninterested) = {
        let connections = server.connect(flags.connections).await?;
        let selector = |number| format!("&fieldSelector=spec.nodeName%3Dnode-{number}");
        let open = watches::open(&connections, flags.uninterested, selector).await?;
        (cost_of_writes(&server, &writers).await?, open.len())
    };
    let connections = server.connect(flags.connections).await?;
    let open = watches::open(&connections, flags.watchers, |_| String::new()).await?;
    let latencies = latencies(&writers, open, flags.events).await?;
    server.stop().await?;
    Ok(json!({
        "bench": "watch-latency",
        "watchers": flags.watchers,
        "connections": flags.connections,
        "events": flags.events,
        "p50_ms": milliseconds(quantile(&latencies, 0.5)),
        "p99_ms": milliseconds(quantile(&latencies, 0.99)),
        "server_cpu_us_per_write_unwatched": alone_us,
        "uninterested_watchers": uninterested,
        "server_cpu_us_per_write_with_them": uninterested_us,
    }))
}

/// The server's processor time for a patch, in microseconds.
async fn cost_of_writes(server: &Server, writers: &Connections) -> anyhow::Result<f64> {
    let load = load::run(server, writers, (4, COMPARED), |mut connection, number| async move {
        connection.send("PATCH", &pods::path(number % 4), pods::change(number)).await.map(drop)
    });
    Ok(load.await?.server_us())
}

/// Writes at a steady pace; how long each watcher waited for each event, sorted.
async fn latencies(writers: &Connections, watches: Vec<Answer>, events: usize) -> anyhow::Result<Vec<Duration>> {
    let began = Instant::now();
    let mut watching = JoinSet::new();
    for watch in watches {
        watching.spawn(arrivals(watch, events, began));
    }
    let mut writer = writers.first();
    let mut pace = tokio::time::interval(PAUSE);
    for _ in 0..events {
        pace.tick().await;
        let sent = began.elapsed().as_nanos().to_string();
        let change = json!({"metadata": {"annotations": {SENT: sent}}});
        writer.send("PATCH", &pods::path(0), change.to_string().into()).await?;
    }
    let mut latencies = Vec::new();
    while let Some(watch) = watching.join_next().await {
        latencies.extend(watch??);
    }
    latencies.sort();
    Ok(latencies)
}

/// Reads so many events, one a line, and how long each took from its write.
async fn arrivals(mut watch: Answer, events: usize, began: Instant) -> anyhow::Result<Vec<Duration>> {
    let (mut latencies, mut unread) = (Vec::with_capacity(events), Vec::new());
    while latencies.len() < events {
        let bytes = watch.next().await?.context("the watch ended early")?;
        let now = began.elapsed();
        unread.extend_from_slice(&bytes);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            latencies.push(now.saturating_sub(sent_at(&unread[..end])?));
            unread.drain(..=end);
        }
    }
    Ok(latencies)
}

/// When the write of an event was sent.
fn sent_at(line: &[u8]) -> anyhow::Result<Duration> {
    let line = std::str::from_utf8(line)?;
    let (_, rest) = line.split_once(&format!("\"{SENT}\":\"")).context("an event without the time of its write")?;
    let (nanoseconds, _) = rest.split_once('"').context("the time has no end")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_when_its_write_was_sent() {
        let line = br#"{"object":{"metadata":{"annotations":{"example.com/sent":"1500"}}}}"#;
        assert_eq!(sent_at(line).unwrap(), Duration::from_nanos(1500));
        assert!(sent_at(b"{}").is_err());
    }
}
