//! A whole cluster: from `skiff up` to a Ready node, and what it uses when nothing happens.
//!
//! Upstream: none
//! Left out: pods.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::{Map, Value, json};
use skiff::{
    layout::Layout,
    parts, process,
    settings::{Settings, Shape},
};

use crate::{
    Cluster,
    load::milliseconds,
    usage::{processor_time, resident_bytes, rounded},
};

/// The cluster that is measured.
pub const NAME: &str = "bench";

/// Brings a cluster up twice, from nothing and after `down`, and looks at it while it is idle.
///
/// # Errors
/// A command of `skiff` fails.
pub async fn up(flags: &Cluster) -> anyhow::Result<Value> {
    let shape = if flags.separate { Shape::Separate } else { Shape::One };
    let measured = measure(flags, shape).await;
    // A failed run leaves nothing behind either.
    let deleted = skiff(&["delete"]);
    let figures = measured?;
    deleted?;
    Ok(figures)
}

async fn measure(flags: &Cluster, shape: Shape) -> anyhow::Result<Value> {
    skiff(&["delete"])?;
    let arguments: &[&str] = if flags.separate { &["up", "--separate"] } else { &["up"] };
    let first = skiff(arguments)?;
    skiff(&["down"])?;
    let again = skiff(&["up"])?;
    let layout = Layout::of(NAME)?;
    let settings = Settings::read(&layout.settings())?.unwrap_or_default();
    ensure!(settings.shape == shape, "the cluster has another shape");
    let running: Vec<(&str, i32)> =
        parts::names(shape).iter().filter_map(|name| Some((*name, process::find(&layout, name)?.pid))).collect();
    // What the start leaves behind ends first: image layers, finished tasks.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let used = |pid: i32| processor_time(pid);
    let before: Vec<Duration> = running.iter().map(|(_, pid)| used(*pid)).collect::<anyhow::Result<_>>()?;
    let looked = Duration::from_secs(flags.idle_seconds);
    tokio::time::sleep(looked).await;
    let mut processes = Map::new();
    let (mut ours_bytes, mut ours_used) = (0, Duration::ZERO);
    for ((name, pid), before) in running.iter().zip(before) {
        let (bytes, used) = (resident_bytes(*pid)?, used(*pid)?.saturating_sub(before));
        let share = used.as_secs_f64() / looked.as_secs_f64() * 100.0;
        processes.insert(
            (*name).to_owned(),
            json!({"memory_mb": rounded(bytes as f64 / 1e6), "cpu_percent": rounded(share)}),
        );
        if !["containerd", "etcd"].contains(name) {
            ours_bytes += bytes;
            ours_used += used;
        }
    }
    Ok(json!({
        "bench": "cluster",
        "shape": settings.shape,
        "up_from_nothing_ms": milliseconds(first),
        "up_again_ms": milliseconds(again),
        "idle_seconds": flags.idle_seconds,
        "memory_mb_without_containerd_and_etcd": rounded(ours_bytes as f64 / 1e6),
        "cpu_percent_without_containerd_and_etcd":
            rounded(ours_used.as_secs_f64() / looked.as_secs_f64() * 100.0),
        "processes": processes,
    }))
}

/// Runs a command of `skiff`, and says how long it took.
///
/// # Errors
/// It fails.
pub fn skiff(arguments: &[&str]) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut command = Command::new(parts::own_program("skiff")?);
    command.args(["--name", NAME]).args(arguments).stdout(Stdio::null());
    command.env("KUBECONFIG", std::env::temp_dir().join("skiff-bench.kubeconfig"));
    let status = command.status()?;
    ensure!(status.success(), "skiff {} failed", arguments.join(" "));
    Ok(began.elapsed())
}
