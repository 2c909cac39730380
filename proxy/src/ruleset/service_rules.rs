//! What one port of one Service adds to the rules.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (syncProxyRules, the loop over services)
//! Left out: nothing of what a Service can ask for in IPv4.
//!
//! A port that only the cluster reaches and that has few endpoints is DNATed where its address is looked up. Any other
//! has chains of its own, as upstream: KUBE-SVC- and KUBE-SVL- choose an endpoint, KUBE-EXT- says what is done with
//! traffic from outside, KUBE-SEP- remembers who uses an endpoint.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::names::{self, PortChains};
use super::{ServiceWithEndpoints, Settings};
use crate::categories::{Categories, categorize};
use crate::endpoint::Endpoint;
use crate::service::{Policy, ServicePort};

/// So many rules may stand between the rules of a port's neighbours; with more, the port has a chain.
const FEW: usize = 4;

/// The rules of one port, by where they belong.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) nat_by_address: Vec<(Ipv4Addr, String)>,
    pub(super) filter_by_address: Vec<(Ipv4Addr, String)>,
    pub(super) nat_node_ports: Vec<String>,
    pub(super) filter_node_ports: Vec<String>,
    /// The same for all ports of a Service.
    pub(super) health_check: Option<String>,
    pub(super) chains: Vec<(String, Vec<String>)>,
    /// Endpoints on this node, which may meet themselves through the Service.
    pub(super) local_pods: Vec<Ipv4Addr>,
}

pub(super) fn rules(settings: &Settings, service: &ServiceWithEndpoints) -> Rules {
    let port = &service.port;
    let categories = categorize(port, &service.endpoints, &settings.place);
    let chains = PortChains::of(port);
    let mut writer = Writer { settings, port, categories, chains, rules: Rules::default() };
    writer.cluster_ip();
    if port.is_external() {
        writer.external();
    }
    writer.health_check();
    writer.local_pods();
    writer.rules
}

struct Writer<'a> {
    settings: &'a Settings,
    port: &'a ServicePort,
    categories: Categories<'a>,
    chains: PortChains,
    rules: Rules,
}

impl<'a> Writer<'a> {
    fn cluster_ip(&mut self) {
        let (address, endpoints) = (self.port.cluster_ip, self.endpoints(self.port.internal));
        if endpoints.is_empty() {
            return self.refuse(address);
        }
        let to_port = self.to_port(Some(address));
        if self.settings.masquerade_all {
            self.rules.nat_by_address.push((address, format!("{to_port} -j {}", names::MARK_MASQ)));
        }
        if self.port.affinity_seconds.is_none() && endpoints.len() <= FEW {
            let direct = choose(&endpoints, |endpoint, chance| {
                format!("{to_port} {chance}-j DNAT --to-destination {}", endpoint.address)
            });
            self.rules.nat_by_address.extend(direct.map(|rule| (address, rule)));
        } else {
            let chain = self.endpoint_chain(self.port.internal);
            self.rules.nat_by_address.push((address, format!("{to_port} -j {chain}")));
        }
    }

    /// The load balancer's addresses, the external IPs and the node port: all lead to the KUBE-EXT- chain.
    fn external(&mut self) {
        let endpoints = self.endpoints(self.port.external);
        let chain = self.external_chain();
        for address in self.port.load_balancer_ips.clone() {
            let to_port = self.to_port(Some(address));
            if self.port.source_ranges.is_empty() {
                self.rules.nat_by_address.push((address, format!("{to_port} -j {chain}")));
                continue;
            }
            for range in self.sources() {
                self.rules.nat_by_address.push((address, format!("-s {range} {to_port} -j {chain}")));
            }
            if self.categories.has_any {
                // What no range let in arrives here with its first destination still on it.
                self.rules.filter_by_address.push((address, format!("{to_port} -j DROP")));
            }
        }
        for address in self.port.external_ips.clone() {
            let rule = format!("{} -j {chain}", self.to_port(Some(address)));
            self.rules.nat_by_address.push((address, rule));
        }
        if endpoints.is_empty() {
            let dropped = !self.port.source_ranges.is_empty() && self.categories.has_any;
            let balanced = self.port.load_balancer_ips.iter().filter(|_| !dropped);
            for address in balanced.chain(&self.port.external_ips).copied() {
                let rule = self.refusal(Some(address), "");
                self.rules.filter_by_address.push((address, rule));
            }
        }
        if let Some(node_port) = self.port.node_port {
            let to_node_port = self.to(None, node_port, &self.port.to_string(), "");
            self.rules.nat_node_ports.push(format!("{to_node_port} -j {chain}"));
            if endpoints.is_empty() {
                let rule = self.refusal(None, "-m addrtype --dst-type LOCAL ");
                self.rules.filter_node_ports.push(rule);
            }
        }
    }

    /// Who may use the load balancer's addresses. When this node may, so may those addresses: one that is this node's
    /// is the source of what the node sends to it.
    fn sources(&self) -> Vec<Ipv4Net> {
        let mut sources = self.port.source_ranges.clone();
        if self.settings.node_ip.is_some_and(|node_ip| sources.iter().any(|range| range.contains(&node_ip))) {
            sources.extend(self.port.load_balancer_ips.iter().copied().map(Ipv4Net::from));
        }
        sources
    }

    /// Whoever asks whether this node has endpoints is let in where the host's own rules would not.
    fn health_check(&mut self) {
        let Some(port) = self.port.health_check_node_port else { return };
        let comment = self.comment(&format!("{} health check node port", self.port.service));
        self.rules.health_check = Some(format!("-p tcp {comment}-m tcp --dport {port} -j ACCEPT"));
    }

    /// Makes the chain for traffic from outside.
    ///
    /// Under a Local policy pods and the node itself are inside, and reach every endpoint. Elsewhere the answer must
    /// come back through this node, so the source becomes this node; except for its own pods, whose answers do anyway.
    fn external_chain(&mut self) -> String {
        let mut rules = Vec::new();
        let mark = names::MARK_MASQ;
        match self.port.external {
            Policy::Cluster => {
                let other = self.settings.node_cidr.filter(|_| !self.settings.masquerade_all);
                let other = other.map(|own| format!("! -s {own} ")).unwrap_or_default();
                let comment = self.comment(&format!("masquerade traffic for {} external destinations", self.port));
                rules.push(format!("{other}{comment}-j {mark}"));
                if !self.categories.cluster.is_empty() {
                    rules.push(format!("-j {}", self.endpoint_chain(Policy::Cluster)));
                }
            }
            Policy::Local => {
                let (pods, local) = (self.settings.cluster_cidr, "-m addrtype --src-type LOCAL");
                if !self.categories.cluster.is_empty() {
                    let cluster = self.endpoint_chain(Policy::Cluster);
                    let comment =
                        |what| self.comment(&format!("{what} traffic for {} external destinations", self.port));
                    rules.push(format!("-s {pods} {}-j {cluster}", comment("pod")));
                    rules.push(format!("{}{local} -j {mark}", comment("masquerade LOCAL")));
                    rules.push(format!("{}{local} -j {cluster}", comment("route LOCAL")));
                }
                if !self.categories.local.is_empty() {
                    rules.push(format!("-j {}", self.endpoint_chain(Policy::Local)));
                }
            }
        }
        let name = self.chains.external();
        self.rules.chains.push((name.clone(), rules));
        name
    }

    /// Makes the chain that chooses among a policy's endpoints, and those that remember clients.
    fn endpoint_chain(&mut self, policy: Policy) -> String {
        let name = match policy {
            Policy::Cluster => self.chains.cluster(),
            Policy::Local => self.chains.local(),
        };
        let (endpoints, protocol) = (self.endpoints(policy), self.port.protocol.name());
        let comment = |endpoint: &Endpoint| self.comment(&format!("{} -> {}", self.port, endpoint.address));
        let rules = match self.port.affinity_seconds {
            None => choose(&endpoints, |endpoint, chance| {
                let comment = comment(endpoint);
                format!("-p {protocol} {comment}{chance}-j DNAT --to-destination {}", endpoint.address)
            })
            .collect(),
            Some(seconds) => {
                let chain_of = |endpoint: &Endpoint| names::of_endpoint(self.port, endpoint.address);
                let known = endpoints.iter().map(|endpoint| {
                    let (chain, comment) = (chain_of(endpoint), comment(endpoint));
                    let recent = format!("-m recent --rcheck --seconds {seconds} --reap {}", of_client(&chain));
                    format!("{comment}{recent} -j {chain}")
                });
                let others = choose(&endpoints, |endpoint, chance| {
                    format!("{}{chance}-j {}", comment(endpoint), chain_of(endpoint))
                });
                let rules: Vec<String> = known.chain(others).collect();
                let remembering = endpoints.iter().map(|endpoint| {
                    let chain = chain_of(endpoint);
                    let recent = format!("-m recent --set {}", of_client(&chain));
                    let rule = format!("-p {protocol} {recent} -j DNAT --to-destination {}", endpoint.address);
                    (chain, vec![rule])
                });
                self.rules.chains.extend(remembering);
                rules
            }
        };
        self.rules.chains.push((name.clone(), rules));
        name
    }

    fn refuse(&mut self, address: Ipv4Addr) {
        let rule = self.refusal(Some(address), "");
        self.rules.filter_by_address.push((address, rule));
    }

    /// Refuses what has no endpoint to go to, at once; but what would find one on another node is dropped, as upstream:
    /// a load balancer should try there.
    fn refusal(&self, address: Option<Ipv4Addr>, extra: &str) -> String {
        let (why, target) = match self.categories.has_any {
            true => ("has no local endpoints", "DROP"),
            false => ("has no endpoints", "REJECT --reject-with icmp-port-unreachable"),
        };
        let port = if address.is_some() { self.port.port } else { self.port.node_port.unwrap_or(self.port.port) };
        format!("{} -j {target}", self.to(address, port, &format!("{} {why}", self.port), extra))
    }

    fn to_port(&self, address: Option<Ipv4Addr>) -> String {
        self.to(address, self.port.port, &self.port.to_string(), "")
    }

    fn to(&self, address: Option<Ipv4Addr>, port: u16, comment: &str, extra: &str) -> String {
        let address = address.map(|address| format!("-d {address}/32 ")).unwrap_or_default();
        let protocol = self.port.protocol.name();
        format!("{address}-p {protocol} {}{extra}-m {protocol} --dport {port}", self.comment(comment))
    }

    /// Says in a rule what it is for; nothing when there are too many rules for that.
    fn comment(&self, what: &str) -> String {
        match self.settings.comments {
            true => format!("-m comment --comment \"{what}\" "),
            false => String::new(),
        }
    }

    fn endpoints(&self, policy: Policy) -> Vec<&'a Endpoint> {
        match policy {
            Policy::Cluster => self.categories.cluster.clone(),
            Policy::Local => self.categories.local.clone(),
        }
    }

    fn local_pods(&mut self) {
        let used = self.categories.cluster.iter().chain(&self.categories.local).filter(|endpoint| endpoint.is_local);
        let addresses = used.map(|endpoint| endpoint.ip()).filter(|ip| Some(*ip) != self.settings.node_ip);
        self.rules.local_pods = addresses.collect();
    }
}

fn of_client(list: &str) -> String {
    format!("--name {list} --mask 255.255.255.255 --rsource")
}

/// One rule per endpoint, each with the chance that makes all of them equally likely; the last takes what is left.
fn choose(endpoints: &[&Endpoint], rule: impl Fn(&Endpoint, &str) -> String) -> impl Iterator<Item = String> {
    let rules = endpoints.iter().enumerate().map(move |(number, endpoint)| match endpoints.len() - number {
        1 => rule(endpoint, ""),
        left => rule(endpoint, &format!("-m statistic --mode random --probability {} ", probability(left))),
    });
    rules.collect::<Vec<_>>().into_iter()
}

/// One in `count`, as the kernel keeps it and iptables-save prints it: in steps of 2^-31.
fn probability(count: usize) -> String {
    const STEPS: f64 = 2_147_483_648.0;
    format!("{:.11}", (STEPS / count as f64).round() / STEPS)
}
