//! `skiff down`: stops the cluster's processes and containers, and keeps its state.
//!
//! Upstream: none
//! Left out: nothing.

use std::time::Duration;

use crate::{layout::Layout, parts, process, progress::step, settings::Settings, workload};

/// What a process gets to finish its requests in before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub struct Flags {}

pub async fn run(layout: &Layout) -> anyhow::Result<()> {
    let Some(settings) = Settings::read(&layout.settings())? else {
        println!("there is no cluster {}", layout.cluster);
        return Ok(());
    };
    stop(layout, &settings).await
}

/// Stops everything, the last started first; containers once nobody starts them again, containerd after them.
pub async fn stop(layout: &Layout, settings: &Settings) -> anyhow::Result<()> {
    for name in parts::names(settings.shape).iter().rev() {
        if process::find(layout, name).is_none() {
            continue;
        }
        if *name == "containerd" {
            step("pods", workload::stop_pods(layout)).await?;
        }
        step(name, process::stop(layout, name, PATIENCE)).await?;
    }
    Ok(())
}
