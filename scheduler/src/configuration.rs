//! The parts of a KubeSchedulerConfiguration that we follow.
//!
//! Upstream: kubescheduler.config.k8s.io/v1
//! Left out: profiles beyond the first one's name, plugin sets and their arguments.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    pub client_connection: ClientConnection,
    pub leader_election: LeaderElection,
    pub profiles: Vec<Profile>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClientConnection {
    pub kubeconfig: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaderElection {
    pub leader_elect: bool,
}

impl Default for LeaderElection {
    fn default() -> LeaderElection {
        LeaderElection { leader_elect: true }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    pub scheduler_name: Option<String>,
}

impl Configuration {
    /// Reads the file that `--config` names.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML of this shape.
    pub fn read(path: &Path) -> anyhow::Result<Configuration> {
        let text = std::fs::read_to_string(path).with_context(|| format!("--config {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("--config {}", path.display()))
    }

    /// The name that pods ask for in `spec.schedulerName`.
    pub fn scheduler_name(&self) -> &str {
        self.profiles.first().and_then(|profile| profile.scheduler_name.as_deref()).unwrap_or("default-scheduler")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_of_upstream_is_read() {
        let text = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n\
            clientConnection:\n  kubeconfig: /etc/skiff/scheduler.conf\nleaderElection:\n  leaderElect: false\n";
        let configuration: Configuration = serde_saphyr::from_str(text).unwrap();
        assert_eq!(configuration.client_connection.kubeconfig, "/etc/skiff/scheduler.conf");
        assert!(!configuration.leader_election.leader_elect);
        assert_eq!(configuration.scheduler_name(), "default-scheduler");
    }
}
