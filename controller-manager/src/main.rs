//! The controller manager as a process of its own.
//!
//! Upstream: cmd/kube-controller-manager/controller-manager.go
//! Left out: a certificate of its own for health and metrics: it makes one that lasts a year.

use client::ClientSource;
use component::flags::{self, Component};
use component::serve::serve_health;
use controller_manager::service_account_clients::service_account_clients;
use controller_manager::{Config, run};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, config::AuthInfo};

const USER_AGENT: &str = "kube-controller-manager";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config: Config = flags::parse(Component::ControllerManager);
    component::logging::init(&config.logs);
    component::install_crypto_provider();
    let shutdown = component::shutdown::on_signal()?;
    let client = client::connect(&config.kubeconfig, USER_AGENT).await?;
    let clients = match config.use_service_account_credentials {
        true => service_account_clients(client.clone(), without_credentials(&config).await?),
        false => ClientSource::shared(client.clone()),
    };
    let address = (config.bind_address, config.secure_port).into();
    component::notify::ready();
    let serving = serve_health(address, shutdown.clone());
    // Whichever ends first ends the process: one without the other is of no use.
    tokio::try_join!(serving, run(config, client, clients, shutdown.clone())).map(drop)
}

/// A client of the same API server that shows neither certificate nor token.
async fn without_credentials(config: &Config) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&config.kubeconfig)?;
    let mut bare = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    bare.auth_info = AuthInfo::default();
    bare.default_retry = false;
    Ok(Client::try_from(bare)?)
}
