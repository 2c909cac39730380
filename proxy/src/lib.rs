//! The proxy: makes Services reachable from this node's pods, from the node and from outside.
//!
//! Observe (`observed.rs` reads the caches), decide (`ruleset.rs` says what the kernel's rules should be, `restore.rs`
//! how to get there; both pure), act (`sync.rs`, one `iptables-restore` per run). `dns.rs` is the cluster's DNS, which runs
//! beside the proxy.
//!
//! Upstream: cmd/kube-proxy, pkg/proxy
//! Left out: the ipvs, nftables and Windows modes, IPv6.

pub mod catalog;
pub mod categories;
pub mod config;
pub mod conntrack;
pub mod dns;
pub mod endpoint;
pub mod iptables;
pub mod metrics;
pub mod observed;
pub mod restore;
pub mod routes;
pub mod ruleset;
pub mod saved;
pub mod serve;
pub mod service;
pub mod service_health;
pub mod sync;
pub mod sysctl;

use std::sync::Arc;

use client::Informers;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

pub use config::Config;
use iptables::Iptables;
use metrics::Metrics;
use observed::Observed;
use ruleset::Ruleset;
use serve::Progress;

/// Runs the proxy of one node until `shutdown`; says `ready` when the kernel has its rules for the first time. They stay
/// when it ends, so that nothing stops working. `registry` is shown at /metrics, with the proxy's own numbers.
///
/// # Errors
/// A port of its own is taken.
pub async fn run(
    config: Config,
    client: kube::Client,
    registry: Registry,
    ready: impl FnOnce() + Send,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let observed = Observed::new(&Informers::new(client));
    let progress = Arc::new(Progress::new(config.sync_period));
    let metrics = Arc::new(Metrics::new(registry, progress.clone()));
    let health = async {
        let Some(address) = config.healthz_bind_address else { return Ok(()) };
        serve::health(address, progress.clone(), shutdown.clone()).await
    };
    let numbers = async {
        let Some(address) = config.metrics_bind_address else { return Ok(()) };
        serve::metrics(address, metrics.clone(), shutdown.clone()).await
    };
    let rules = async {
        sync::run(&config, observed.clone(), progress.clone(), metrics.clone(), shutdown.clone()).await;
        anyhow::Ok(())
    };
    let first = async {
        if shutdown.run_until_cancelled(progress.settled()).await.is_some() {
            ready();
        }
        Ok(())
    };
    tokio::try_join!(health, numbers, rules, first)?;
    Ok(())
}

/// Removes every rule and route of this proxy, and of upstream's, from the kernel. What is foreign stays as it is.
///
/// # Errors
/// iptables or the kernel refuse; what could be removed is.
pub async fn clean_up() -> anyhow::Result<()> {
    let routes = routes::set(&[]).await;
    let iptables = Iptables::detect().await;
    let current = saved::parse(&iptables.save().await?);
    if let Some(input) = restore::input(&current, &Ruleset::default()) {
        iptables.restore(&input).await?;
    }
    routes
}
