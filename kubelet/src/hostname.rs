//! Decides a pod's host name, its domain, and the /etc/hosts that its containers see.
//!
//! Upstream: pkg/kubelet/kubelet_pods.go (GeneratePodHostNameAndDomain, ensureHostsFile)
//! Left out: `hostnameOverride`.

use std::fmt::Write;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::config::Config;
use crate::pod_spec;

/// Host names are at most this long; a longer pod name is cut.
const MAX_HOSTNAME: usize = 63;

/// What the sandbox is called inside; empty on the host's network, whose name it keeps.
pub fn of_sandbox(pod: &Pod, node: &Config) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    if pod_spec::is_host_network(&spec) {
        return String::new();
    }
    match full_name(pod, &spec, &node.cluster_domain) {
        Some(full) if spec.set_hostname_as_fqdn == Some(true) => full,
        _ => short(pod, &spec),
    }
}

fn short(pod: &Pod, spec: &PodSpec) -> String {
    let wanted = spec.hostname.as_deref().filter(|name| !name.is_empty()).unwrap_or(pod_spec::name(pod));
    wanted[..wanted.len().min(MAX_HOSTNAME)].trim_end_matches(['-', '.']).into()
}

fn full_name(pod: &Pod, spec: &PodSpec, cluster_domain: &str) -> Option<String> {
    let subdomain = spec.subdomain.as_deref().filter(|name| !name.is_empty())?;
    Some(format!("{}.{subdomain}.{}.svc.{cluster_domain}", short(pod, spec), pod_spec::namespace(pod)))
}

/// The /etc/hosts of a pod's containers. On the host's network it is the host's own (`of_host`), with the pod's aliases.
pub fn hosts_file(pod: &Pod, node: &Config, ips: &[String], of_host: &str) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut file = String::new();
    if pod_spec::is_host_network(&spec) {
        file.push_str("# Kubernetes-managed hosts file (host network).\n");
        file.push_str(of_host);
    } else {
        file.push_str("# Kubernetes-managed hosts file.\n");
        file.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        file.push_str(
            "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let short = short(pod, &spec);
        let names = match full_name(pod, &spec, &node.cluster_domain) {
            Some(full) => format!("{full}\t{short}"),
            None => short,
        };
        for ip in ips {
            let _ = writeln!(file, "{ip}\t{names}");
        }
    }
    let aliases = spec.host_aliases.unwrap_or_default();
    if !aliases.is_empty() {
        file.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let _ = writeln!(file, "{}\t{}", alias.ip, alias.hostnames.unwrap_or_default().join("\t"));
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "web-0", "namespace": "shop" }, "spec": spec }))
            .expect("a pod")
    }

    #[test]
    fn the_hosts_file_names_the_pod_and_its_aliases() {
        let pod = pod(json!({
            "containers": [], "subdomain": "web", "hostAliases": [{ "ip": "123.45.67.89", "hostnames": ["foo", "bar"] }]
        }));
        let file = hosts_file(&pod, &Config::new("n1"), &["10.244.0.5".into()], "");
        assert!(file.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(file.contains("10.244.0.5\tweb-0.web.shop.svc.cluster.local\tweb-0\n"));
        assert!(file.ends_with("# Entries added by HostAliases.\n123.45.67.89\tfoo\tbar\n"));
    }

    #[test]
    fn on_the_host_network_the_hosts_own_file_is_kept() {
        let pod = pod(json!({ "containers": [], "hostNetwork": true }));
        let file = hosts_file(&pod, &Config::new("n1"), &[], "127.0.0.1 localhost\n");
        assert_eq!(file, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
        assert_eq!(of_sandbox(&pod, &Config::new("n1")), "");
    }
}
