//! Names of chains: upstream's where there is one, so that guides and old habits work.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (servicePortChainName and its kin)

use std::net::{Ipv4Addr, SocketAddrV4};

use aws_lc_rs::digest;

use crate::service::ServicePort;

pub const SERVICES: &str = "KUBE-SERVICES";
pub const NODE_PORTS: &str = "KUBE-NODEPORTS";
pub const POSTROUTING: &str = "KUBE-POSTROUTING";
pub const MARK_MASQ: &str = "KUBE-MARK-MASQ";
pub const FORWARD: &str = "KUBE-FORWARD";
pub const FIREWALL: &str = "KUBE-FIREWALL";

/// Other chains that upstream's proxy leaves behind; we don't use them but clean them up.
const OF_UPSTREAM: [&str; 3] = ["KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL", "KUBE-PROXY-CANARY"];
const PREFIXES: [&str; 6] = ["KUBE-IP-", "KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-", "KUBE-FW-"];

/// Is a chain of this name this proxy's, or an earlier proxy's? Every other chain is foreign and is never touched.
pub fn is_ours(chain: &str) -> bool {
    [SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, FORWARD, FIREWALL].contains(&chain)
        || OF_UPSTREAM.contains(&chain)
        || PREFIXES.iter().any(|prefix| chain.starts_with(prefix))
}

/// The chain of all addresses under a prefix.
pub(super) fn of_network(address: Ipv4Addr, prefix: u8) -> String {
    format!("KUBE-IP-{address}-{prefix}")
}

/// The chains of one port: they share the hash.
#[derive(Debug, Clone)]
pub(super) struct PortChains {
    hash: String,
}

impl PortChains {
    pub(super) fn of(port: &ServicePort) -> PortChains {
        PortChains { hash: hash(&format!("{port}{}", port.protocol.name())) }
    }

    /// Endpoints of the whole cluster.
    pub(super) fn cluster(&self) -> String {
        format!("KUBE-SVC-{}", self.hash)
    }

    /// Endpoints of this node.
    pub(super) fn local(&self) -> String {
        format!("KUBE-SVL-{}", self.hash)
    }

    /// What comes from outside.
    pub(super) fn external(&self) -> String {
        format!("KUBE-EXT-{}", self.hash)
    }
}

/// The chain of one endpoint of a port whose clients keep their endpoint.
pub(super) fn of_endpoint(port: &ServicePort, endpoint: SocketAddrV4) -> String {
    format!("KUBE-SEP-{}", hash(&format!("{port}{}{endpoint}", port.protocol.name())))
}

/// The first 16 letters of the SHA-256 in base 32.
fn hash(text: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bits = digest.as_ref()[..10].iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    (0..16).rev().map(|place| char::from(LETTERS[(bits >> (place * 5)) as usize & 31])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_cluster_shows() {
        // Facts that anybody can look up in the iptables-save of a Kubernetes node.
        assert_eq!(hash("default/kubernetes:httpstcp"), "NPX46M4PTMTKRN6Y");
        assert_eq!(hash("kube-system/kube-dns:dnsudp"), "TCOU7JCQXEZGVUNU");
        assert_eq!(hash("kube-system/kube-dns:dns-tcptcp"), "ERIFXISQEP7F7OF4");
    }

    #[test]
    fn chains_of_others_are_not_ours() {
        assert!(is_ours("KUBE-SVC-NPX46M4PTMTKRN6Y") && is_ours("KUBE-PROXY-CANARY"));
        assert!(!is_ours("KUBE-KUBELET-CANARY") && !is_ours("DOCKER") && !is_ours("KUBE-ROUTER-INPUT"));
    }
}
