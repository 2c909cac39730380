//! The scheduler as a process of its own, with upstream's flags.
//!
//! Upstream: cmd/kube-scheduler/scheduler.go

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use component::flags::{self, Component};
use component::logging::LogFlags;
use component::monitoring::gate::Gate;
use component::monitoring::{self, Monitoring};
use scheduler::configuration::Configuration;
use scheduler::metrics::Metrics;

/// Gives each pod a node.
#[derive(Debug, Parser)]
#[command(name = "skiff-scheduler", version = component::version::GIT_VERSION)]
struct Flags {
    /// A KubeSchedulerConfiguration file; the flags below win.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How to reach the API server, and as whom.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Whether to stand for election before scheduling.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind_address: IpAddr,
    #[arg(long, value_name = "PORT", default_value_t = 10259)]
    secure_port: u16,
    /// The authority that the certificates of those who read metrics are of; without it only their tokens count.
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    #[command(flatten)]
    logs: LogFlags,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags: Flags = flags::parse(Component::Scheduler);
    component::logging::init(&flags.logs);
    component::install_crypto_provider();
    let mut config = match &flags.config {
        Some(path) => Configuration::read(path)?,
        None => Configuration::default(),
    };
    if let Some(leader_elect) = flags.leader_elect {
        config.leader_election.leader_elect = leader_elect;
    }
    let kubeconfig = flags.kubeconfig.unwrap_or_else(|| config.client_connection.kubeconfig.clone().into());
    let user_agent = format!("kube-scheduler/{}", component::version::GIT_VERSION);
    let mut numbers = client::Numbers::default();
    let client = client::connect_counted(&kubeconfig, &user_agent, &numbers.metrics).await;
    let client = client.context("no API server without --kubeconfig")?;
    let shutdown = component::shutdown::on_signal()?;
    let listener = monitoring::bind((flags.bind_address, flags.secure_port).into()).await?;
    // It stands for election from here on; one that waits for another to end is ready too.
    component::notify::ready();
    let metrics = Metrics::new(&mut numbers, config.scheduler_name());
    let gate = Gate::new(client.clone());
    let monitoring = Monitoring { registry: numbers.registry, gate, client_authority: flags.client_ca_file };
    let serving = monitoring.serve(listener, shutdown.clone());
    tokio::try_join!(serving, scheduler::run(config, client, metrics, shutdown.clone())).map(drop)
}
