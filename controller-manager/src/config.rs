//! What a controller manager is told, as flags in upstream's spelling; how it reaches the API server is the process's.
//!
//! Upstream: cmd/kube-controller-manager/app/options
//! Left out: rates and sync periods of single controllers: nothing here polls.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use component::logging::LogFlags;
use ipnet::IpNet;

/// Runs the controllers of a cluster.
#[derive(Debug, Clone, Parser)]
#[command(name = "skiff-controller-manager")]
pub struct Config {
    /// The ranges that pods get their addresses from, one per family.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.244.0.0/16")]
    pub cluster_cidr: Vec<IpNet>,
    /// Give every node its piece of the cluster's ranges.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allocate_node_cidrs: bool,
    /// The ranges of Services: no node's piece overlaps them.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "10.96.0.0/16")]
    pub service_cluster_ip_range: Vec<IpNet>,
    /// The certificate that pods trust the API server by.
    #[arg(long, value_name = "FILE")]
    pub root_ca_file: Option<PathBuf>,
    /// Write with one service account per controller; else everything is written as the controller manager.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub use_service_account_credentials: bool,
    /// Stand for election first: of several controller managers one acts.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub leader_elect: bool,
    /// How many finished pods may stay; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 12500)]
    pub terminated_pod_gc_threshold: usize,
    /// Where the volumes of the class `local-path` lie on the nodes.
    #[arg(long, value_name = "FOLDER", default_value = api::local_path::DIRECTORY)]
    pub local_path_directory: String,
    /// Which controllers to run: `*` for all, `NAME` to add one, `-NAME` to leave one out.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "*", allow_hyphen_values = true)]
    pub controllers: Vec<String>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    #[arg(long, value_name = "PORT", default_value_t = 10257)]
    pub secure_port: u16,
    /// The authority that the certificates of those who read metrics are of; without it only their tokens count.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub logs: LogFlags,
}

impl Config {
    /// Is the controller to run? The last word about it counts.
    pub fn runs(&self, name: &str) -> bool {
        let says = |word: &String| match word.strip_prefix('-') {
            Some(left_out) => (left_out == name).then_some(false),
            None => (word == name || word == "*").then_some(true),
        };
        let named = self.controllers.iter().rev().filter(|word| *word != "*").find_map(says);
        named.unwrap_or_else(|| self.controllers.iter().any(|word| word == "*"))
    }

    /// A controller manager that shares its process with the API server: it needs no election.
    pub fn in_process(root_ca_file: Option<PathBuf>) -> Self {
        let defaults = Self::parse_from(["skiff-controller-manager"]);
        Config { root_ca_file, leader_elect: false, ..defaults }
    }

    /// The limit on finished pods.
    pub fn finished_pods(&self) -> usize {
        if self.terminated_pod_gc_threshold == 0 { usize::MAX } else { self.terminated_pod_gc_threshold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_process_there_is_no_election() {
        let config = Config::in_process(Some("/ca.crt".into()));
        assert!(!config.leader_elect && config.runs("replicaset"));
        assert!(config.root_ca_file == Some("/ca.crt".into()));
    }
}
