//! The controller manager as a process of its own.
//!
//! Upstream: cmd/kube-controller-manager/controller-manager.go
//! Left out: a certificate of its own for health and metrics: it makes one that lasts a year.

use std::path::{Path, PathBuf};

use clap::Parser;
use client::ClientSource;
use component::flags::{self, Component};
use component::serve::{bind_health, serve_health};
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
    let client = client::connect(&kubeconfig, USER_AGENT).await?;
    let clients = match config.use_service_account_credentials {
        true => service_account_clients(client.clone(), without_credentials(&kubeconfig).await?),
        false => ClientSource::shared(client.clone()),
    };
    let listener = bind_health((config.bind_address, config.secure_port).into()).await?;
    // It stands for election from here on; one that waits for another to end is ready too.
    component::notify::ready();
    let serving = serve_health(listener, shutdown.clone());
    // Whichever ends first ends the process: one without the other is of no use.
    tokio::try_join!(serving, run(config, client, clients, shutdown.clone())).map(drop)
}

/// A client of the same API server that shows neither certificate nor token.
async fn without_credentials(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut bare = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    bare.auth_info = AuthInfo::default();
    bare.default_retry = false;
    Ok(Client::try_from(bare)?)
}
