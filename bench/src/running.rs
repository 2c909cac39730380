//! From the create of a pod until it is Running, on a real node.
//!
//! Scheduler, kubelet, containerd, runc and the network are all in it; the image is there already.
//!
//! Upstream: test/e2e_node/density_test.go
//! Left out: pulls, volumes, probes.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
    runtime::watcher,
};
use serde_json::{Value, json};
use skiff::{containerd::PAUSE_IMAGE, layout::Layout, process};

use crate::{
    Running,
    cluster::{self, skiff},
    load::{milliseconds, quantile},
    usage::{per_operation_us, processor_time, rounded},
};

/// How long a pod may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts pods one after the other, then many at once.
///
/// # Errors
/// The cluster doesn't come up, or a pod doesn't become Running.
pub async fn pods(flags: &Running) -> anyhow::Result<Value> {
    skiff(&["delete"])?;
    let measured = measure(flags).await;
    // A failed run leaves nothing behind either.
    let deleted = skiff(&["delete"]);
    let figures = measured?;
    deleted?;
    Ok(figures)
}

async fn measure(flags: &Running) -> anyhow::Result<Value> {
    skiff(&["up"])?;
    let layout = Layout::of(cluster::NAME)?;
    let pid = process::find(&layout, "skiff").context("the cluster's process")?.pid;
    let client = client::connect(&layout.kubeconfig("admin"), "skiff-bench").await?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    let mut changes = Box::pin(watcher(pods.clone(), watcher::Config::default()));
    let mut took = Vec::new();
    for number in 0..flags.one_by_one {
        let name = format!("one-{number}");
        let began = Instant::now();
        pods.create(&PostParams::default(), &pod(&name)?).await?;
        running(&mut changes, 1).await?;
        took.push(began.elapsed());
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    }
    took.sort();
    let (began, used) = (Instant::now(), processor_time(pid)?);
    for number in 0..flags.at_once {
        pods.create(&PostParams::default(), &pod(&format!("burst-{number}"))?).await?;
    }
    running(&mut changes, flags.at_once).await?;
    let burst = began.elapsed();
    Ok(json!({
        "bench": "running",
        "one_by_one": flags.one_by_one,
        "p50_ms": milliseconds(quantile(&took, 0.5)),
        "p99_ms": milliseconds(quantile(&took, 0.99)),
        "at_once": flags.at_once,
        "all_running_ms": milliseconds(burst),
        "pods_per_second": rounded(flags.at_once as f64 / burst.as_secs_f64()),
        "skiff_cpu_us_per_pod": per_operation_us(pid, used, flags.at_once)?,
    }))
}

fn pod(name: &str) -> anyhow::Result<Pod> {
    let container = json!({"name": "c", "image": PAUSE_IMAGE});
    let spec = json!({"containers": [container], "automountServiceAccountToken": false});
    Ok(serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?)
}

/// Waits until so many more pods have become Running.
async fn running(
    changes: &mut (impl Stream<Item = watcher::Result<watcher::Event<Pod>>> + Unpin),
    count: usize,
) -> anyhow::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    let all = async {
        while seen.len() < count {
            let change = changes.try_next().await?.context("the watch ended")?;
            if let watcher::Event::Apply(pod) = change
                && pod.metadata.deletion_timestamp.is_none()
                && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
            {
                seen.insert(pod.name_any());
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.context("not all pods become Running")?
}
