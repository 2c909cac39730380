//! The kernel's switches that a node's network needs.
//!
//! Upstream: pkg/proxy/util/utils.go (EnsureSysctl), cmd/kube-proxy/app/server_linux.go
//! Left out: the sizes and timeouts of the connection table: the kernel's own fit small clusters.

use tracing::{info, warn};

use crate::config::Config;

/// Sets them; one that cannot be set is said, because what needs it will not work.
pub fn prepare(config: &Config) {
    set("net/ipv4/ip_forward", "1");
    if config.localhost_node_ports {
        // Node ports on 127.0.0.1: what comes from the wire is refused in KUBE-FIREWALL.
        set("net/ipv4/conf/all/route_localnet", "1");
    }
}

fn set(name: &str, value: &str) {
    let path = format!("/proc/sys/{name}");
    if std::fs::read_to_string(&path).is_ok_and(|current| current.trim() == value) {
        return;
    }
    match std::fs::write(&path, value) {
        Ok(()) => info!(name, value, "set"),
        Err(error) => warn!(name, value, %error, "cannot set"),
    }
}
