//! `skiff-kubelet`: the kubelet as a process of its own.
//!
//! Upstream: cmd/kubelet/kubelet.go

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use component::{flags, logging, shutdown};

#[derive(Parser)]
#[command(name = "skiff-kubelet", version = component::version::GIT_VERSION, about = "Runs the pods of one node")]
struct Flags {
    /// A KubeletConfiguration file.
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long)]
    kubeconfig: PathBuf,
    /// The node's name, instead of the host's.
    #[arg(long)]
    hostname_override: Option<String>,
    #[arg(long, value_delimiter = ',')]
    node_ip: Vec<IpAddr>,
    #[arg(long)]
    container_runtime_endpoint: Option<String>,
    #[arg(long)]
    root_dir: Option<PathBuf>,
    /// Where the CNI configuration lies, or is written if there is none.
    #[arg(long)]
    cni_conf_dir: Option<PathBuf>,
    /// Where the volumes of the class `local-path` lie.
    #[arg(long)]
    local_path_directory: Option<PathBuf>,
    #[command(flatten)]
    logs: logging::LogFlags,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags: Flags = flags::parse(flags::Component::Kubelet);
    logging::init(&flags.logs);
    component::install_crypto_provider();
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let mut config = kubelet::Config::new(flags.hostname_override.unwrap_or(host));
    if let Some(file) = &flags.config {
        config.read_file(file)?;
    }
    config.node_ips = flags.node_ip;
    config.root_dir = flags.root_dir.unwrap_or(config.root_dir);
    config.local_path_directory = flags.local_path_directory.unwrap_or(config.local_path_directory);
    config.cni_conf_dir = flags.cni_conf_dir.unwrap_or(config.cni_conf_dir);
    config.container_runtime_endpoint = flags.container_runtime_endpoint.unwrap_or(config.container_runtime_endpoint);
    let agent = format!("kubelet/{}", component::version::GIT_VERSION);
    let client::Numbers { registry, metrics } = client::Numbers::default();
    let client = client::connect_counted(&flags.kubeconfig, &agent, &metrics).await.context("no API server")?;
    kubelet::run(config, client, registry, component::notify::ready, shutdown::on_signal()?).await
}
