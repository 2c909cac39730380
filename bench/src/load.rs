//! A number of clients that do the same again and again, each as fast as it is answered.
//!
//! Upstream: none
//! Left out: a fixed rate of arrival.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    connection::{Connection, Connections},
    server::Server,
    usage::{per_operation_us, processor_time, rounded},
};

/// How long each operation took, and all together.
pub struct Outcome {
    latencies: Vec<Duration>,
    took: Duration,
    server_us: f64,
}

/// Does `operation` for every number below `count`, by `clients` at once.
///
/// # Errors
/// The first operation that fails.
pub async fn run<F>(
    server: &Server,
    connections: &Connections,
    (clients, count): (usize, usize),
    operation: impl Fn(Connection, usize) -> F + Send + Sync + 'static,
) -> anyhow::Result<Outcome>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let (operation, next) = (Arc::new(operation), Arc::new(AtomicUsize::new(0)));
    let used = processor_time(server.pid())?;
    let began = Instant::now();
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (operation, next, connection) = (operation.clone(), next.clone(), connections.of(client));
        running.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(latencies);
                }
                let began = Instant::now();
                operation(connection.clone(), number).await?;
                latencies.push(began.elapsed());
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(client) = running.join_next().await {
        latencies.extend(client??);
    }
    let took = began.elapsed();
    latencies.sort();
    Ok(Outcome { latencies, took, server_us: per_operation_us(server.pid(), used, count)? })
}

impl Outcome {
    /// The server's processor time per operation, in microseconds.
    pub fn server_us(&self) -> f64 {
        self.server_us
    }

    /// The figures of a run.
    pub fn figures(&self, bench: &str, (clients, connections): (usize, usize)) -> Value {
        json!({
            "bench": bench,
            "clients": clients,
            "connections": connections,
            "operations": self.latencies.len(),
            "per_second": rounded(self.latencies.len() as f64 / self.took.as_secs_f64()),
            "p50_ms": milliseconds(quantile(&self.latencies, 0.5)),
            "p99_ms": milliseconds(quantile(&self.latencies, 0.99)),
            "server_cpu_us_per_operation": self.server_us,
        })
    }
}

/// The value below which this share of the sorted `values` lies.
pub fn quantile(values: &[Duration], share: f64) -> Duration {
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

pub fn milliseconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let values: Vec<Duration> = (1..=101).map(Duration::from_millis).collect();
        assert_eq!(quantile(&values, 0.5), Duration::from_millis(51));
        assert_eq!(quantile(&values, 0.99), Duration::from_millis(100));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
