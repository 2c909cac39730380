//! `skiff doctor`: what on this machine would keep a cluster from working, each with its fix.
//!
//! Upstream: cmd/kubeadm/app/preflight/checks.go
//! Left out: checks of other nodes.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};
use ipnet::Ipv4Net;

use crate::{
    containerd,
    layout::Layout,
    parts, process,
    settings::{Settings, Shape},
};

#[derive(Debug, clap::Args)]
pub struct Flags {
    /// `json` for machines.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub check: &'static str,
    /// Whether `up` would fail; a warning otherwise.
    pub fatal: bool,
    pub problem: String,
    pub fix: String,
}

impl Finding {
    fn fatal(check: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { check, fatal: true, problem: problem.into(), fix: fix.into() }
    }

    fn warning(check: &'static str, problem: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { fatal: false, ..Finding::fatal(check, problem, fix) }
    }
}

pub fn run(layout: &Layout, flags: &Flags) -> anyhow::Result<bool> {
    let settings = Settings::read(&layout.settings())?.unwrap_or_default();
    let findings = examine(layout, &settings)?;
    if flags.output.is_some() {
        println!("{:#}", serde_json::to_value(&findings)?);
    } else if findings.is_empty() {
        println!("nothing found: a cluster can run here");
    } else {
        for finding in &findings {
            let mark = if finding.fatal { "✗" } else { "!" };
            println!("{mark} {}: {}\n    fix: {}", finding.check, finding.problem, finding.fix);
        }
    }
    Ok(!findings.iter().any(|finding| finding.fatal))
}

/// Refuses to begin a cluster that could not work.
///
/// # Errors
/// Every fatal finding, with its fix.
pub fn before_up(layout: &Layout, settings: &Settings) -> anyhow::Result<()> {
    let findings = examine(layout, settings)?;
    let fatal: Vec<String> = findings
        .iter()
        .filter(|finding| finding.fatal)
        .map(|finding| format!("{}: {}; {}", finding.check, finding.problem, finding.fix))
        .collect();
    ensure!(fatal.is_empty(), "{}", fatal.join("\n"));
    Ok(())
}

/// Every check, for a cluster as `settings` have it.
///
/// # Errors
/// The machine can't be examined.
pub fn examine(layout: &Layout, settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !rustix::process::geteuid().is_root() {
        let problem = "not run as root: namespaces, mounts and rules need it";
        findings.push(Finding::fatal("user", problem, "run it with sudo"));
    }
    findings.extend(programs(settings.shape));
    let runs = parts::names(settings.shape).iter().any(|name| process::find(layout, name).is_some());
    if !runs {
        findings.extend(ports(settings));
        findings.extend(overlaps(settings, &routes()?));
    }
    findings.extend(cgroups());
    findings.extend(limits());
    Ok(findings)
}

fn programs(shape: Shape) -> Vec<Finding> {
    let mut needed = vec![
        ("containerd", "containerd"),
        ("ctr", "containerd"),
        ("runc", "runc"),
        ("iptables-restore", "iptables"),
        ("ip", "iproute2"),
    ];
    if shape == Shape::Separate {
        needed.push(("etcd", "etcd-server"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let missing = |program: &str| !folders.iter().any(|folder| folder.join(program).exists());
    let mut findings: Vec<Finding> = needed
        .into_iter()
        .filter(|(program, _)| missing(program))
        .map(|(program, package)| {
            Finding::fatal("programs", format!("{program} is missing"), format!("apt-get install {package}"))
        })
        .collect();
    if let Err(error) = containerd::cni_plugins() {
        findings.push(Finding::fatal(
            "programs",
            error.to_string(),
            "install the package, or upstream's plugins into /opt/cni/bin",
        ));
    }
    findings
}

fn ports(settings: &Settings) -> Vec<Finding> {
    let mut wanted = vec![
        ("API server", settings.api_port),
        ("kubelet", 10250),
        ("proxy health", 10256),
        ("controllers' health", 10257),
        ("scheduler's health", 10259),
    ];
    if settings.shape == Shape::Separate {
        wanted.extend([("etcd", 2379), ("etcd peers", 2380)]);
    }
    let any = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let taken = |port: u16| TcpListener::bind((any, port)).is_err();
    wanted
        .into_iter()
        .filter(|(_, port)| taken(*port))
        .map(|(whose, port)| {
            let fix = if whose == "API server" {
                format!("`ss -ltnp sport = :{port}` tells by whom; stop it, or choose another with --api-port")
            } else {
                format!("`ss -ltnp sport = :{port}` tells by whom; stop it")
            };
            Finding::fatal("ports", format!("port {port} ({whose}) is taken"), fix)
        })
        .collect()
}

fn overlaps(settings: &Settings, routes: &[Ipv4Net]) -> Vec<Finding> {
    let ranges =
        [("pods", settings.cluster_cidr, "--cluster-cidr"), ("Services", settings.service_cidr, "--service-cidr")];
    let mut findings = Vec::new();
    for (whose, range, flag) in ranges {
        for route in routes.iter().filter(|route| overlap(range, **route)) {
            let problem = format!("the range of {whose}, {range}, overlaps the route to {route}");
            let fix = format!("`skiff up` takes the next free range; {flag} chooses one");
            findings.push(Finding::warning("addresses", problem, fix));
        }
    }
    findings
}

fn cgroups() -> Vec<Finding> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let missing: Vec<&str> = ["cpu", "memory", "pids"]
            .into_iter()
            .filter(|name| !controllers.split_whitespace().any(|c| c == *name))
            .collect();
        if missing.is_empty() {
            return Vec::new();
        }
        let problem = format!("cgroup v2 lacks {}: limits would not hold", missing.join(", "));
        return vec![Finding::fatal("cgroups", problem, "add cgroup_enable=memory to the kernel's command line")];
    }
    if Path::new("/sys/fs/cgroup/memory").exists() && Path::new("/sys/fs/cgroup/cpu").exists() {
        let fix = "boot with systemd.unified_cgroup_hierarchy=1; upstream has dropped v1 from its support";
        return vec![Finding::warning("cgroups", "this machine has cgroup v1", fix)];
    }
    let fix = "mount -t cgroup2 none /sys/fs/cgroup";
    vec![Finding::fatal("cgroups", "no cgroup hierarchy with cpu and memory in /sys/fs/cgroup", fix)]
}

/// Each pod's logs and configuration are watched, each connection is a file.
fn limits() -> Vec<Finding> {
    let checks = [
        ("/proc/sys/fs/inotify/max_user_instances", 128, "fs.inotify.max_user_instances=512"),
        ("/proc/sys/fs/inotify/max_user_watches", 8192, "fs.inotify.max_user_watches=524288"),
        ("/proc/sys/fs/file-max", 65536, "fs.file-max=1048576"),
    ];
    let value = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    checks
        .into_iter()
        .filter_map(|(path, least, setting)| {
            let found = value(path).filter(|found| *found < least)?;
            let problem = format!("{path} is {found}, less than {least}");
            Some(Finding::warning("limits", problem, format!("sysctl -w {setting}")))
        })
        .collect()
}

/// The IPv4 networks that this machine has routes to; the default route is not one.
///
/// # Errors
/// `ip` can't be run.
pub fn routes() -> anyhow::Result<Vec<Ipv4Net>> {
    let listed = Command::new("ip").args(["-j", "-4", "route", "show"]).output();
    let listed = listed.context("can't run ip: apt-get install iproute2")?;
    let routes: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    let destinations = routes.as_array().into_iter().flatten().filter_map(|route| route["dst"].as_str());
    Ok(destinations.filter_map(network).collect())
}

fn network(destination: &str) -> Option<Ipv4Net> {
    destination.parse().ok().or_else(|| destination.parse::<Ipv4Addr>().ok().map(Ipv4Net::from))
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// `wanted` or the first range of its size after it, within 10.0.0.0/8, that overlaps none of `taken`.
pub fn next_free(wanted: Ipv4Net, taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let size = 1u64 << (32 - u32::from(wanted.prefix_len()));
    let first = u64::from(u32::from(wanted.network()));
    let end = u64::from(u32::from(Ipv4Addr::new(11, 0, 0, 0)));
    let later = (1..).map(|step| first + step * size).take_while(|start| start + size <= end);
    let candidates = std::iter::once(first).chain(later);
    candidates
        .filter_map(|start| Ipv4Net::new(Ipv4Addr::from(u32::try_from(start).ok()?), wanted.prefix_len()).ok())
        .find(|candidate| !taken.iter().any(|range| overlap(*candidate, *range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_that_overlaps_a_route_gives_way_to_the_next_free_one() {
        let wanted = net("10.244.0.0/16");
        assert_eq!(next_free(wanted, &[]), Some(wanted));
        assert_eq!(next_free(wanted, &[net("10.244.7.0/24")]), Some(net("10.245.0.0/16")));
        assert_eq!(next_free(wanted, &[net("10.244.0.0/15"), net("172.16.0.0/12")]), Some(net("10.246.0.0/16")));
        assert_eq!(next_free(wanted, &[net("10.0.0.0/8")]), None);
    }

    #[test]
    fn a_taken_port_is_found_and_named() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let settings = Settings { api_port: port, ..Settings::default() };
        let found = ports(&settings);
        let ours = found.iter().find(|finding| finding.problem.contains(&port.to_string())).unwrap();
        assert!(ours.fatal && ours.fix.contains("--api-port"));
    }

    #[test]
    fn an_overlap_names_range_route_and_flag() {
        let settings = Settings::default();
        let found = overlaps(&settings, &[net("10.96.3.0/24"), net("192.168.0.0/24")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].problem.contains("10.96.3.0/24") && found[0].fix.contains("--service-cidr"));
    }
}
