//! The cluster's DNS, on every node and without an image: names of Services and pods from memory, all others forwarded.
//!
//! It runs beside the proxy, as a process of its own: names are found while the proxy is restarted, and connections
//! are led while this is.
//! `zone.rs` holds what is known, `answer.rs` decides (pure), `wire.rs` reads and writes messages, `server.rs` listens,
//! `forward.rs` asks the machine's own resolvers, `publish.rs` makes the Service `kube-dns` lead here.
//!
//! Upstream: CoreDNS with the plugins kubernetes, forward and errors, as kubeadm configures it
//! Left out: a cache for forwarded answers, zone transfers, DNSSEC, ports of their own for health and readiness.

pub mod answer;
pub mod forward;
pub mod metrics;
pub mod publish;
pub mod server;
pub mod wire;
pub mod zone;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use client::{Cache, Change, ClientSource, Informers, ObjectKey, Runner};
use futures::{Stream, StreamExt};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, ResourceExt};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::{CLUSTER_CIDR, SERVICE_CIDR};
use crate::endpoint;
use crate::observed::{self, Observed};
use crate::serve;
use forward::Forwarder;
use metrics::Metrics;
use publish::Publisher;
use server::{Listener, Resolver};
use zone::Zone;

/// Everything that the cluster's DNS is told.
#[derive(Debug, Clone)]
pub struct Config {
    pub node_name: String,
    /// The node's address, instead of the one that the Node object says.
    pub bind_address: Option<Ipv4Addr>,
    /// All pods of all nodes: they may ask, and their addresses have names.
    pub cluster_cidr: Ipv4Net,
    /// All cluster IPs: they have names.
    pub service_cidr: Ipv4Net,
    /// The cluster IP of the Service `kube-dns`, which is in every pod's resolv.conf.
    pub cluster_ip: Ipv4Addr,
    pub domain: String,
    /// The port of the node's address that is listened on, if it is free; another one if not.
    pub port: u16,
    /// Where the servers are named that know all other names.
    pub resolv_conf: PathBuf,
    /// Where /metrics, /health and /ready are served: CoreDNS's port for the first. Its ports for the others, 8080 and
    /// 8181, would be the node's here.
    pub metrics_bind_address: Option<SocketAddr>,
}

impl Config {
    /// The defaults for the DNS of a node of this name.
    pub fn new(node_name: impl Into<String>) -> Config {
        // Behind systemd-resolved, /etc/resolv.conf names a stub on 127.0.0.53, which asks the servers in its own file.
        let real = Path::new("/run/systemd/resolve/resolv.conf");
        Config {
            node_name: node_name.into(),
            bind_address: None,
            cluster_cidr: CLUSTER_CIDR,
            service_cidr: SERVICE_CIDR,
            cluster_ip: Ipv4Addr::new(10, 96, 0, 10),
            domain: "cluster.local".to_owned(),
            port: 10_053,
            resolv_conf: if real.exists() { real.into() } else { "/etc/resolv.conf".into() },
            metrics_bind_address: Some(SocketAddr::from(([127, 0, 0, 1], 9153))),
        }
    }
}

/// Serves the cluster's DNS on this node until `shutdown`; says `ready` as soon as questions are answered. `registry` is
/// shown at /metrics, with the DNS's own numbers.
///
/// # Errors
/// The node's address is not this machine's, or the port of the metrics is taken.
pub async fn run(
    config: Config,
    client: Client,
    mut registry: Registry,
    ready: impl Fn() + Send,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let metrics = Metrics::shown_in(&mut registry);
    let is_ready = Arc::new(AtomicBool::new(false));
    let numbers = async {
        let Some(address) = config.metrics_bind_address else { return Ok(()) };
        serve::dns(address, registry, is_ready.clone(), shutdown.clone()).await
    };
    let answered_for = || {
        is_ready.store(true, Ordering::Relaxed);
        ready();
    };
    let informers = Informers::new(client.clone());
    let observed = Observed::new(&informers);
    let namespaces: Cache<Namespace> = informers.of();
    let runner = Runner::new(informers, ClientSource::shared(client), client::Metrics::default());
    let zone = Zone::new(&config.domain, config.cluster_ip, vec![config.service_cidr, config.cluster_cidr]);
    let zone = Arc::new(RwLock::new(zone));
    let all = async {
        // An answer from half of the names would deny the other half.
        tokio::join!(observed.synced(), namespaces.synced());
        tokio::select! {
            () = follow(zone.clone(), &observed, &namespaces) => Ok(()),
            failed = listen(&config, &runner, zone.clone(), &observed, metrics, answered_for) => failed,
        }
    };
    let all = async { shutdown.run_until_cancelled(all).await.unwrap_or(Ok(())) };
    tokio::try_join!(numbers, all)?;
    Ok(())
}

/// Keeps the zone equal to the caches.
async fn follow(zone: Arc<RwLock<Zone>>, observed: &Observed, namespaces: &Cache<Namespace>) {
    let mut changes = Box::pin(changes(observed, namespaces));
    while let Some(change) = changes.next().await {
        match change {
            Named::Namespace(name, exists) => {
                let mut zone = zone.write().unwrap_or_else(PoisonError::into_inner);
                if exists { zone.add_namespace(&name) } else { zone.remove_namespace(&name) }
            }
            Named::Service(key) => {
                let service = observed.services.get(&key);
                let entry = service.and_then(|service| zone::entry(&service, &observed.slices_of(&key)));
                zone.write().unwrap_or_else(PoisonError::into_inner).set(&key, entry);
            }
        }
    }
}

/// A name that changed.
enum Named {
    Namespace(String, bool),
    Service(ObjectKey),
}

fn changes(observed: &Observed, namespaces: &Cache<Namespace>) -> impl Stream<Item = Named> + Send + use<> {
    let namespaces = namespaces
        .changes()
        .map(|change: Change<Namespace>| Named::Namespace(change.object().name_any(), change.after.is_some()));
    let services = observed.services.changes().map(|change| Named::Service(ObjectKey::of(&**change.object())));
    let slices = observed.slices.changes().flat_map(|change| {
        let both = change.before.iter().chain(&change.after);
        let keys: Vec<Named> = both.filter_map(|slice| endpoint::service_of(slice)).map(Named::Service).collect();
        futures::stream::iter(keys)
    });
    futures::stream::select(namespaces, futures::stream::select(services, slices))
}

/// Listens on the node's address and says so in the API; again when the address changes.
async fn listen(
    config: &Config,
    runner: &Runner,
    zone: Arc<RwLock<Zone>>,
    observed: &Observed,
    metrics: Metrics,
    ready: impl Fn(),
) -> anyhow::Result<()> {
    let mut nodes = observed.nodes.changes();
    let node_key = ObjectKey::cluster(&config.node_name);
    loop {
        let node = observed.nodes.get(&node_key);
        let address = config.bind_address.or_else(|| node.as_deref().and_then(observed::address));
        let (Some(node), Some(address)) = (node, address) else {
            nodes.next().await;
            continue;
        };
        let listener = Listener::bind(SocketAddrV4::new(address, config.port)).await;
        let listener = listener.with_context(|| {
            format!(
                "can't listen on {address}, the address of the node {}: is it one of this machine?",
                node.name_any()
            )
        })?;
        info!(address = %listener.address, "the cluster's DNS listens");
        ready();
        let resolver = Arc::new(Resolver {
            zone: zone.clone(),
            forwarder: Forwarder::new(config.resolv_conf.clone(), vec![config.cluster_ip, address]),
            clients: vec![config.cluster_cidr, address.into()],
            name: format!("dns://{}", listener.address).into(),
            metrics: metrics.clone(),
        });
        let moved = async {
            let same = || observed.nodes.get(&node_key).as_deref().and_then(observed::address) == Some(address);
            while config.bind_address.is_some() || same() {
                nodes.next().await;
            }
        };
        let publisher =
            Publisher { observed: observed.clone(), node, address: listener.address, cluster_ip: config.cluster_ip };
        tokio::select! {
            () = listener.serve(resolver) => {}
            () = runner.run(publisher, CancellationToken::new()) => {}
            () = moved => {}
        }
    }
}
