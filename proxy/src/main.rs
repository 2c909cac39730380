//! The proxy as a process of its own, with upstream's flags.
//!
//! Upstream: cmd/kube-proxy/proxy.go

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use component::flags::{self, Component};
use component::logging::LogFlags;
use ipnet::Ipv4Net;
use proxy::Config;
use proxy::config::{KubeProxyConfiguration, address, ipv4};

/// Makes Services reachable on one node.
#[derive(Debug, Parser)]
#[command(name = "skiff-proxy", version = component::version::GIT_VERSION)]
struct Flags {
    /// A KubeProxyConfiguration file; the flags below win.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How to reach the API server, and as whom.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The node's name, instead of the host's.
    #[arg(long)]
    hostname_override: Option<String>,
    /// The node's address, instead of the one that its Node says.
    #[arg(long)]
    bind_address: Option<IpAddr>,
    /// The addresses of all pods.
    #[arg(long)]
    cluster_cidr: Option<Ipv4Net>,
    /// The addresses of all Services, as the API server has them.
    #[arg(long)]
    service_cluster_ip_range: Option<Ipv4Net>,
    #[arg(long)]
    healthz_bind_address: Option<String>,
    #[arg(long)]
    metrics_bind_address: Option<String>,
    /// Where node ports answer; everywhere when not given.
    #[arg(long, value_delimiter = ',')]
    nodeport_addresses: Vec<Ipv4Net>,
    #[arg(long)]
    masquerade_all: bool,
    /// Remove all rules and routes, and end.
    #[arg(long)]
    cleanup: bool,
    #[command(flatten)]
    logs: LogFlags,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags: Flags = flags::parse(Component::Proxy);
    component::logging::init(&flags.logs);
    component::install_crypto_provider();
    if flags.cleanup {
        return proxy::clean_up().await;
    }
    let file = flags.config.as_deref().map(KubeProxyConfiguration::read).transpose()?.unwrap_or_default();
    let config = config(&flags, &file)?;
    let kubeconfig = flags.kubeconfig.unwrap_or_else(|| file.kubeconfig());
    let user_agent = format!("kube-proxy/{}", component::version::GIT_VERSION);
    let client::Numbers { registry, metrics } = client::Numbers::default();
    let client = client::connect_counted(&kubeconfig, &user_agent, &metrics).await;
    let client = client.context("no API server without --kubeconfig")?;
    proxy::run(config, client, registry, component::notify::ready, component::shutdown::on_signal()?).await
}

fn config(flags: &Flags, file: &KubeProxyConfiguration) -> anyhow::Result<Config> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let mut config = Config::new(host);
    config.take(file)?;
    config.node_name = flags.hostname_override.clone().unwrap_or(config.node_name);
    if let Some(given) = flags.bind_address.filter(|given| !given.is_unspecified()) {
        config.bind_address = Some(ipv4(given).context("--bind-address")?);
    }
    config.cluster_cidr = flags.cluster_cidr.unwrap_or(config.cluster_cidr);
    config.service_cidr = flags.service_cluster_ip_range.unwrap_or(config.service_cidr);
    if let Some(text) = &flags.healthz_bind_address {
        config.healthz_bind_address = address(text, 10256).context("--healthz-bind-address")?;
    }
    if let Some(text) = &flags.metrics_bind_address {
        config.metrics_bind_address = address(text, 10249).context("--metrics-bind-address")?;
    }
    config.node_port_addresses.extend(&flags.nodeport_addresses);
    config.masquerade_all |= flags.masquerade_all;
    Ok(config)
}
