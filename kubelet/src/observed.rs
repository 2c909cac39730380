//! What the container runtime has of one pod: its sandboxes and containers, newest first.
//!
//! Everything the kubelet must remember about a container is a label or an annotation on it, so a kubelet that starts
//! anew sees exactly what the one before it saw.
//!
//! Upstream: pkg/kubelet/kuberuntime/labels.go, pkg/kubelet/container/runtime.go (PodStatus)
//! Left out: a cache of pod statuses; one pod is a handful of calls over a local socket.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use proto::cri::{self, ContainerFilter, ContainerState, PodSandboxFilter, PodSandboxState};

use crate::cri::{CriError, Runtime};
use crate::termination;

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub const GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";
/// Ours: how long to wait before the next restart, decided when this one was made.
pub const BACK_OFF_SECONDS: &str = "skiff.dev/back-off-seconds";

/// All sandboxes and containers of one pod, each list newest first.
#[derive(Debug, Clone, Default)]
pub struct PodRuntime {
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Container>,
}

#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub ips: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub sandbox_id: String,
    pub name: String,
    pub restart_count: u32,
    pub hash: String,
    pub image: String,
    pub image_ref: String,
    pub created_at: Timestamp,
    pub state: State,
    /// The wait before the restart after this container's end.
    pub back_off: SignedDuration,
    pub grace_seconds: i64,
    pub log_path: String,
    /// Whom its first process runs as, where the runtime tells.
    pub user: Option<cri::LinuxContainerUser>,
    /// What its control group allows, where the runtime tells.
    pub resources: Option<cri::LinuxContainerResources>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Created,
    Running { started_at: Timestamp },
    Exited(Exit),
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    pub code: i32,
    pub reason: String,
    pub message: String,
    /// Absent when the process never started.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

impl PodRuntime {
    /// The sandbox that counts: the newest one.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// The newest container of that name, in whatever sandbox.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The container of that name before the newest.
    pub fn predecessor(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.is_running())
    }
}

impl Container {
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Unknown)
    }

    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// Asks the runtime for everything it has of the pod with this uid.
pub async fn observe(runtime: &Runtime, uid: &str) -> Result<PodRuntime, CriError> {
    let of_pod = HashMap::from([(POD_UID.to_string(), uid.to_string())]);
    let sandbox_filter = PodSandboxFilter { label_selector: of_pod.clone(), ..Default::default() };
    let container_filter = ContainerFilter { label_selector: of_pod, ..Default::default() };
    let (sandboxes, containers) =
        tokio::try_join!(runtime.sandboxes(sandbox_filter), runtime.containers(container_filter))?;

    let mut pod = PodRuntime::default();
    for sandbox in sandboxes {
        match runtime.sandbox_status(&sandbox.id).await {
            Ok(status) => pod.sandboxes.push(sandbox_from(status)),
            Err(CriError::NotFound(_)) => {} // removed between the two calls
            Err(error) => return Err(error),
        }
    }
    for container in containers {
        match runtime.container_status(&container.id).await {
            Ok(status) => pod.containers.push(container_from(container.pod_sandbox_id, status).await),
            Err(CriError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    pod.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.attempt));
    pod.containers.sort_by_key(|container| std::cmp::Reverse((container.restart_count, container.created_at)));
    Ok(pod)
}

fn sandbox_from(status: cri::PodSandboxStatus) -> Sandbox {
    let network = status.network.clone().unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|address| address.ip));
    Sandbox {
        attempt: status.metadata.as_ref().map_or(0, |metadata| metadata.attempt),
        ready: status.state() == PodSandboxState::SandboxReady,
        ips: ips.filter(|ip| !ip.is_empty()).collect(),
        id: status.id,
    }
}

async fn container_from(sandbox_id: String, status: cri::ContainerStatus) -> Container {
    let note = |key: &str| status.annotations.get(key).cloned().unwrap_or_default();
    let attempt = status.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
    let state = match status.state() {
        ContainerState::ContainerCreated => State::Created,
        ContainerState::ContainerRunning => State::Running { started_at: timestamp(status.started_at) },
        ContainerState::ContainerExited => State::Exited(Exit {
            code: status.exit_code,
            reason: status.reason.clone(),
            message: termination::message(&status).await,
            started_at: (status.started_at > 0).then(|| timestamp(status.started_at)),
            finished_at: timestamp(status.finished_at),
        }),
        ContainerState::ContainerUnknown => State::Unknown,
    };
    Container {
        name: status.labels.get(CONTAINER_NAME).cloned().unwrap_or_default(),
        restart_count: note(RESTART_COUNT).parse().unwrap_or(attempt),
        hash: note(CONTAINER_HASH),
        back_off: SignedDuration::from_secs(note(BACK_OFF_SECONDS).parse().unwrap_or(0)),
        grace_seconds: note(GRACE_PERIOD).parse().unwrap_or(30),
        created_at: timestamp(status.created_at),
        image: status.image.map(|image| image.image).unwrap_or_default(),
        image_ref: status.image_ref,
        log_path: status.log_path,
        user: status.user.and_then(|user| user.linux),
        resources: status.resources.and_then(|resources| resources.linux),
        id: status.id,
        sandbox_id,
        state,
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}
