//! What a proxy must be told: its plain values with their defaults, and the `KubeProxyConfiguration` file.
//!
//! Upstream: cmd/kube-proxy/app/options.go, pkg/proxy/apis/config
//! Left out: the fields of the ipvs, nftables and Windows modes, and of the ways to detect local traffic other than by
//! the cluster CIDR; they are accepted and ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ipnet::Ipv4Net;
use serde::Deserialize;

/// All pods of all nodes, unless something else is said.
pub const CLUSTER_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16);
/// All cluster IPs, unless something else is said.
pub const SERVICE_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);

/// Everything the proxy is told. No more defaults are applied later.
#[derive(Debug, Clone)]
pub struct Config {
    pub node_name: String,
    /// The node's address, instead of the one that the Node object says.
    pub bind_address: Option<Ipv4Addr>,
    /// All pods of all nodes.
    pub cluster_cidr: Ipv4Net,
    /// All cluster IPs.
    pub service_cidr: Ipv4Net,
    /// Where /healthz and /livez are served.
    pub healthz_bind_address: Option<SocketAddr>,
    /// Where /metrics and /proxyMode are served.
    pub metrics_bind_address: Option<SocketAddr>,
    /// The bit of the packet mark that says "masquerade me".
    pub masquerade_bit: u8,
    pub masquerade_all: bool,
    /// Whether node ports answer on 127.0.0.1 too.
    pub localhost_node_ports: bool,
    /// How often the kernel's rules are compared with ours when nothing says that they changed.
    pub sync_period: Duration,
    /// Where node ports answer; everywhere when empty.
    pub node_port_addresses: Vec<Ipv4Net>,
}

impl Config {
    /// The defaults for the proxy of a node of this name.
    pub fn new(node_name: impl Into<String>) -> Config {
        Config {
            node_name: node_name.into(),
            bind_address: None,
            cluster_cidr: CLUSTER_CIDR,
            service_cidr: SERVICE_CIDR,
            healthz_bind_address: Some(SocketAddr::from(([0, 0, 0, 0], 10256))),
            metrics_bind_address: Some(SocketAddr::from(([127, 0, 0, 1], 10249))),
            masquerade_bit: 14,
            masquerade_all: false,
            localhost_node_ports: true,
            sync_period: Duration::from_secs(30),
            node_port_addresses: Vec::new(),
        }
    }

    /// Takes over what a file says.
    ///
    /// # Errors
    /// A value is not what its field takes.
    pub fn take(&mut self, file: &KubeProxyConfiguration) -> anyhow::Result<()> {
        if let Some(name) = file.hostname_override.as_deref().filter(|name| !name.is_empty()) {
            self.node_name = name.to_owned();
        }
        // The unspecified address is upstream's default: the address is the Node's.
        if let Some(address) = file.bind_address.filter(|address| !address.is_unspecified()) {
            self.bind_address = Some(ipv4(address).context("bindAddress")?);
        }
        if let Some(text) = file.cluster_cidr.as_deref().filter(|text| !text.is_empty()) {
            self.cluster_cidr = text.parse().context("clusterCIDR")?;
        }
        if let Some(text) = file.healthz_bind_address.as_deref() {
            self.healthz_bind_address = address(text, 10256).context("healthzBindAddress")?;
        }
        if let Some(text) = file.metrics_bind_address.as_deref() {
            self.metrics_bind_address = address(text, 10249).context("metricsBindAddress")?;
        }
        for text in file.node_port_addresses.iter().flatten() {
            self.node_port_addresses.push(text.parse().context("nodePortAddresses")?);
        }
        let iptables = &file.iptables;
        self.masquerade_all = iptables.masquerade_all;
        self.localhost_node_ports = iptables.localhost_node_ports.unwrap_or(self.localhost_node_ports);
        if let Some(bit) = iptables.masquerade_bit {
            ensure!((0..32).contains(&bit), "iptables.masqueradeBit: {bit} is not within the range [0, 31]");
            self.masquerade_bit = bit.unsigned_abs();
        }
        if let Some(period) = iptables.sync_period.as_deref().filter(|period| *period != "0s") {
            let read = component::flags::duration(period).map_err(anyhow::Error::msg);
            self.sync_period = read.context("iptables.syncPeriod")?;
        }
        Ok(())
    }
}

/// An address with or without a port, as upstream takes it; empty means "don't serve".
///
/// # Errors
/// The text is no address.
pub fn address(text: &str, default_port: u16) -> anyhow::Result<Option<SocketAddr>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default_port));
    Ok(Some(bare.or_else(|_| text.parse())?))
}

/// The IPv4 address, as long as it is one.
///
/// # Errors
/// It is an IPv6 address: this proxy serves IPv4 only.
pub fn ipv4(address: IpAddr) -> anyhow::Result<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => anyhow::bail!("{address} is not an IPv4 address"),
    }
}

/// Upstream's configuration file, as far as we read it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeProxyConfiguration {
    pub api_version: String,
    pub kind: String,
    pub bind_address: Option<IpAddr>,
    pub client_connection: ClientConnection,
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: Option<String>,
    pub healthz_bind_address: Option<String>,
    pub hostname_override: Option<String>,
    pub iptables: Iptables,
    pub metrics_bind_address: Option<String>,
    pub mode: Option<String>,
    pub node_port_addresses: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClientConnection {
    pub kubeconfig: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Iptables {
    pub localhost_node_ports: Option<bool>,
    pub masquerade_all: bool,
    pub masquerade_bit: Option<i8>,
    pub sync_period: Option<String>,
}

impl KubeProxyConfiguration {
    /// Reads the file that `--config` names.
    ///
    /// # Errors
    /// The file cannot be read, is of another kind, or asks for a mode that we don't have.
    pub fn read(path: &Path) -> anyhow::Result<KubeProxyConfiguration> {
        let text = std::fs::read_to_string(path).with_context(|| format!("--config {}", path.display()))?;
        KubeProxyConfiguration::parse(&text).with_context(|| format!("--config {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<KubeProxyConfiguration> {
        let file: KubeProxyConfiguration = serde_saphyr::from_str(text)?;
        ensure!(file.kind == "KubeProxyConfiguration", "kind is {:?}, not KubeProxyConfiguration", file.kind);
        let known = file.api_version == "kubeproxy.config.k8s.io/v1alpha1";
        ensure!(known, "unknown apiVersion {:?}", file.api_version);
        let mode = file.mode.as_deref().unwrap_or_default();
        ensure!(matches!(mode, "" | "iptables"), "mode {mode:?} is not supported, only \"iptables\" is");
        Ok(file)
    }

    /// The kubeconfig that the file names.
    pub fn kubeconfig(&self) -> PathBuf {
        self.client_connection.kubeconfig.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> anyhow::Result<Config> {
        let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
        let mut config = Config::new("n1");
        config.take(&KubeProxyConfiguration::parse(&format!("{head}{text}"))?)?;
        Ok(config)
    }

    #[test]
    fn a_configuration_file_of_upstream_is_read() {
        let text = "bindAddress: 0.0.0.0\nclusterCIDR: 10.32.0.0/12\nhealthzBindAddress: \"\"\n\
            metricsBindAddress: 0.0.0.0\niptables:\n  masqueradeBit: 13\n  syncPeriod: 1m0s\n  minSyncPeriod: 1s\n\
            mode: iptables\nconntrack:\n  min: 131072\n";
        let config = check(text).unwrap();
        assert_eq!(config.cluster_cidr.to_string(), "10.32.0.0/12");
        assert_eq!((config.healthz_bind_address, config.bind_address), (None, None));
        assert_eq!(config.metrics_bind_address, Some("0.0.0.0:10249".parse().unwrap()));
        assert_eq!((config.masquerade_bit, config.sync_period), (13, Duration::from_secs(60)));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert!(check("mode: ipvs").unwrap_err().to_string().contains("ipvs"));
        assert!(check("bindAddress: fd00::1").is_err());
        assert!(check("iptables:\n  masqueradeBit: 32").is_err());
    }
}
