//! Decides a pod's resolv.conf.
//!
//! Upstream: pkg/kubelet/network/dns/dns.go
//! Left out: events about search lists that are too long.

use k8s_openapi::api::core::v1::Pod;
use proto::cri::DnsConfig;

use crate::config::Config;
use crate::pod_spec;

/// The three lists of a resolv.conf that pods inherit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolver {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// Reads a resolv.conf. The last `search` line counts, as for the C library.
pub fn parse(text: &str) -> Resolver {
    let mut resolver = Resolver::default();
    for line in text.lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace().map(str::to_string);
        match words.next().as_deref() {
            Some("nameserver") => resolver.servers.extend(words.next()),
            Some("search") => resolver.searches = words.collect(),
            Some("options") => resolver.options.extend(words),
            _ => {}
        }
    }
    resolver
}

/// The resolver of a pod, by its `dnsPolicy`, with what its `dnsConfig` adds.
///
/// ClusterFirst on the host's network means the host's own, unless ClusterFirstWithHostNet insists.
pub fn config(pod: &Pod, node: &Config, of_host: &Resolver) -> DnsConfig {
    let spec = pod.spec.clone().unwrap_or_default();
    let cluster = || {
        let zone = &node.cluster_domain;
        let own = [format!("{}.svc.{zone}", pod_spec::namespace(pod)), format!("svc.{zone}"), zone.clone()];
        Resolver {
            servers: node.cluster_dns.iter().map(|ip| ip.to_string()).collect(),
            searches: own.into_iter().chain(of_host.searches.clone()).collect(),
            options: vec!["ndots:5".into()],
        }
    };
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let mut resolver = match policy {
        "None" => Resolver::default(),
        "Default" => of_host.clone(),
        "ClusterFirst" if pod_spec::is_host_network(&spec) => of_host.clone(),
        _ if node.cluster_dns.is_empty() => of_host.clone(),
        _ => cluster(),
    };
    if let Some(more) = spec.dns_config {
        resolver.servers.extend(more.nameservers.unwrap_or_default());
        resolver.searches.extend(more.searches.unwrap_or_default());
        for option in more.options.unwrap_or_default() {
            let Some(name) = option.name else { continue };
            resolver.options.retain(|known| known.split(':').next() != Some(name.as_str()));
            resolver.options.push(option.value.map_or(name.clone(), |value| format!("{name}:{value}")));
        }
    }
    DnsConfig { servers: unique(resolver.servers), searches: unique(resolver.searches), options: resolver.options }
}

fn unique(list: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    for item in list {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(spec: Value, servers: &[&str], searches: &[&str], options: &[&str]) {
        let pod: Pod =
            serde_json::from_value(json!({ "metadata": { "namespace": "shop" }, "spec": spec })).expect("a pod");
        let of_host = parse("nameserver 1.1.1.1\nsearch example.org # home\noptions edns0\n");
        let config = config(&pod, &Config::new("n1"), &of_host);
        assert_eq!(
            (config.servers, config.searches, config.options),
            (owned(servers), owned(searches), owned(options))
        );
    }

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|item| item.to_string()).collect()
    }

    #[test]
    fn cluster_first_searches_the_cluster_and_then_what_the_host_searches() {
        let searches = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"];
        check(json!({ "containers": [] }), &["10.96.0.10"], &searches, &["ndots:5"]);
    }

    #[test]
    fn a_pod_on_the_host_network_has_the_hosts_resolver_unless_it_insists() {
        check(json!({ "containers": [], "hostNetwork": true }), &["1.1.1.1"], &["example.org"], &["edns0"]);
        let insists = json!({ "containers": [], "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet" });
        let searches = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"];
        check(insists, &["10.96.0.10"], &searches, &["ndots:5"]);
    }

    #[test]
    fn policy_none_has_only_what_the_pod_says() {
        let spec = json!({ "containers": [], "dnsPolicy": "None", "dnsConfig": {
            "nameservers": ["9.9.9.9"], "searches": ["a"], "options": [{ "name": "ndots", "value": "2" }] } });
        check(spec, &["9.9.9.9"], &["a"], &["ndots:2"]);
    }
}
