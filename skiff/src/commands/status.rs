//! `skiff status`: which processes run, whether the node is Ready, how long the certificates last.
//!
//! Upstream: cmd/kubeadm/app/cmd/certs.go (check-expiration)
//! Left out: other nodes.

use std::{fs, time::Duration};

use anyhow::Context;
use comfy_table::{Table, presets};
use component::pki::{ClusterPki, inspect};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde::Serialize;

use crate::{commands::up::is_ready, credentials, layout::Layout, parts, process, settings::Settings};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  skiff status\n  skiff status -o json | jq .node.ready\n\n\
                        Ends with 0 when the cluster works, with 3 when it doesn't.")]
pub struct Flags {
    /// `json` for machines.
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    cluster: String,
    processes: Vec<Process>,
    node: NodeReport,
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize)]
struct Process {
    name: &'static str,
    pid: Option<i32>,
    #[serde(rename = "memoryBytes")]
    memory_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    name: String,
    address: String,
    ready: bool,
    /// Why it is unknown whether the node is Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Certificate {
    name: String,
    expires: Timestamp,
    #[serde(rename = "daysLeft")]
    days_left: i64,
}

/// Prints the report. Returns whether everything is as it should be.
pub async fn run(layout: &Layout, flags: &Flags) -> anyhow::Result<bool> {
    let settings = Settings::read(&layout.settings())?;
    let settings = settings.with_context(|| format!("there is no cluster {}: `skiff up` makes one", layout.cluster))?;
    let report = Report {
        cluster: layout.cluster.clone(),
        processes: parts::names(settings.shape).iter().map(|name| look_at(layout, name)).collect(),
        node: node(layout, &settings).await,
        certificates: certificates(layout, &settings, Timestamp::now())?,
    };
    match flags.output {
        Some(_) => println!("{:#}", serde_json::to_value(&report)?),
        None => print(&report),
    }
    Ok(report.node.ready && report.processes.iter().all(|process| process.pid.is_some()))
}

fn look_at(layout: &Layout, name: &'static str) -> Process {
    let pid = process::find(layout, name).map(|running| running.pid);
    Process { name, pid, memory_bytes: pid.and_then(process::resident_bytes) }
}

async fn node(layout: &Layout, settings: &Settings) -> NodeReport {
    let found = tokio::time::timeout(Duration::from_secs(5), get_node(layout, settings)).await;
    let found = found.unwrap_or_else(|_| Err(anyhow::anyhow!("the API server does not answer")));
    NodeReport {
        name: settings.node_name.clone(),
        address: settings.node_address.to_string(),
        ready: found.as_ref().is_ok_and(is_ready),
        error: found.err().map(|error| format!("{error:#}")),
    }
}

async fn get_node(layout: &Layout, settings: &Settings) -> anyhow::Result<Node> {
    let client = client::connect(&layout.kubeconfig("admin"), "skiff").await?;
    Ok(Api::<Node>::all(client).get(&settings.node_name).await?)
}

/// Every certificate of the cluster, in files and in kubeconfigs, the first to expire first.
fn certificates(layout: &Layout, settings: &Settings, now: Timestamp) -> anyhow::Result<Vec<Certificate>> {
    let pki = ClusterPki::at(layout.pki());
    let mut found = Vec::new();
    for name in pki.certificates()? {
        found.push((name.clone(), inspect(&pki.path(&name))?.not_after));
    }
    for (user, _) in credentials::users(settings) {
        let text = fs::read_to_string(layout.kubeconfig(user)).unwrap_or_default();
        found.extend(credentials::expiry(&text).map(|end| (format!("{user}.conf"), end)));
    }
    found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    let days = |end: Timestamp| end.duration_since(now).as_hours().div_euclid(24);
    Ok(found.into_iter().map(|(name, expires)| Certificate { name, expires, days_left: days(expires) }).collect())
}

fn print(report: &Report) {
    let mut processes = table(["PROCESS", "PID", "MEMORY"]);
    for process in &report.processes {
        let pid = process.pid.map_or("stopped".to_owned(), |pid| pid.to_string());
        let memory = process.memory_bytes.map_or(String::new(), |bytes| format!("{} MiB", bytes >> 20));
        processes.add_row([process.name.to_owned(), pid, memory]);
    }
    let mut certificates = table(["CERTIFICATE", "EXPIRES", "DAYS LEFT"]);
    for certificate in &report.certificates {
        let day = certificate.expires.strftime("%Y-%m-%d").to_string();
        certificates.add_row([certificate.name.clone(), day, certificate.days_left.to_string()]);
    }
    let node = &report.node;
    let ready = match &node.error {
        Some(error) => format!("unknown: {error}; `skiff up` starts what is missing"),
        None if node.ready => "Ready".to_owned(),
        None => "NotReady".to_owned(),
    };
    println!("{processes}\n\nnode {} ({}): {ready}\n\n{certificates}", node.name, node.address);
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
