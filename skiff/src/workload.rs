//! What the cluster has running on this machine beside its processes: pods, mounts, cgroups.
//!
//! Upstream: cmd/kubeadm/app/cmd/phases/reset/cleanupnode.go
//! Left out: runtimes other than the cluster's own containerd.

use std::{fs, path::Path};

use anyhow::Context;
use proto::cri::{
    ListPodSandboxRequest, RemovePodSandboxRequest, StopPodSandboxRequest, runtime_service_client::RuntimeServiceClient,
};
use rustix::mount::{UnmountFlags, unmount};
use tonic::{Code, Status};

use crate::layout::Layout;

/// Stops and removes every pod sandbox, with its containers and its network.
///
/// # Errors
/// containerd can't be reached, or can't remove one.
pub async fn stop_pods(layout: &Layout) -> anyhow::Result<()> {
    let endpoint = format!("unix://{}", layout.containerd_socket().display());
    let mut runtime = RuntimeServiceClient::connect(endpoint).await.context("containerd")?;
    let listed = runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await?;
    for sandbox in listed.into_inner().items {
        let name = sandbox.metadata.map(|metadata| metadata.name).unwrap_or_default();
        let stop = StopPodSandboxRequest { pod_sandbox_id: sandbox.id.clone() };
        unless_gone(runtime.stop_pod_sandbox(stop).await).with_context(|| format!("pod {name}"))?;
        let remove = RemovePodSandboxRequest { pod_sandbox_id: sandbox.id };
        unless_gone(runtime.remove_pod_sandbox(remove).await).with_context(|| format!("pod {name}"))?;
    }
    Ok(())
}

/// What the runtime answers about a sandbox. One that is gone is what is wanted: the kubelet's last request may have
/// removed it since the list was made.
fn unless_gone<T>(answer: Result<T, Status>) -> Result<(), Status> {
    answer.map(drop).or_else(|status| if status.code() == Code::NotFound { Ok(()) } else { Err(status) })
}

/// Unmounts everything below `folder`, the innermost first.
///
/// # Errors
/// Something there is in use.
pub fn unmount_below(folder: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    let mut below: Vec<String> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(unescape)
        .filter(|point| Path::new(point).starts_with(folder))
        .collect();
    below.sort();
    for point in below.iter().rev() {
        unmount(point.as_str(), UnmountFlags::empty()).with_context(|| format!("can't unmount {point}"))?;
    }
    Ok(())
}

/// mountinfo writes blanks and backslashes as octal numbers.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Removes the folder and all that is in it, if it is there.
///
/// # Errors
/// Something in it can't be removed.
pub fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_that_is_gone_already_is_no_failure() {
        assert!(unless_gone(Ok(())).is_ok());
        assert!(unless_gone::<()>(Err(Status::not_found("no sandbox"))).is_ok());
        assert!(unless_gone::<()>(Err(Status::unavailable("no socket"))).is_err());
    }
}
