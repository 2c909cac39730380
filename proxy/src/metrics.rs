//! The numbers of the proxy, under upstream's names where it has them.
//!
//! Upstream: pkg/proxy/metrics/metrics.go
//! Left out: what counts the changes that it saw, and those that wait (`..._changes_total`, `..._changes_pending`).
//!
//! Since 1.33 all numbers say of which family of addresses they are; ours are of IPv4.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, linear_buckets};
use prometheus_client::registry::Registry;

use crate::ruleset::Ruleset;
use crate::serve::Progress;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: &'static str,
}

/// All metrics; clones of the parts share their numbers.
#[derive(Debug)]
pub struct Metrics {
    /// What is shown at /metrics.
    pub registry: Registry,
    /// How long a run took, from decision to kernel.
    pub sync_seconds: Histogram,
    /// How long it took from a change of a pod or Service until the kernel had the rules for it.
    pub network_programming_seconds: Histogram,
    pub restore_failures: Counter,
    /// Resyncs that found the kernel's rules different from what we had put there: somebody else changed them.
    pub resync_differences: Counter,
    pub services: Gauge<i64, AtomicI64>,
    rules: Family<TableLabels, Gauge<i64, AtomicI64>>,
}

impl Default for Metrics {
    /// Numbers that are shown nowhere.
    fn default() -> Metrics {
        Metrics::within(Registry::default())
    }
}

impl Metrics {
    /// Numbers that are shown with those of `all`, and how far the runs have come with them.
    pub fn new(mut all: Registry, progress: Arc<Progress>) -> Metrics {
        of_family(&mut all).register_collector(Box::new(Runs(progress)));
        Metrics::within(all)
    }

    fn within(mut all: Registry) -> Metrics {
        let registry = of_family(&mut all);
        let sync_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let network_programming_seconds = Histogram::new(network_programming_buckets());
        let (restore_failures, resync_differences) = (Counter::default(), Counter::default());
        let (services, rules) = (Gauge::default(), Family::default());
        registry.register("sync_proxy_rules_duration_seconds", "SyncProxyRules latency", sync_seconds.clone());
        let programming = "In Cluster Network Programming Latency in seconds";
        registry.register("network_programming_duration_seconds", programming, network_programming_seconds.clone());
        let failures = "Restores of iptables that failed";
        registry.register("sync_proxy_rules_iptables_restore_failures", failures, restore_failures.clone());
        let differences = "Resyncs that found rules changed by others";
        registry.register("resync_differences", differences, resync_differences.clone());
        registry.register("services", "Ports of Services with rules", services.clone());
        registry.register("sync_proxy_rules_iptables_total", "Rules of the proxy in the kernel", rules.clone());
        Metrics {
            registry: all,
            sync_seconds,
            network_programming_seconds,
            restore_failures,
            resync_differences,
            services,
            rules,
        }
    }

    /// Says how many rules the kernel has.
    pub fn programmed(&self, ruleset: &Ruleset) {
        for (table, rules) in [("nat", ruleset.nat.rules()), ("filter", ruleset.filter.rules())] {
            self.rules.get_or_create(&TableLabels { table }).set(rules as i64);
        }
    }
}

/// Where the numbers of the one family are registered.
fn of_family(all: &mut Registry) -> &mut Registry {
    all.sub_registry_with_prefix("kubeproxy").sub_registry_with_label(("ip_family".into(), "IPv4".into()))
}

/// Upstream's: a quarter and half a second, seconds up to a minute, then ever coarser up to five minutes.
fn network_programming_buckets() -> impl Iterator<Item = f64> {
    let seconds = linear_buckets(1.0, 1.0, 59).chain(linear_buckets(60.0, 5.0, 12));
    linear_buckets(0.25, 0.25, 2).chain(seconds).chain(linear_buckets(120.0, 30.0, 7))
}

/// When runs began and ended well, asked when somebody wants to know.
#[derive(Debug)]
struct Runs(Arc<Progress>);

impl Collector for Runs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (queued, updated) = self.0.last_runs();
        for (name, help, at) in [
            ("sync_proxy_rules_last_queued_timestamp_seconds", "When a run was last due, since 1970", queued),
            ("sync_proxy_rules_last_timestamp_seconds", "When a run last ended well, since 1970", updated),
        ] {
            let Some(at) = at else { continue };
            let gauge = ConstGauge::new(at.as_duration().as_secs_f64());
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
