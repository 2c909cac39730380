//! The controller manager as a process of its own.
//!
//! Upstream: cmd/kube-controller-manager/controller-manager.go
//! Left out: a certificate of its own for health and metrics: it makes one that lasts a year.

use std::path::{Path, PathBuf};

use clap::Parser;
use client::{ClientSource, Metrics, Numbers};
use component::flags::{self, Component};
use component::monitoring::gate::Gate;
use component::monitoring::{self, Monitoring};
use controller_manager::service_account_clients::service_account_clients;
use controller_manager::{Config, run};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, config::AuthInfo};

const USER_AGENT: &str = "kube-controller-manager";

/// Runs the controllers of a cluster.
#[derive(Debug, Parser)]
#[command(name = "skiff-controller-manager", version = component::version::GIT_VERSION)]
struct Flags {
    /// How to reach the API server, and as whom.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    #[command(flatten)]
    config: Config,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Flags { kubeconfig, config } = flags::parse(Component::ControllerManager);
    component::logging::init(&config.logs);
    component::install_crypto_provider();
    let shutdown = component::shutdown::on_signal()?;
    let Numbers { registry, metrics } = Numbers::default();
    let client = client::connect_counted(&kubeconfig, USER_AGENT, &metrics).await?;
    let clients = match config.use_service_account_credentials {
        true => service_account_clients(client.clone(), without_credentials(&kubeconfig, &metrics).await?),
        false => ClientSource::shared(client.clone()),
    };
    let listener = monitoring::bind((config.bind_address, config.secure_port).into()).await?;
    // It stands for election from here on; one that waits for another to end is ready too.
    component::notify::ready();
    let gate = Gate::new(client.clone());
    let monitoring = Monitoring { registry, gate, client_authority: config.client_ca_file.clone() };
    let serving = monitoring.serve(listener, shutdown.clone());
    // Whichever ends first ends the process: one without the other is of no use.
    tokio::try_join!(serving, run(config, client, clients, metrics, shutdown.clone())).map(drop)
}

/// A client of the same API server that shows neither certificate nor token.
async fn without_credentials(kubeconfig: &Path, metrics: &Metrics) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut bare = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    bare.auth_info = AuthInfo::default();
    bare.default_retry = false;
    Ok(metrics.client(bare)?)
}
