//! What `up` chose for a cluster, kept so that every later command and every later start does the same.
//!
//! Upstream: the kubeadm-config ConfigMap
//! Left out: several nodes.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::Context;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// One process with an embedded store, or a process for each component, and etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    One,
    Separate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub shape: Shape,
    pub node_name: String,
    pub node_address: IpAddr,
    pub api_port: u16,
    pub cluster_cidr: Ipv4Net,
    pub service_cidr: Ipv4Net,
}

/// The API server's port, and where pods and Services get their addresses from, unless flags say otherwise.
pub const API_PORT: u16 = 6443;
pub const CLUSTER_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16);
pub const SERVICE_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);

impl Default for Settings {
    /// A cluster that nobody chose anything for, on a node that has no name yet.
    fn default() -> Settings {
        Settings {
            shape: Shape::One,
            node_name: String::new(),
            node_address: Ipv4Addr::LOCALHOST.into(),
            api_port: API_PORT,
            cluster_cidr: CLUSTER_CIDR,
            service_cidr: SERVICE_CIDR,
        }
    }
}

impl Settings {
    /// The settings of a cluster that was brought up before; none when it wasn't.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn read(path: &Path) -> anyhow::Result<Option<Settings>> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("can't read {}", path.display()))?,
        };
        let settings = serde_json::from_slice(&text);
        settings.map(Some).with_context(|| format!("{} is damaged; `skiff delete` starts afresh", path.display()))
    }

    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        component::pki::write_public(path, text.as_bytes())?;
        Ok(())
    }

    /// The address of the Service `kubernetes`: the first of the range.
    pub fn api_service_address(&self) -> Ipv4Addr {
        self.service_address(1)
    }

    /// The address of the cluster's DNS: the tenth of the range.
    pub fn dns_address(&self) -> Ipv4Addr {
        self.service_address(10)
    }

    fn service_address(&self, at: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()) + at)
    }

    /// How the node's own processes and its user reach the API server.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_and_the_well_known_addresses_follow_from_the_range() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        assert_eq!(Settings::read(&path).unwrap(), None);
        let settings = Settings {
            shape: Shape::Separate,
            node_name: "n1".into(),
            service_cidr: "10.32.0.0/16".parse().unwrap(),
            ..Settings::default()
        };
        settings.write(&path).unwrap();
        assert_eq!(Settings::read(&path).unwrap().as_ref(), Some(&settings));
        assert_eq!(settings.api_service_address(), Ipv4Addr::new(10, 32, 0, 1));
        assert_eq!(settings.dns_address(), Ipv4Addr::new(10, 32, 0, 10));
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        fs::write(&path, "{").unwrap();
        assert!(format!("{:#}", Settings::read(&path).unwrap_err()).contains("skiff delete"));
    }
}
