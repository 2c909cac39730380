//! `skiff up`: a cluster that runs, whatever was there before: nothing, a stopped cluster, one with a process missing.
//!
//! Upstream: cmd/kubeadm/app/cmd/init.go
//! Left out: other nodes.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use ipnet::Ipv4Net;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, runtime::watcher};

use crate::{
    commands::doctor,
    containerd, credentials,
    layout::Layout,
    parts, process,
    progress::step,
    settings::{API_PORT, CLUSTER_CIDR, SERVICE_CIDR, Settings, Shape},
    user_kubeconfig,
};

/// How long a process may take until it is ready. Replaying a large store takes the longest.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  skiff up                 one process, embedded store\n  \
                        skiff up --separate      five processes and etcd\n  skiff up --name lab      a second cluster")]
pub struct Flags {
    /// A process for each component and etcd, instead of one process with an embedded store.
    #[arg(long)]
    separate: bool,
    /// The node's name, instead of the host's.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// The node's address, instead of the one that the default route leads from.
    #[arg(long, value_name = "ADDRESS")]
    node_ip: Option<Ipv4Addr>,
    /// The API server's port.
    #[arg(long, value_name = "PORT", default_value_t = API_PORT)]
    api_port: u16,
    /// Where pods get their addresses from; the next free range if this one overlaps a route.
    #[arg(long, value_name = "CIDR", default_value_t = CLUSTER_CIDR)]
    cluster_cidr: Ipv4Net,
    /// Where Services get their addresses from; the next free range if this one overlaps a route.
    #[arg(long, value_name = "CIDR", default_value_t = SERVICE_CIDR)]
    service_cidr: Ipv4Net,
}

pub async fn run(layout: &Layout, flags: &Flags) -> anyhow::Result<()> {
    let settings = match Settings::read(&layout.settings())? {
        Some(settings) => {
            let same = !flags.separate || settings.shape == Shape::Separate;
            ensure!(same, "this cluster was made as one process; `skiff delete` it first to change its shape");
            settings
        }
        None => choose(layout, flags).await?,
    };
    step("certificates and kubeconfigs", async { credentials::ensure(layout, &settings, Timestamp::now()) }).await?;
    for name in parts::names(settings.shape) {
        if process::find(layout, name).is_none() {
            let start = parts::start(layout, &settings, name)?;
            step(name, process::start(layout, &start, PATIENCE)).await?;
        }
        if *name == "containerd" {
            let pause = parts::own_program("skiff-pause.static")?;
            step("pause image", async { containerd::import_pause_image(layout, &pause) }).await?;
        }
    }
    step("node is Ready", node_is_ready(layout, &settings)).await?;
    let kubeconfig = user_kubeconfig::merge(layout)?;
    println!("{kubeconfig}");
    Ok(())
}

/// Decides about a cluster that is new, and writes the decision down.
async fn choose(layout: &Layout, flags: &Flags) -> anyhow::Result<Settings> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let node_name = flags.node_name.clone().unwrap_or(host);
    let wrong = api::names::is_dns1123_subdomain(&node_name);
    ensure!(wrong.is_empty(), "{node_name:?} is no node name ({}); choose one with --node-name", wrong.join("; "));
    let node_address = match flags.node_ip {
        Some(address) => address.into(),
        None => own_address()?,
    };
    let routes = doctor::routes()?;
    let cluster_cidr = free_range(flags.cluster_cidr, &routes, "pods")?;
    let service_cidr = free_range(flags.service_cidr, &[routes, vec![cluster_cidr]].concat(), "Services")?;
    let shape = if flags.separate { Shape::Separate } else { Shape::One };
    let settings = Settings { shape, node_name, node_address, api_port: flags.api_port, cluster_cidr, service_cidr };
    doctor::before_up(layout, &settings)?;
    for folder in [&layout.config, &layout.volumes()] {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    }
    settings.write(&layout.settings())?;
    Ok(settings)
}

/// `wanted`, or the next range of its size that no route overlaps.
fn free_range(wanted: Ipv4Net, routes: &[Ipv4Net], whose: &str) -> anyhow::Result<Ipv4Net> {
    let chosen = doctor::next_free(wanted, routes)
        .with_context(|| format!("every range from {wanted} on overlaps a route; choose one for {whose}"))?;
    if chosen != wanted {
        println!("{whose} get addresses from {chosen}: {wanted} overlaps a route of this machine");
    }
    Ok(chosen)
}

/// The address that leads to the world, or the first one that is not loopback's.
fn own_address() -> anyhow::Result<IpAddr> {
    let routed = kubelet::machine::own_address();
    if !routed.is_loopback() {
        return Ok(routed);
    }
    let listed = Command::new("ip").args(["-j", "-4", "address", "show", "scope", "global"]).output();
    let listed = listed.context("can't run ip, of the package iproute2")?;
    let links: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    let links = links.as_array().into_iter().flatten();
    let mut addresses = links.flat_map(|link| link["addr_info"].as_array().into_iter().flatten());
    let first = addresses.find_map(|address| address["local"].as_str()?.parse().ok());
    first.context("this machine has no address but loopback's; name one with --node-ip")
}

/// Watches the node until it is Ready.
async fn node_is_ready(layout: &Layout, settings: &Settings) -> anyhow::Result<()> {
    let client = client::connect(&layout.kubeconfig("admin"), "skiff").await?;
    let config = watcher::Config::default().fields(&format!("metadata.name={}", settings.node_name));
    let mut nodes = std::pin::pin!(watcher(Api::<Node>::all(client), config));
    let ready = async {
        while let Some(event) = nodes.try_next().await? {
            if let watcher::Event::Apply(node) | watcher::Event::InitApply(node) = event
                && is_ready(&node)
            {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    let patient = tokio::time::timeout(PATIENCE, ready).await;
    patient.with_context(|| {
        format!("the node is not Ready after {} s: see {}", PATIENCE.as_secs(), layout.log("kubelet").display())
    })?
}

/// Whether the kubelet says so, and nothing keeps pods away any more.
pub fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    ready && !taints.into_iter().any(|taint| taint.key == "node.kubernetes.io/not-ready")
}
