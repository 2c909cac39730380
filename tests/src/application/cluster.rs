//! A cluster of one node that `skiff` starts, in the calling thread's network namespace.
//!
//! Upstream: none
//! Left out: what `skiff` itself has tests for.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use skiff::{containerd, layout::Layout, process, settings::Shape};

use super::{part, workspace};
use crate::rig::program::program;

/// What `skiff` starts, and itself.
const PROGRAMS: [&str; 7] = [
    "skiff",
    "skiff-apiserver",
    "skiff-controller-manager",
    "skiff-scheduler",
    "skiff-kubelet",
    "skiff-proxy",
    "skiff-pause.static",
];

pub struct Cluster {
    pub layout: Layout,
    pub shape: Shape,
    pub node_address: Ipv4Addr,
    folder: PathBuf,
    skiff: PathBuf,
}

impl Cluster {
    /// A cluster that is not started yet. `folder` takes the kubeconfig.
    pub fn new(name: &str, shape: Shape, node_address: Ipv4Addr, folder: &Path) -> Cluster {
        let [skiff, ..] = PROGRAMS.map(program);
        let layout = Layout::of(name).expect("a name for a cluster");
        Cluster { layout, shape, node_address, folder: folder.into(), skiff }
    }

    /// `skiff up`: starts whatever of it doesn't run.
    ///
    /// # Errors
    /// It says why.
    pub fn up(&self) -> anyhow::Result<()> {
        let address = self.node_address.to_string();
        let mut arguments = vec!["up", "--node-name", "n1", "--node-ip", &address];
        if self.shape == Shape::Separate {
            arguments.push("--separate");
        }
        self.skiff(&arguments)
    }

    /// `skiff down`: nothing of it runs, its state stays.
    ///
    /// # Errors
    /// It says why.
    pub fn down(&self) -> anyhow::Result<()> {
        self.skiff(&["down"])
    }

    /// `skiff delete`: nothing of it is left.
    ///
    /// # Errors
    /// It says why.
    pub fn delete(&self) -> anyhow::Result<()> {
        self.skiff(&["delete"])
    }

    /// Runs a command of `skiff`, whatever comes of it.
    ///
    /// # Errors
    /// It can't be run.
    pub fn output(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(arguments).output().context("skiff")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.skiff);
        command.args(["--name", &self.layout.cluster]).args(arguments);
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", &self.folder);
        command
    }

    fn skiff(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let status = self.command(arguments).status().context("skiff")?;
        ensure!(status.success(), "skiff {} failed", arguments.join(" "));
        Ok(())
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The processes that are ours, not etcd and containerd.
    pub fn processes(&self) -> &'static [&'static str] {
        match self.shape {
            Shape::Separate => &["apiserver", "controller-manager", "scheduler", "kubelet", "proxy"],
            Shape::One => &["skiff"],
        }
    }

    /// kill -9 of a process of the cluster.
    ///
    /// # Errors
    /// There is no such process.
    pub fn kill(&self, process: &str) -> anyhow::Result<()> {
        let running = process::find(&self.layout, process).with_context(|| format!("{process} doesn't run"))?;
        kill_9(running.pid.try_into()?)
    }

    /// The process id, on the host, of a running container.
    ///
    /// # Errors
    /// containerd doesn't know it.
    pub fn container_process(&self, container_id: &str) -> anyhow::Result<u64> {
        let listed = containerd::ctr(&self.layout).args(["tasks", "list"]).output()?;
        let listed = String::from_utf8(listed.stdout)?;
        let line = listed.lines().find(|line| line.starts_with(container_id));
        let process = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        process.with_context(|| format!("no task {container_id}"))
    }

    /// `kubectl ARGUMENTS`, of the cluster's own level.
    pub fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(part("kubectl-1.35"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).env("HOME", &self.folder);
        command
    }

    /// Runs kubectl, whatever comes of it.
    ///
    /// # Errors
    /// It can't be run.
    pub fn try_kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_command(arguments).output().context("kubectl")
    }

    /// Runs kubectl and returns what it prints, without the last line's end.
    ///
    /// # Errors
    /// It fails, in its own words.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.try_kubectl(arguments)?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), words.trim());
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Runs `kubectl get ... -o json`.
    ///
    /// # Errors
    /// It fails, in its own words.
    pub fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.kubectl(&[&["get"], arguments, &["-o", "json"]].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Everything that may tell why something failed: what kubectl shows, and the end of every log. The whole goes to
    /// a file; its path is returned.
    pub fn explain(&self) -> PathBuf {
        let mut text = String::new();
        for arguments in [
            &["get", "all,endpointslices,pvc,pv,nodes", "-A", "-o", "wide"][..],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &["describe", "pods", "-A"],
            &["describe", "nodes"],
        ] {
            text += &shown(&mut self.kubectl_command(&[&["--request-timeout=5s"], arguments].concat()));
        }
        text += &shown(Command::new("iptables-save").arg("-c"));
        text += &shown(Command::new("ip").args(["-4", "route"]));
        let mut logs: Vec<PathBuf> = fs::read_dir(self.layout.state.join("logs"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        logs.sort();
        for log in logs {
            text += &format!("\n== {}\n{}\n", log.display(), tail(&log, 400));
        }
        let file = workspace().join("target").join(format!("application-{}.txt", self.layout.cluster));
        let _ = fs::write(&file, text);
        file
    }
}

/// kill -9.
///
/// # Errors
/// There is no such process.
pub fn kill_9(process: u64) -> anyhow::Result<()> {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw).context("a process id")?;
    Ok(rustix::process::kill_process(process, rustix::process::Signal::KILL)?)
}

fn shown(command: &mut Command) -> String {
    match command.output() {
        Ok(output) => format!(
            "\n== {command:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => format!("\n== {command:?}\n{error}\n"),
    }
}

fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
