//! Watch events to many watchers.
//!
//! Upstream: none
//! Left out: watchers with label selectors; the time from a write to its event, which `latency` measures.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Watch,
    connection::{Answer, Connections, Encoding},
    load, pods,
    server::Server,
    usage::{per_operation_us, processor_time, rounded},
};

/// Events delivered per second: from the first write until every watcher has every event.
///
/// # Errors
/// A request fails, or a watch ends.
pub async fn fan_out(flags: &Watch) -> anyhow::Result<Value> {
    let server = Server::start().await?;
    let writers = server.connect(flags.writers).await?;
    let pods = flags.writers;
    pods::create_all(&server, &writers, pods).await?;
    let connections = server.connect(flags.connections).await?.asking_for(flags.encoding);
    let watches = open(&connections, flags.watchers, |_| String::new()).await?;
    let used = processor_time(server.pid())?;
    let began = Instant::now();
    let mut watching = JoinSet::new();
    for watch in watches {
        watching.spawn(count_to(watch, Counter::of(flags.encoding), flags.events));
    }
    let (clients, events) = (flags.writers, flags.events);
    let load = load::run(&server, &writers, (clients, events), move |mut connection, number| async move {
        connection.send("PATCH", &pods::path(number % pods), pods::change(number)).await.map(drop)
    });
    load.await?;
    let written = began.elapsed();
    while let Some(watch) = watching.join_next().await {
        watch??;
    }
    let took = began.elapsed();
    let deliveries = flags.watchers * flags.events;
    let figures = json!({
        "bench": "watch",
        "encoding": format!("{:?}", flags.encoding),
        "watchers": flags.watchers,
        "connections": flags.connections,
        "events": flags.events,
        "deliveries_per_second": rounded(deliveries as f64 / took.as_secs_f64()),
        "written_after_ms": load::milliseconds(written),
        "delivered_after_ms": load::milliseconds(took),
        "server_cpu_us_per_delivery": per_operation_us(server.pid(), used, deliveries)?,
    });
    server.stop().await?;
    Ok(figures)
}

/// Opens watches of pods from now on, spread over the connections; `more` is the rest of each one's query.
///
/// # Errors
/// A watch is refused.
pub async fn open(
    connections: &Connections,
    count: usize,
    more: impl Fn(usize) -> String,
) -> anyhow::Result<Vec<Answer>> {
    let mut first = connections.first().asking_for(Encoding::Json);
    let list = first.send("GET", &format!("{}?limit=1", pods::COLLECTION), Default::default()).await?;
    let list: Value = serde_json::from_slice(&list)?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("a list has a revision")?;
    let path = format!("{}?watch=1&resourceVersion={revision}", pods::COLLECTION);
    let mut watches = Vec::new();
    for number in 0..count {
        let path = format!("{path}{}", more(number));
        let response = connections.of(number).begin("GET", &path, Default::default()).await?;
        ensure!(response.status().is_success(), "watch: {}", response.status());
        watches.push(response.into_body());
    }
    Ok(watches)
}

/// Counts the events of a watch without reading them.
enum Counter {
    /// One a line.
    Lines,
    /// Each behind its length, four bytes, highest first: how many bytes of one are missing, and what there is of the
    /// next one's length.
    Lengths { missing: usize, length: Vec<u8> },
}

impl Counter {
    fn of(encoding: Encoding) -> Counter {
        match encoding {
            Encoding::Json => Counter::Lines,
            Encoding::Protobuf => Counter::Lengths { missing: 0, length: Vec::new() },
        }
    }

    /// How many events end in these bytes, which follow those before.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let Counter::Lengths { missing, length } = self else {
            return bytes.iter().filter(|byte| **byte == b'\n').count();
        };
        let mut ended = 0;
        while let Some(first) = bytes.first() {
            if *missing > 0 {
                let taken = bytes.len().min(*missing);
                bytes = &bytes[taken..];
                *missing -= taken;
                ended += usize::from(*missing == 0);
                continue;
            }
            length.push(*first);
            bytes = &bytes[1..];
            if let [a, b, c, d] = length[..] {
                *missing = u32::from_be_bytes([a, b, c, d]) as usize;
                length.clear();
            }
        }
        ended
    }
}

/// Reads until so many events have come.
async fn count_to(mut watch: Answer, mut counter: Counter, events: usize) -> anyhow::Result<()> {
    let mut seen = 0;
    while seen < events {
        seen += counter.count(&watch.next().await?.context("the watch ended early")?);
    }
    ensure!(seen == events, "{seen} events instead of {events}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_however_they_are_cut() {
        let cases: [(Encoding, &[u8]); 2] =
            [(Encoding::Json, b"{}\n{\"a\":1}\n{}\n"), (Encoding::Protobuf, b"\0\0\0\x02ab\0\0\0\x01c\0\0\0\x03def")];
        for (encoding, bytes) in cases {
            for size in 1..bytes.len() {
                let mut counter = Counter::of(encoding);
                assert_eq!(
                    bytes.chunks(size).map(|piece| counter.count(piece)).sum::<usize>(),
                    3,
                    "{encoding:?} {size}"
                );
            }
        }
    }
}
