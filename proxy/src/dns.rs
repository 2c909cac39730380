//! The cluster's DNS, on every node and without an image: names of Services and pods from memory, all others forwarded.
//!
//! `zone.rs` holds what is known, `answer.rs` decides (pure), `wire.rs` reads and writes messages, `server.rs` listens,
//! `forward.rs` asks the machine's own resolvers, `publish.rs` makes the Service `kube-dns` lead here.
//!
//! Upstream: CoreDNS with the plugins kubernetes, forward and errors, as kubeadm configures it
//! Left out: a cache for forwarded answers, zone transfers, DNSSEC.

pub mod answer;
pub mod forward;
pub mod publish;
pub mod server;
pub mod wire;
pub mod zone;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use client::{Cache, Change, Informers, ObjectKey};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::endpoint;
use crate::observed::{self, Observed};
use forward::Forwarder;
use server::{Listener, Resolver};
use zone::Zone;

/// How long to wait before listening is tried again: the kernel does not say when an address becomes usable.
const RETRY: Duration = Duration::from_secs(1);

/// How the cluster's DNS is served.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cluster IP of the Service `kube-dns`, which is in every pod's resolv.conf.
    pub cluster_ip: Ipv4Addr,
    pub domain: String,
    /// The port of the node's address that is listened on, if it is free; another one if not.
    pub port: u16,
    /// Where the servers are named that know all other names.
    pub resolv_conf: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        // Behind systemd-resolved, /etc/resolv.conf names a stub on 127.0.0.53, which asks the servers in its own file.
        let real = Path::new("/run/systemd/resolve/resolv.conf");
        Config {
            cluster_ip: Ipv4Addr::new(10, 96, 0, 10),
            domain: "cluster.local".to_owned(),
            port: 10_053,
            resolv_conf: if real.exists() { real.into() } else { "/etc/resolv.conf".into() },
        }
    }
}

/// Serves the cluster's DNS on this node until `shutdown`.
pub async fn run(
    config: &Config,
    proxy: &crate::Config,
    client: Client,
    informers: &Informers,
    observed: Observed,
    shutdown: CancellationToken,
) {
    let namespaces: Cache<Namespace> = informers.of();
    let zone = Zone::new(&config.domain, config.cluster_ip, vec![proxy.service_cidr, proxy.cluster_cidr]);
    let zone = Arc::new(RwLock::new(zone));
    let all = async {
        // An answer from half of the names would deny the other half.
        tokio::join!(observed.synced(), namespaces.synced());
        let follow = follow(zone.clone(), &observed, &namespaces);
        tokio::join!(follow, listen(config, proxy, client, zone.clone(), &observed));
    };
    shutdown.run_until_cancelled(all).await;
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
async fn listen(config: &Config, proxy: &crate::Config, client: Client, zone: Arc<RwLock<Zone>>, observed: &Observed) {
    let mut nodes = observed.nodes.changes();
    let node_key = ObjectKey::cluster(&proxy.node_name);
    loop {
        let node = observed.nodes.get(&node_key);
        let address = proxy.bind_address.or_else(|| node.as_deref().and_then(observed::address));
        let (Some(node), Some(address)) = (node, address) else {
            nodes.next().await;
            continue;
        };
        let listener = match Listener::bind(SocketAddrV4::new(address, config.port)).await {
            Ok(listener) => listener,
            Err(error) => {
                warn!(%address, %error, "the cluster's DNS can't listen, will retry");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        info!(address = %listener.address, "the cluster's DNS listens");
        let resolver = Arc::new(Resolver {
            zone: zone.clone(),
            forwarder: Forwarder::new(config.resolv_conf.clone(), vec![config.cluster_ip, address]),
            clients: vec![proxy.cluster_cidr, address.into()],
        });
        let moved = async {
            let same = || observed.nodes.get(&node_key).as_deref().and_then(observed::address) == Some(address);
            while proxy.bind_address.is_some() || same() {
                nodes.next().await;
            }
        };
        let place = publish::Place { node: &node, address: listener.address, cluster_ip: config.cluster_ip };
        tokio::select! {
            () = listener.serve(resolver) => {}
            () = publish::keep(&client, observed, place) => {}
            () = moved => {}
        }
    }
}
