//! The kubelet: makes the pods that are bound to a node run there.
//!
//! Upstream: pkg/kubelet
//! Left out: static pods, device plugins, eviction, image collection, swap.
//!
//! Read `plan` first: it decides, purely, what has to happen next for one pod; `status` decides what is reported of it.
//! `worker` is the loop around both, `acts` does what was planned, `pods` gives every pod a worker.

use std::sync::Arc;

use ::client::{Cache, Informers, Recorder, Selector};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub mod acts;
pub mod cgroups;
pub mod cni;
pub mod config;
pub mod container;
pub mod cri;
pub mod dns;
pub mod environment;
pub mod expansion;
pub mod field_path;
pub mod go_duration;
pub mod hostname;
pub mod http_get;
pub mod images;
pub mod local_volumes;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod node;
pub mod node_events;
pub mod observed;
pub mod plan;
pub mod pod_spec;
pub mod pods;
pub mod probes;
pub mod recorder;
pub mod resources;
pub mod runtime_events;
pub mod sandbox;
pub mod security;
pub mod server;
pub mod status;
pub mod termination;
pub mod volumes;
pub mod worker;

pub use config::Config;

/// Runs the kubelet of one node until `shutdown`; says `ready` when it listens and knows its pods. Containers run on when
/// it ends. `registry` is shown at /metrics, with the kubelet's own numbers.
///
/// # Errors
/// The root folder can't be made, or the server can't listen.
pub async fn run(
    mut config: Config,
    client: kube::Client,
    mut registry: Registry,
    ready: impl FnOnce() + Send,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.root_dir)?;
    if config.node_ips.is_empty() {
        config.node_ips = vec![machine::own_address()];
    }
    let bound = server::bind(&config.server, &config.node_name).await?;
    let machine = machine::Machine::look(&config.root_dir);
    let metrics = metrics::Metrics::new(&mut registry, &config.node_name);
    let runtime = cri::Runtime::new(&config.container_runtime_endpoint, metrics.clone());
    let informers = Informers::new(client.clone());
    let of_node = Selector::fields(format!("spec.nodeName={}", config.node_name));
    let this_node = Selector::fields(format!("metadata.name={}", config.node_name));
    let pods: Cache<Pod> = informers.selected(of_node);
    let nodes: Cache<Node> = informers.selected(this_node);
    let services: Cache<Service> = informers.of();
    let recorder = Recorder::on_host(client.clone(), "kubelet", &config.node_name);

    let (heard, events) = tokio::sync::mpsc::channel(1024);
    let (own, seen) = (config.clone(), machine.clone());
    let told = recorder.clone();
    let acts = acts::Acts::new(own, client.clone(), runtime.clone(), recorder, services, seen, metrics);
    let acts = Arc::new(acts);
    let node = node::Keeper::new(config.clone(), client, runtime.clone(), machine, told);
    let network_written = Notify::new();
    let first = async {
        if shutdown.run_until_cancelled(pods.synced()).await.is_some() {
            ready();
        }
    };
    tokio::join!(
        first,
        runtime_events::follow(runtime.clone(), heard, shutdown.clone()),
        network(&config, nodes, &network_written, &shutdown),
        node.keep(&network_written, shutdown.clone()),
        logs::rotation::follow(&config, runtime.clone(), shutdown.clone()),
        local_volumes::follow(&config, &informers, shutdown.clone()),
        server::Server::new(acts.clone(), pods.clone()).run(bound, registry, shutdown.clone()),
        pods::follow(acts, pods.clone(), events, shutdown.clone()),
    );
    Ok(())
}

/// Writes the network's configuration as soon as the node has a range of addresses, and says so to `written`.
async fn network(config: &Config, nodes: Cache<Node>, written: &Notify, shutdown: &CancellationToken) {
    let mut changes = nodes.changes();
    while let Some(Some(change)) = shutdown.run_until_cancelled(changes.next()).await {
        let range = change.after.and_then(|node| node.spec.as_ref()?.pod_cidr.clone());
        let Some(range) = range else { continue };
        match cni::ensure(&config.cni_conf_dir, &config.root_dir, &range) {
            Ok(true) => written.notify_one(),
            Ok(false) => {}
            Err(error) => warn!(%error, "the pod network is not configured"),
        }
    }
}
