//! The cluster's DNS of one node, as a process of its own.
//!
//! Upstream: CoreDNS; the flags that kube-proxy has too are spelled as there
//! Left out: a Corefile.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use component::logging::LogFlags;
use ipnet::Ipv4Net;
use proxy::config::{CLUSTER_CIDR, SERVICE_CIDR, address};
use proxy::dns::{self, Config};

/// Answers for the names of Services and pods on one node, and forwards all others.
#[derive(Debug, Parser)]
#[command(name = "skiff-dns", version = component::version::GIT_VERSION)]
struct Flags {
    /// How to reach the API server, and as whom.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The node's name, instead of the host's.
    #[arg(long)]
    hostname_override: Option<String>,
    /// The node's address, instead of the one that its Node says.
    #[arg(long)]
    bind_address: Option<Ipv4Addr>,
    /// The addresses of all pods.
    #[arg(long, default_value_t = CLUSTER_CIDR)]
    cluster_cidr: Ipv4Net,
    /// The addresses of all Services, as the API server has them.
    #[arg(long, default_value_t = SERVICE_CIDR)]
    service_cluster_ip_range: Ipv4Net,
    /// The cluster IP of the Service kube-dns.
    #[arg(long)]
    cluster_dns: Option<Ipv4Addr>,
    #[arg(long)]
    cluster_domain: Option<String>,
    /// Where the servers are named that know all names outside of the cluster.
    #[arg(long)]
    resolv_conf: Option<PathBuf>,
    /// Where /metrics, /health and /ready are served; nowhere when empty.
    #[arg(long, default_value = "127.0.0.1:9153")]
    metrics_bind_address: String,
    #[command(flatten)]
    logs: LogFlags,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    component::logging::init(&flags.logs);
    component::install_crypto_provider();
    let user_agent = format!("skiff-dns/{}", component::version::GIT_VERSION);
    let client::Numbers { registry, metrics } = client::Numbers::default();
    let client = client::connect_counted(&flags.kubeconfig, &user_agent, &metrics).await.context("--kubeconfig")?;
    dns::run(config(flags)?, client, registry, component::notify::ready, component::shutdown::on_signal()?).await
}

fn config(flags: Flags) -> anyhow::Result<Config> {
    let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let usual = Config::new(flags.hostname_override.unwrap_or_else(host));
    Ok(Config {
        bind_address: flags.bind_address,
        cluster_cidr: flags.cluster_cidr,
        service_cidr: flags.service_cluster_ip_range,
        cluster_ip: flags.cluster_dns.unwrap_or(usual.cluster_ip),
        domain: flags.cluster_domain.unwrap_or(usual.domain),
        resolv_conf: flags.resolv_conf.unwrap_or(usual.resolv_conf),
        metrics_bind_address: address(&flags.metrics_bind_address, 9153).context("--metrics-bind-address")?,
        ..usual
    })
}
