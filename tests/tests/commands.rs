//! Every command of `skiff` on a cluster that runs, one that is stopped, and none.
//!
//! Upstream: cmd/kubeadm/test/cmd
//! Left out: what a cluster does once it is there: application.rs.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use skiff::settings::Shape;
use tests::application::cluster::Cluster;
use tests::application::machine;
use tests::application::part;
use tests::rig::namespace::{NODE_ADDRESS, Namespace};

#[test]
fn every_command_does_what_its_help_says() {
    if !machine::is_own("every_command_does_what_its_help_says") {
        return;
    }
    Namespace::new().run(async |_| {
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = Cluster::new("commands", Shape::One, NODE_ADDRESS, folder.path());
        cluster.delete().expect("nothing is left of a run that was interrupted");
        let outcome = nothing(&cluster).and_then(|()| running(&cluster)).and_then(|()| stopped(&cluster));
        cluster.delete().expect("it is deleted");
        outcome.expect("every command does");
    });
}

fn nothing(cluster: &Cluster) -> anyhow::Result<()> {
    let printed = cluster.output(&["kubeconfig"])?;
    ensure!(words(&printed.stderr).contains("`skiff up` makes the cluster commands"), "{printed:?}");
    ensure!(printed.status.code() == Some(1), "{printed:?}");
    let findings: Vec<Value> = serde_json::from_slice(&cluster.output(&["doctor", "-o", "json"])?.stdout)?;
    ensure!(findings.iter().all(|finding| finding["fatal"] == false), "{findings:#?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = cluster.output(&["completion", shell])?;
        ensure!(script.status.success() && words(&script.stdout).contains("doctor"), "{shell}: {script:?}");
    }
    is_bash(&cluster.output(&["completion", "bash"])?.stdout)
}

fn running(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.up()?;
    let state = status(cluster)?;
    ensure!(state.status.success(), "{state:?}");
    ensure!(words(&state.stdout).contains("Ready"), "{}", words(&state.stdout));

    // The printed kubeconfig stands for itself; merging it again changes nothing.
    let printed = succeeded(cluster.output(&["kubeconfig"])?)?;
    let file = cluster.kubeconfig().with_file_name("printed");
    std::fs::write(&file, printed)?;
    let mut kubectl = Command::new(part("kubectl-1.35"));
    let nodes = kubectl.arg("--kubeconfig").arg(&file).args(["get", "nodes", "-o", "name"]).output()?;
    ensure!(words(&nodes.stdout) == "node/n1\n", "{nodes:?}");
    let before = std::fs::read_to_string(cluster.kubeconfig())?;
    succeeded(cluster.output(&["kubeconfig", "--merge"])?)?;
    ensure!(std::fs::read_to_string(cluster.kubeconfig())? == before, "merging twice is not merging once");

    // `up` of what runs leaves it as it is.
    let before = skiff::process::find(&cluster.layout, "skiff").context("it runs")?.pid;
    cluster.up()?;
    let after = skiff::process::find(&cluster.layout, "skiff").context("it runs")?.pid;
    ensure!(before == after, "`up` has started it anew");
    let changed = cluster.output(&["up", "--separate"])?;
    ensure!(words(&changed.stderr).contains("`skiff delete` it first"), "{changed:?}");
    Ok(())
}

fn stopped(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.down()?;
    let state = status(cluster)?;
    ensure!(state.status.code() == Some(3), "a stopped cluster is not as it should be: {state:?}");
    cluster.delete()?;
    ensure!(!cluster.layout.state.exists() && !cluster.layout.config.exists(), "`delete` leaves folders");
    Ok(())
}

fn status(cluster: &Cluster) -> anyhow::Result<Output> {
    cluster.output(&["status"])
}

fn succeeded(output: Output) -> anyhow::Result<Vec<u8>> {
    ensure!(output.status.success(), "{}", words(&output.stderr));
    Ok(output.stdout)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// bash can read it.
fn is_bash(script: &[u8]) -> anyhow::Result<()> {
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn()?;
    bash.stdin.take().context("a pipe")?.write_all(script)?;
    ensure!(bash.wait()?.success(), "the completion is no bash");
    Ok(())
}
