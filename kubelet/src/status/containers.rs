//! Decides the reported state of one container: waiting, running or terminated, and why.
//!
//! Upstream: pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses)
//! Left out: allocatedResources (off by default), resize, and recursively read-only mounts: none is made so here.

use k8s_openapi::api::core::v1::{
    Container as ContainerSpec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, ContainerUser, LinuxContainerUser as LinuxUser, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proto::cri::LinuxContainerUser;

use super::{View, resources};
use crate::go_duration;
use crate::observed::{Container, Exit, State};
use crate::plan::back_off_of;
use crate::pod_spec;

/// The scheme of container ids in statuses.
const RUNTIME: &str = "containerd";

impl View<'_> {
    pub(super) fn container(&self, spec: &ContainerSpec) -> ContainerStatus {
        let newest = self.newest(&spec.name).filter(|found| found.state != State::Created);
        let mut status = ContainerStatus {
            name: spec.name.clone(),
            image: spec.image.clone().unwrap_or_default(),
            started: Some(false),
            volume_mounts: mounts(spec),
            ..Default::default()
        };
        let Some(container) = newest else {
            status.state = Some(self.not_begun(spec));
            return status;
        };
        status.restart_count = container.restart_count.try_into().unwrap_or(i32::MAX);
        status.container_id = Some(format!("{RUNTIME}://{}", container.id));
        status.image_id = container.image_ref.clone();
        if !container.image.is_empty() {
            status.image = container.image.clone();
        }
        status.resources = Some(resources::in_force(spec, container, self.before(&spec.name)));
        status.user = container.user.as_ref().map(user);
        status.last_state =
            self.runtime.predecessor(&spec.name).and_then(|before| Some(terminated(before, before.exit()?)));
        match &container.state {
            State::Running { started_at } => {
                let running = ContainerStateRunning { started_at: Some(Time(*started_at)) };
                status.state = Some(ContainerState { running: Some(running), ..Default::default() });
                status.started = Some(self.probes.is_started(&container.id));
                let runs_to_an_end = self.is_init(spec) && !pod_spec::restarts_always(spec);
                let passes = self.probes.is_ready(&container.id) && status.started == Some(true);
                status.ready = passes && !runs_to_an_end && !pod_spec::is_ephemeral(self.pod, &spec.name);
            }
            State::Exited(exit) => {
                let gone = terminated(container, exit);
                match self.waiting_to_restart(spec, container, exit) {
                    Some(waiting) => {
                        status.state = Some(waiting);
                        status.last_state = Some(gone);
                    }
                    None => status.state = Some(gone),
                }
                status.ready = exit.code == 0 && self.is_init(spec) && !pod_spec::restarts_always(spec);
            }
            State::Created | State::Unknown => {
                let lost = Exit {
                    code: 137,
                    reason: "ContainerStatusUnknown".into(),
                    message: "The container could not be located when the pod was terminated".into(),
                    started_at: None,
                    finished_at: container.created_at,
                };
                status.state = Some(terminated(container, &lost));
            }
        }
        status
    }

    /// What was reported of the container last.
    fn before(&self, name: &str) -> Option<&ContainerStatus> {
        let status = self.pod.status.as_ref()?;
        let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten().find(|status| status.name == name)
    }

    fn is_init(&self, spec: &ContainerSpec) -> bool {
        pod_spec::init_containers(self.pod).iter().any(|init| init.name == spec.name)
    }

    /// Nothing of it has run in this pod yet.
    fn not_begun(&self, spec: &ContainerSpec) -> ContainerState {
        if let Some(failure) = self.progress.failures.get(&spec.name) {
            return waiting(&failure.reason, Some(failure.message.clone()));
        }
        let has_init = !pod_spec::init_containers(self.pod).is_empty();
        waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, None)
    }

    /// The waiting state of a container that will be started again, once it has to wait for that.
    fn waiting_to_restart(&self, spec: &ContainerSpec, container: &Container, exit: &Exit) -> Option<ContainerState> {
        if self.is_ending() || self.progress.verdict.is_some() || pod_spec::is_terminal(self.pod) {
            return None;
        }
        if !pod_spec::restarts(self.pod, spec, exit.code) {
            return None;
        }
        if let Some(failure) = self.progress.failures.get(&spec.name) {
            return Some(waiting(&failure.reason, Some(failure.message.clone())));
        }
        let back_off = back_off_of(container, exit);
        if back_off.is_zero() {
            return None;
        }
        let pod = self.pod;
        let message = format!(
            "back-off {} restarting failed container={} pod={}_{}({})",
            go_duration::seconds(back_off.as_secs()),
            spec.name,
            pod_spec::name(pod),
            pod_spec::namespace(pod),
            pod_spec::uid(pod)
        );
        Some(waiting("CrashLoopBackOff", Some(message)))
    }
}

/// How the volumes are mounted: read-only means nothing for what is mounted below them.
fn mounts(spec: &ContainerSpec) -> Option<Vec<VolumeMountStatus>> {
    let mounts = spec.volume_mounts.as_ref()?.iter().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|read_only| *read_only),
        recursive_read_only: (mount.read_only == Some(true)).then(|| "Disabled".to_owned()),
    });
    Some(mounts.collect()).filter(|mounts: &Vec<_>| !mounts.is_empty())
}

fn user(user: &LinuxContainerUser) -> ContainerUser {
    let groups = Some(user.supplemental_groups.clone()).filter(|groups| !groups.is_empty());
    let linux = LinuxUser { uid: user.uid, gid: user.gid, supplemental_groups: groups };
    ContainerUser { linux: Some(linux) }
}

fn terminated(container: &Container, exit: &Exit) -> ContainerState {
    let reason = match exit.reason.as_str() {
        "" if exit.code == 0 => "Completed",
        "" => "Error",
        // containerd's word for a container whose process could not be started.
        "StartError" => "StartError",
        given => given,
    };
    let terminated = ContainerStateTerminated {
        container_id: Some(format!("{RUNTIME}://{}", container.id)),
        exit_code: exit.code,
        reason: Some(reason.into()),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        started_at: exit.started_at.map(Time),
        finished_at: Some(Time(exit.finished_at)),
        signal: None,
    };
    ContainerState { terminated: Some(terminated), ..Default::default() }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message };
    ContainerState { waiting: Some(waiting), ..Default::default() }
}
