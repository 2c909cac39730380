//! The controllers: each watches some kinds, and works until the world is as an object says it should be.
//!
//! A controller is one file: what wakes it (`watches`), what it needs to know (`gather`), and the pure decision
//! (`plan`). Everything else, retries, back-off, order, is the one runner's (client/src/runner.rs).
//!
//! Upstream: cmd/kube-controller-manager, pkg/controller
//! Left out: the controllers that a one-node application does not touch yet: StatefulSet, DaemonSet, Job, CronJob,
//! autoscaling, disruption, certificates, TTL.

pub mod actions;
pub mod config;
pub mod deployment;
pub mod endpoint_slice;
pub mod endpoints;
pub mod garbage;
pub mod kinds;
mod live;
pub mod load_balancer;
pub mod local_path_class;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
mod nodes;
mod owner;
pub mod pod_gc;
mod pods;
pub mod provisioner;
pub mod replica_set;
pub mod resource_quota;
pub mod root_ca;
pub mod service_account;
pub mod service_account_clients;
mod service_pods;
pub mod taint_eviction;
#[cfg(test)]
mod test_world;
mod trigger_time;
pub mod volume_binder;
pub mod volume_protection;
mod waking;

use std::sync::Arc;

use anyhow::Context;
use client::election::{self, Candidate};
use client::{ClientSource, Controller, Informers, Metrics, Runner, Term};
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::Config;

/// The Lease that is stood for.
const LEASE: &str = "kube-controller-manager";

/// Runs the controllers until `shutdown`.
///
/// `client` reads, as the controller manager; `clients` gives each controller the client that it writes with. The
/// controllers count in `metrics`.
///
/// # Errors
/// The CA certificate can't be read, or another controller manager leads now.
pub async fn run(
    config: Config,
    client: Client,
    clients: ClientSource,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let root_ca = match &config.root_ca_file {
        Some(file) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("--root-ca-file {}", file.display()))?)
        }
        None => None,
    };
    if !config.leader_elect {
        let runner = Runner::new(Informers::new(client), clients, metrics);
        return control(&config, root_ca, runner, shutdown).await;
    }
    let leads = metrics.leads(LEASE);
    let candidate = Candidate { leads, ..Candidate::new(LEASE, &identity()) };
    let mut ended = Ok(());
    let work = |stop, term: Term| {
        let clients = term.fenced_source(clients);
        let runner = Runner::new(Informers::new(client.clone()), clients, metrics);
        async { ended = control(&config, root_ca, runner, stop).await }
    };
    election::lead(client.clone(), candidate, shutdown, work).await?;
    ended
}

/// This process among its kind: the host's name and something of its own.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), std::process::id())
}

/// Starts every controller, and ends with them.
async fn control(
    config: &Config,
    root_ca: Option<String>,
    runner: Runner,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let informers = runner.informers().clone();
    let kinds = kinds::Kinds::new(informers.clone());
    let mut all = Controllers { config, runner, shutdown: shutdown.clone(), running: JoinSet::new() };
    let informers = &informers;
    all.start(replica_set::ReplicaSets::new(informers));
    all.start(deployment::Deployments::new(informers));
    all.start(service_account::ServiceAccounts::new(informers));
    if let Some(root_ca) = root_ca {
        all.start(root_ca::RootCa::new(informers, Arc::from(root_ca)));
    }
    all.start(endpoints::EndpointsOfServices::new(informers));
    all.start(endpoint_slice::EndpointSlices::new(informers));
    all.start(namespace::Namespaces::new(informers, kinds.clone()));
    all.start(garbage::GarbageCollector::new(kinds.clone()));
    all.start(node_lifecycle::NodeLifecycle::new(informers));
    all.start(taint_eviction::TaintEviction::new(informers));
    all.start(pod_gc::PodGc::new(informers, config.finished_pods()));
    if config.allocate_node_cidrs {
        let services = config.service_cluster_ip_range.clone();
        all.start(node_ipam::NodeIpam::new(informers, config.cluster_cidr.clone(), services));
    }
    all.start(volume_binder::ClaimBinder::new(informers));
    all.start(volume_binder::VolumeBinder::new(informers));
    all.start(provisioner::Provisioner::new(informers, &config.local_path_directory));
    all.start(provisioner::Releaser::new(informers));
    all.start(local_path_class::LocalPathClass::new(informers));
    all.start(volume_protection::ClaimProtection::new(informers));
    all.start(volume_protection::VolumeProtection::new(informers));
    all.start(volume_protection::ClassProtection::new(informers));
    all.start(load_balancer::LoadBalancers::new(informers));
    all.start(resource_quota::ResourceQuotas::new(informers, kinds.clone()));
    all.running.spawn(async move { kinds.keep(shutdown).await });
    while let Some(ended) = all.running.join_next().await {
        ended.context("a controller ended")?;
    }
    Ok(())
}

/// The controllers that run.
struct Controllers<'a> {
    config: &'a Config,
    runner: Runner,
    shutdown: CancellationToken,
    running: JoinSet<()>,
}

impl Controllers<'_> {
    fn start<C: Controller>(&mut self, controller: C) {
        if self.config.runs(C::NAME) {
            let (runner, shutdown) = (self.runner.clone(), self.shutdown.clone());
            self.running.spawn(async move { runner.run(controller, shutdown).await });
        }
    }
}

/// A count as a status has it: 0 is left out.
fn nonzero<N: TryInto<i32>>(count: N) -> Option<i32> {
    count.try_into().ok().filter(|count| *count != 0)
}
