//! The scheduler: gives each pod a node.
//!
//! Observe (`snapshot.rs` follows the caches), decide (`schedule.rs`, pure, with one file per rule in `plugins/`), act
//! (`bind.rs`); `cycle.rs` is the loop around them.
//!
//! Upstream: pkg/scheduler
//! Left out: preemption, extenders, several profiles.

mod bind;
pub mod configuration;
mod cycle;
pub mod metrics;
pub mod plugins;
mod queue;
pub mod resources;
pub mod schedule;
pub mod snapshot;

use client::Term;
use client::election::{self, Candidate};
use kube::Client;
use tokio_util::sync::CancellationToken;

use configuration::Configuration;
use metrics::Metrics;

/// The Lease that is stood for.
const LEASE: &str = "kube-scheduler";

/// Schedules until `shutdown`, when there is an election as long as this process leads.
///
/// # Errors
/// Leadership was lost: the process should end and start anew.
pub async fn run(
    config: Configuration,
    client: Client,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let name = config.scheduler_name().to_owned();
    if !config.leader_election.leader_elect {
        cycle::run(client, &name, metrics, shutdown).await;
        return Ok(());
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let identity = format!("{}_{:016x}", host.trim(), fastrand::u64(..));
    let candidate = Candidate { leads: metrics.client.leads(LEASE), ..Candidate::new(LEASE, &identity) };
    let work = |stop, term: Term| {
        let (client, metrics) = (term.fenced(client.clone()), metrics.clone());
        async move { cycle::run(client, &name, metrics, stop).await }
    };
    election::lead(client.clone(), candidate, shutdown, work).await?;
    Ok(())
}
