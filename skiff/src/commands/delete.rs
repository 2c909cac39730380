//! `skiff delete`: stops the cluster and removes everything that it ever put on this machine.
//!
//! Upstream: cmd/kubeadm/app/cmd/reset.go
//! Left out: a question first: the command's name says what it does.

use anyhow::Context;

use crate::{
    commands::down,
    layout::Layout,
    progress::step,
    settings::Settings,
    user_kubeconfig,
    workload::{remove_folder, unmount_below},
};

#[derive(Debug, clap::Args)]
pub struct Flags {}

pub async fn run(layout: &Layout) -> anyhow::Result<()> {
    if let Some(settings) = Settings::read(&layout.settings()).unwrap_or_default() {
        down::stop(layout, &settings).await?;
    }
    step("rules of the proxy", proxy::clean_up()).await?;
    step("mounts, cgroups, files", async { clean(layout) }).await?;
    if let Some(words) = user_kubeconfig::remove(layout)? {
        println!("{words}");
    }
    Ok(())
}

/// Removes what a stopped cluster leaves on this machine, but for the proxy's rules.
///
/// # Errors
/// Something is in use or can't be removed.
pub fn clean(layout: &Layout) -> anyhow::Result<()> {
    for folder in [&layout.run, &layout.state, &layout.config] {
        unmount_below(folder)?;
        remove_folder(folder)?;
    }
    if layout.pod_logs().starts_with("/var/log") {
        remove_folder(&layout.pod_logs())?;
    }
    let mut kubelet = kubelet::Config::new("");
    kubelet.cgroup_root = layout.cgroup_root();
    kubelet::cgroups::remove_root(&kubelet).context("can't remove the pods' cgroups")
}
