//! The numbers of a kubelet that are read from what it already knows.
//!
//! Upstream: pkg/kubelet/metrics
//! Left out: all but the node's name and how many pods and containers run; cadvisor's numbers of containers.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Server;

pub(super) fn registry(server: &Server) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Running(server.clone())));
    registry
}

/// Counts when it is read.
struct Running(Server);

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

impl Collector for Running {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let pods = self.0.pods.list();
        let phases = pods.iter().filter_map(|pod| pod.status.as_ref()?.phase.as_deref());
        let running = phases.filter(|phase| *phase == "Running").count();
        let statuses = pods.iter().flat_map(|pod| pod.status.iter().flat_map(|status| &status.container_statuses));
        let containers = statuses.flatten().filter(|status| crate::status::is_running(status)).count();
        let gauges = [
            ("kubelet_running_pods", "Number of pods that have a running pod sandbox", running),
            ("kubelet_running_containers", "Number of containers currently running", containers),
        ];
        for (name, help, count) in gauges {
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
