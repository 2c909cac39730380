//! The rules that do not depend on any Service: where packets enter our chains, masquerading, forwarding.
//!
//! Upstream: pkg/proxy/iptables/proxier.go (iptablesJumpChains, and the last part of syncProxyRules)
//!
//! Beyond upstream, whose network plugins do it: pods' traffic that leaves the cluster is masqueraded, and forwarding
//! from and to pods is accepted where the host's own rules (Docker's) would drop it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::{Hook, Ruleset, Settings, Table, names};

/// Where our chains are entered, per table: built-in chain, matches, our chain. The first of a chain is its first rule.
const NAT_HOOKS: [(&str, &str, &str); 3] = [
    ("PREROUTING", "-m comment --comment \"kubernetes service portals\"", names::SERVICES),
    ("OUTPUT", "-m comment --comment \"kubernetes service portals\"", names::SERVICES),
    ("POSTROUTING", "-m comment --comment \"kubernetes postrouting rules\"", names::POSTROUTING),
];
const FILTER_HOOKS: [(&str, &str, &str); 7] = [
    ("INPUT", NEW_CONNECTIONS, names::SERVICES),
    ("INPUT", "", names::FIREWALL),
    ("INPUT", "-m comment --comment \"kubernetes health check service ports\"", names::NODE_PORTS),
    // A Service that refuses must do so before pods' traffic is accepted.
    ("FORWARD", NEW_CONNECTIONS, names::SERVICES),
    ("FORWARD", "-m comment --comment \"kubernetes forwarding rules\"", names::FORWARD),
    ("OUTPUT", NEW_CONNECTIONS, names::SERVICES),
    ("OUTPUT", "", names::FIREWALL),
];
const NEW_CONNECTIONS: &str = "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\"";

const MULTICAST: &str = "224.0.0.0/4";

/// The part that is there before any Service is.
pub(super) fn rules(settings: &Settings) -> Ruleset {
    let mut ruleset = Ruleset::default();
    ruleset.nat.hooks = hooks(&NAT_HOOKS);
    ruleset.filter.hooks = hooks(&FILTER_HOOKS);
    let mark = settings.masquerade_mark;
    *ruleset.nat.chain(names::MARK_MASQ) = vec![format!("-j MARK --set-xmark {mark:#x}/{mark:#x}")];
    ruleset.nat.chain(names::NODE_PORTS);
    *ruleset.filter.chain(names::FORWARD) = forward(settings);
    *ruleset.filter.chain(names::FIREWALL) = firewall(settings);
    ruleset.filter.chain(names::NODE_PORTS);
    ruleset.filter.chain(names::SERVICES);
    ruleset
}

fn hooks(hooks: &[(&str, &str, &str)]) -> Vec<Hook> {
    let hook = |(chain, matches, target): &(&str, &str, &str)| Hook {
        chain: (*chain).to_owned(),
        rule: format!("{matches} -j {target}").trim_start().to_owned(),
    };
    hooks.iter().map(hook).collect()
}

fn forward(settings: &Settings) -> Vec<String> {
    let (mark, pods) = (settings.masquerade_mark, settings.cluster_cidr);
    vec![
        // Without this an answer that came too late would leave with the wrong source: kubernetes/kubernetes#74839.
        "-m conntrack --ctstate INVALID -j DROP".to_owned(),
        format!("-m comment --comment \"kubernetes forwarding rules\" -m mark --mark {mark:#x}/{mark:#x} -j ACCEPT"),
        "-m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
            .to_owned(),
        format!("-s {pods} -m comment --comment \"kubernetes pods\" -j ACCEPT"),
        format!("-d {pods} -m comment --comment \"kubernetes pods\" -j ACCEPT"),
    ]
}

/// Node ports on 127.0.0.1 need a kernel switch that would also let others on the wire talk to 127.0.0.1: not so.
fn firewall(settings: &Settings) -> Vec<String> {
    if !settings.localhost_node_ports {
        return Vec::new();
    }
    let (comment, known) = ("block incoming localnet connections", "! --ctstate RELATED,ESTABLISHED,DNAT");
    vec![format!("! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"{comment}\" -m conntrack {known} -j DROP")]
}

/// Adds the ways into the addresses and the node ports, and what is masqueraded.
pub(super) fn finish_nat(
    settings: &Settings,
    table: &mut Table,
    ways_in: Vec<String>,
    local_pods: &BTreeSet<Ipv4Addr>,
) {
    let (pods, services) = (settings.cluster_cidr, settings.service_cidr);
    let comment = "kubernetes service traffic from outside of the pods";
    let outside = format!("! -s {pods} -d {services} -m comment --comment \"{comment}\" -j {}", names::MARK_MASQ);
    let mut entry = vec![outside];
    entry.extend(ways_in);
    entry.extend(node_port_entries(settings));
    table.chains.insert(names::SERVICES.to_owned(), Arc::new(entry));
    table.chains.insert(names::POSTROUTING.to_owned(), Arc::new(postrouting(settings, local_pods)));
}

/// Last of all: what is addressed to the node itself may be for a node port.
fn node_port_entries(settings: &Settings) -> Vec<String> {
    let comment = "kubernetes service nodeports; NOTE: this must be the last rule in this chain";
    let local = |destination: &str| {
        let addressed = "-m addrtype --dst-type LOCAL";
        format!("{destination}-m comment --comment \"{comment}\" {addressed} -j {}", names::NODE_PORTS)
    };
    if !settings.node_port_addresses.is_empty() {
        return settings.node_port_addresses.iter().map(|network| local(&format!("-d {network} "))).collect();
    }
    vec![local(if settings.localhost_node_ports { "" } else { "! -d 127.0.0.0/8 " })]
}

fn postrouting(settings: &Settings, local_pods: &BTreeSet<Ipv4Addr>) -> Vec<String> {
    let (mark, pods) = (settings.masquerade_mark, settings.cluster_cidr);
    let masquerade = "-j MASQUERADE --random-fully";
    let mut rules = Vec::new();
    if let Some(node_ip) = settings.node_ip {
        rules.push(format!("-s {node_ip}/32 -m comment --comment \"the source is this node already\" -j RETURN"));
    }
    // A pod that meets itself through a Service would get answers from itself and not from the Service.
    let hairpin = |pod: &Ipv4Addr| {
        format!("-s {pod}/32 -d {pod}/32 -m comment --comment \"a pod that meets itself\" {masquerade}")
    };
    rules.extend(local_pods.iter().map(hairpin));
    if !settings.masquerade_all {
        rules.push(format!("-s {pods} -d {pods} -m comment --comment \"between pods\" -j RETURN"));
    }
    rules.push(format!("-s {pods} -d {MULTICAST} -j RETURN"));
    rules.push(format!("-s {pods} ! -d {pods} -m comment --comment \"pods leaving the cluster\" {masquerade}"));
    rules.push(format!("-m mark ! --mark {mark:#x}/{mark:#x} -j RETURN"));
    // The mark goes, so that the packet is not masqueraded again if it passes here once more.
    rules.push(format!("-j MARK --set-xmark {mark:#x}/0x0"));
    rules.push(format!("-m comment --comment \"kubernetes service traffic requiring SNAT\" {masquerade}"));
    rules
}

/// Adds the ways into the addresses that refuse, and refuses cluster IPs that belong to no Service.
pub(super) fn finish_filter(settings: &Settings, table: &mut Table, ways_in: Vec<String>) {
    let services = settings.service_cidr;
    let entry = table.chain(names::SERVICES);
    entry.splice(0..0, ways_in);
    entry.push(format!(
        "-d {services} -m comment --comment \"no such kubernetes service\" -j REJECT --reject-with icmp-port-unreachable"
    ));
}
