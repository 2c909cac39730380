//! The numbers of a kubelet that are read from what it already knows.
//!
//! Upstream: pkg/kubelet/metrics
//! Left out: what is counted as it happens (`crate::metrics`); containers that are created and were never started.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Server;

pub(super) fn register(registry: &mut Registry, server: &Server) {
    registry.register_collector(Box::new(Running(server.clone())));
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
        let help = "Number of pods that have a running pod sandbox";
        let gauge = encoder.encode_descriptor("kubelet_running_pods", help, None, MetricType::Gauge)?;
        ConstGauge::new(count(running)).encode(gauge)?;
        let statuses = pods.iter().flat_map(|pod| pod.status.iter().flat_map(|status| &status.container_statuses));
        let states = statuses.flatten().filter_map(|status| status.state.as_ref());
        let (mut running, mut exited) = (0, 0);
        for state in states {
            running += usize::from(state.running.is_some());
            exited += usize::from(state.terminated.is_some());
        }
        let help = "Number of containers by state";
        let mut gauge = encoder.encode_descriptor("kubelet_running_containers", help, None, MetricType::Gauge)?;
        for (state, containers) in [("running", running), ("exited", exited)] {
            ConstGauge::new(count(containers)).encode(gauge.encode_family(&[("container_state", state)])?)?;
        }
        Ok(())
    }
}

fn count(pieces: usize) -> i64 {
    i64::try_from(pieces).unwrap_or(i64::MAX)
}
