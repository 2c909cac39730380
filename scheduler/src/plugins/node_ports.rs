//! No two pods of a node hold the same host port.
//!
//! Upstream: pkg/scheduler/framework/plugins/nodeports/node_ports.go

use k8s_openapi::api::core::v1::Pod;

use super::Rejection;
use crate::snapshot::NodeState;

pub const NAME: &str = "NodePorts";

pub fn filter(pod: &Pod, node: &NodeState) -> Result<(), Rejection> {
    let wanted: Vec<HostPort> = host_ports(pod).collect();
    let taken = || node.pods.values().flat_map(|other| host_ports(&other.pod));
    if wanted.is_empty() || !taken().any(|taken| wanted.iter().any(|wanted| wanted.conflicts(&taken))) {
        return Ok(());
    }
    Err(Rejection::resolvable(NAME, "node(s) didn't have free ports for the requested pod ports"))
}

struct HostPort<'a> {
    address: &'a str,
    protocol: &'a str,
    port: i32,
}

impl HostPort<'_> {
    fn conflicts(&self, other: &HostPort) -> bool {
        let is_any = |address: &str| address == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || is_any(self.address) || is_any(other.address))
    }
}

fn host_ports(pod: &Pod) -> impl Iterator<Item = HostPort<'_>> {
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        let sidecars = init.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        spec.containers.iter().chain(sidecars)
    });
    containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
        Some(HostPort {
            address: port.host_ip.as_deref().filter(|address| !address.is_empty()).unwrap_or("0.0.0.0"),
            protocol: port.protocol.as_deref().unwrap_or("TCP"),
            port: port.host_port.filter(|port| *port > 0)?,
        })
    })
}
