//! The numbers of the proxy, under upstream's names where it has them.
//!
//! Upstream: pkg/proxy/metrics/metrics.go

use std::fmt;
use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// All metrics; clones of the parts share their numbers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// How long a run took, from decision to kernel.
    pub sync_seconds: Histogram,
    pub restore_failures: Counter,
    /// Resyncs that found the kernel's rules different from what we had put there: somebody else changed them.
    pub resync_differences: Counter,
    pub services: Gauge<i64, AtomicI64>,
    pub rules: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("kubeproxy");
        let sync_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let (restore_failures, resync_differences) = (Counter::default(), Counter::default());
        let (services, rules) = (Gauge::default(), Gauge::default());
        registry.register("sync_proxy_rules_duration_seconds", "SyncProxyRules latency", sync_seconds.clone());
        let failures = "Restores of iptables that failed";
        registry.register("sync_proxy_rules_iptables_restore_failures", failures, restore_failures.clone());
        let differences = "Resyncs that found rules changed by others";
        registry.register("resync_differences", differences, resync_differences.clone());
        registry.register("services", "Ports of Services with rules", services.clone());
        registry.register("sync_proxy_rules_iptables_total", "Rules of the proxy in the kernel", rules.clone());
        Metrics { registry, sync_seconds, restore_failures, resync_differences, services, rules }
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// None that can happen when writing to memory.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
