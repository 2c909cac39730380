//! Where a cluster's files are.
//!
//! Upstream: cmd/kubeadm/app/constants (its /etc/kubernetes, /var/lib/kubelet, /var/lib/etcd)
//! Left out: nothing.

use std::path::PathBuf;

use anyhow::ensure;

/// The folders of one cluster on this machine. The cluster named `skiff` has them without a suffix.
#[derive(Debug, Clone)]
pub struct Layout {
    pub cluster: String,
    /// Configuration: certificates, kubeconfigs, what `up` chose.
    pub config: PathBuf,
    /// What outlives a restart: the store, volumes, images, logs.
    pub state: PathBuf,
    /// What does not outlive a reboot: sockets, process ids.
    pub run: PathBuf,
}

impl Layout {
    /// The folders of the cluster `name`.
    ///
    /// # Errors
    /// The name can't be part of a file name and of a cgroup's.
    pub fn of(name: &str) -> anyhow::Result<Layout> {
        let valid = api::names::is_dns1123_label(name).is_empty() && name.len() <= 32;
        ensure!(valid, "--name {name:?} is no cluster name: use up to 32 lower case letters, digits and '-'");
        let folder = if name == "skiff" { name.to_owned() } else { format!("skiff-{name}") };
        Ok(Layout {
            cluster: name.to_owned(),
            config: PathBuf::from("/etc").join(&folder),
            state: PathBuf::from("/var/lib").join(&folder),
            run: PathBuf::from("/run").join(&folder),
        })
    }

    /// The cluster's name in kubeconfigs: `skiff` or `skiff-NAME`.
    pub fn context(&self) -> String {
        if self.cluster == "skiff" { "skiff".to_owned() } else { format!("skiff-{}", self.cluster) }
    }

    pub fn settings(&self) -> PathBuf {
        self.config.join("cluster.json")
    }

    pub fn pki(&self) -> PathBuf {
        self.config.join("pki")
    }

    /// The kubeconfig of one of the cluster's users: `admin`, `scheduler`, ...
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.config.join(format!("{user}.conf"))
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.state.join("logs").join(format!("{process}.log"))
    }

    pub fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    pub fn kubelet_root(&self) -> PathBuf {
        self.state.join("kubelet")
    }

    /// Where the volumes of the class `local-path` lie.
    pub fn volumes(&self) -> PathBuf {
        self.state.join("volumes")
    }

    /// The cgroup that `kubepods` lies in.
    pub fn cgroup_root(&self) -> String {
        if self.cluster == "skiff" { "/".to_owned() } else { format!("/skiff-{}", self.cluster) }
    }

    /// Where the pods' logs are. Collectors expect /var/log/pods; a second cluster has a folder of its own.
    pub fn pod_logs(&self) -> PathBuf {
        if self.cluster == "skiff" { "/var/log/pods".into() } else { self.state.join("pods-logs") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_cluster_has_folders_of_its_own() {
        let (first, second) = (Layout::of("skiff").unwrap(), Layout::of("lab").unwrap());
        assert_eq!(first.config, PathBuf::from("/etc/skiff"));
        assert_eq!(second.state, PathBuf::from("/var/lib/skiff-lab"));
        assert_eq!(second.context(), "skiff-lab");
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["", "../x", "a/b", "A", "a b"] {
            assert!(Layout::of(name).is_err(), "{name}");
        }
    }
}
