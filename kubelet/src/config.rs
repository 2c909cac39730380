//! What a kubelet must be told: flags, the `KubeletConfiguration` file, and the defaults of both.
//!
//! Upstream: cmd/kubelet/app/options, pkg/kubelet/apis/config
//! Left out: fields of things we don't do (static pods, eviction, device plugins ...); they are accepted and ignored.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// Everything the kubelet is told. All fields are plain values: no more defaults are applied later.
#[derive(Debug, Clone)]
pub struct Config {
    pub node_name: String,
    /// The addresses of the node; found from the routes when empty.
    pub node_ips: Vec<IpAddr>,
    /// Labels that the node registers itself with.
    pub node_labels: BTreeMap<String, String>,
    pub register_with_taints: Vec<String>,
    /// Volumes and containers' files.
    pub root_dir: PathBuf,
    pub pod_logs_dir: PathBuf,
    /// Where `/var/log/containers`-style links go.
    pub container_logs_dir: PathBuf,
    pub container_runtime_endpoint: String,
    pub cgroup_driver: CgroupDriver,
    /// The cgroup under which `kubepods` lies.
    pub cgroup_root: String,
    /// Where the CNI configuration is written if none is there.
    pub cni_conf_dir: PathBuf,
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    /// The machine's own resolver configuration.
    pub resolv_conf: PathBuf,
    pub max_pods: i64,
    /// Where the volumes of the class `local-path` lie; nothing outside it is ever made or removed for a volume.
    pub local_path_directory: PathBuf,
    pub system_reserved: BTreeMap<String, String>,
    pub container_log_max_bytes: u64,
    pub container_log_max_files: u32,
    pub server: ServerConfig,
}

/// How the kubelet's HTTPS server listens.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub address: IpAddr,
    pub port: u16,
    /// Health without TLS, on loopback only; 0 is none.
    pub healthz_port: u16,
    /// Certificate and key; a self-signed one is made when absent.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Clients with certificates of this authority are who their certificate says.
    pub client_ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    #[default]
    Cgroupfs,
    Systemd,
}

impl Config {
    /// The defaults for a node of this name.
    pub fn new(node_name: impl Into<String>) -> Self {
        Self {
            node_name: node_name.into(),
            node_ips: Vec::new(),
            node_labels: BTreeMap::new(),
            register_with_taints: Vec::new(),
            root_dir: "/var/lib/skiff/kubelet".into(),
            pod_logs_dir: "/var/log/pods".into(),
            container_logs_dir: "/var/log/containers".into(),
            container_runtime_endpoint: "unix:///run/skiff/containerd/containerd.sock".into(),
            cgroup_driver: CgroupDriver::default(),
            cgroup_root: "/".into(),
            cni_conf_dir: "/etc/cni/net.d".into(),
            cluster_dns: vec![IpAddr::from([10, 96, 0, 10])],
            cluster_domain: "cluster.local".into(),
            resolv_conf: real_resolv_conf(),
            max_pods: 110,
            local_path_directory: api::local_path::DIRECTORY.into(),
            system_reserved: BTreeMap::new(),
            container_log_max_bytes: 10 << 20,
            container_log_max_files: 5,
            server: ServerConfig {
                address: IpAddr::from([0, 0, 0, 0]),
                port: 10250,
                healthz_port: 10248,
                tls: None,
                client_ca: None,
            },
        }
    }

    /// Takes over what a `KubeletConfiguration` file says.
    ///
    /// # Errors
    /// The file can't be read, is of another kind, or has a value that is none.
    pub fn read_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        self.read(&text).with_context(|| path.display().to_string())
    }

    fn read(&mut self, text: &str) -> anyhow::Result<()> {
        let file: KubeletConfiguration = serde_saphyr::from_str(text)?;
        ensure!(file.kind == "KubeletConfiguration", "kind is {:?}, not KubeletConfiguration", file.kind);
        ensure!(file.api_version == "kubelet.config.k8s.io/v1beta1", "unknown apiVersion {:?}", file.api_version);
        set(&mut self.server.address, file.address);
        set(&mut self.server.port, file.port);
        set(&mut self.server.healthz_port, file.healthz_port);
        set(&mut self.cluster_dns, file.cluster_dns);
        set(&mut self.cluster_domain, file.cluster_domain);
        set(&mut self.cgroup_driver, file.cgroup_driver);
        set(&mut self.cgroup_root, file.cgroup_root.filter(|root| !root.is_empty()));
        set(&mut self.container_runtime_endpoint, file.container_runtime_endpoint);
        set(&mut self.resolv_conf, file.resolv_conf);
        if let Some(pods) = file.pod_logs_dir {
            // Upstream has no setting for the links; they go beside the logs, as /var/log/containers is.
            self.container_logs_dir = pods.parent().unwrap_or(&pods).join("containers");
            self.pod_logs_dir = pods;
        }
        set(&mut self.max_pods, file.max_pods);
        set(&mut self.system_reserved, file.system_reserved);
        set(&mut self.container_log_max_files, file.container_log_max_files);
        if let Some(size) = file.container_log_max_size {
            let size = api::quantity::Quantity::parse(&size).context("containerLogMaxSize")?;
            self.container_log_max_bytes = size.value().try_into().context("containerLogMaxSize")?;
        }
        if let (Some(certificate), Some(key)) = (file.tls_cert_file, file.tls_private_key_file) {
            self.server.tls = Some((certificate, key));
        }
        let x509 = file.authentication.and_then(|authentication| authentication.x509);
        if let Some(authority) = x509.and_then(|x509| x509.client_ca_file) {
            self.server.client_ca = Some(authority);
        }
        Ok(())
    }
}

/// Upstream's configuration file, as far as we read it. Other fields of upstream's are accepted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletConfiguration {
    api_version: String,
    kind: String,
    address: Option<IpAddr>,
    port: Option<u16>,
    healthz_port: Option<u16>,
    #[serde(rename = "clusterDNS")]
    cluster_dns: Option<Vec<IpAddr>>,
    cluster_domain: Option<String>,
    cgroup_driver: Option<CgroupDriver>,
    cgroup_root: Option<String>,
    container_runtime_endpoint: Option<String>,
    resolv_conf: Option<PathBuf>,
    pod_logs_dir: Option<PathBuf>,
    max_pods: Option<i64>,
    system_reserved: Option<BTreeMap<String, String>>,
    container_log_max_size: Option<String>,
    container_log_max_files: Option<u32>,
    tls_cert_file: Option<PathBuf>,
    tls_private_key_file: Option<PathBuf>,
    authentication: Option<Authentication>,
}

#[derive(Debug, Deserialize)]
struct Authentication {
    x509: Option<X509>,
}

#[derive(Debug, Deserialize)]
struct X509 {
    #[serde(rename = "clientCAFile")]
    client_ca_file: Option<PathBuf>,
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

/// Behind systemd-resolved, /etc/resolv.conf names a stub on 127.0.0.53 that pods can't reach.
fn real_resolv_conf() -> PathBuf {
    let real = Path::new("/run/systemd/resolve/resolv.conf");
    if real.exists() { real.into() } else { "/etc/resolv.conf".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_overrides_the_defaults_it_names() {
        let mut config = Config::new("n1");
        let file = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nclusterDNS: [10.32.0.10]\n\
                    authentication:\n  x509:\n    clientCAFile: /ca.crt\ncontainerLogMaxSize: 1Mi\nfailSwapOn: false\n";
        config.read(file).expect("a configuration");
        assert_eq!(config.cluster_dns, [IpAddr::from([10, 32, 0, 10])]);
        assert_eq!(config.server.client_ca, Some(PathBuf::from("/ca.crt")));
        assert_eq!((config.container_log_max_bytes, config.max_pods), (1 << 20, 110));
    }

    #[test]
    fn another_kind_is_refused() {
        let file = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: Pod\n";
        assert!(Config::new("n1").read(file).is_err());
    }
}
