//! Decides what one container is made from.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (generateContainerConfig)
//! Left out: devices, block volumes, CDI.

use std::collections::{BTreeMap, HashMap};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Pod};
use proto::cri::{ContainerConfig, ContainerMetadata, KeyValue, LinuxContainerConfig, Mount};

use crate::cri::image_spec;
use crate::expansion::expand;
use crate::observed::{
    BACK_OFF_SECONDS, CONTAINER_HASH, CONTAINER_NAME, GRACE_PERIOD, RESTART_COUNT, TERMINATION_MESSAGE_PATH,
    TERMINATION_MESSAGE_POLICY,
};
use crate::security::{self, ImageUser};
use crate::{logs, pod_spec, resources, sandbox};

/// What has been found out or made for a container before it can be created.
pub struct Prepared {
    pub image_ref: String,
    pub image_user: ImageUser,
    pub environment: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub machine_memory: i64,
    pub restart_count: u32,
    pub back_off: SignedDuration,
}

/// The configuration of a container.
///
/// # Errors
/// The message of `CreateContainerConfigError`.
pub fn config(pod: &Pod, container: &Container, prepared: Prepared) -> Result<ContainerConfig, String> {
    let variables: BTreeMap<_, _> = prepared.environment.iter().cloned().collect();
    let words = |list: &Option<Vec<String>>| list.iter().flatten().map(|word| expand(word, &variables)).collect();
    let namespaces = sandbox::namespaces(pod.spec.as_ref().expect("a pod of the API server has a spec"));
    let security = security::context(pod, container, &prepared.image_user, namespaces)?;
    let linux = LinuxContainerConfig {
        resources: Some(resources::container_resources(pod, container, prepared.machine_memory)),
        security_context: Some(security),
    };
    let mut labels: HashMap<_, _> = sandbox::identity(pod).into_iter().collect();
    labels.insert(CONTAINER_NAME.into(), container.name.clone());
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata { name: container.name.clone(), attempt: prepared.restart_count }),
        image: Some(image_spec(&prepared.image_ref)),
        command: words(&container.command),
        args: words(&container.args),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: prepared.environment.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
        mounts: prepared.mounts,
        labels,
        annotations: annotations(pod, container, prepared.restart_count, prepared.back_off),
        log_path: logs::file_name(&container.name, prepared.restart_count),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(linux),
        ..Default::default()
    })
}

/// What a later kubelet must know about this container and can't find in the pod.
fn annotations(
    pod: &Pod,
    container: &Container,
    restart_count: u32,
    back_off: SignedDuration,
) -> HashMap<String, String> {
    let path = container.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".into());
    let policy = container.termination_message_policy.clone().unwrap_or_else(|| "File".into());
    HashMap::from([
        (CONTAINER_HASH.into(), pod_spec::hash(container)),
        (RESTART_COUNT.into(), restart_count.to_string()),
        (BACK_OFF_SECONDS.into(), back_off.as_secs().to_string()),
        (GRACE_PERIOD.into(), pod_spec::grace_seconds(pod, false).to_string()),
        (TERMINATION_MESSAGE_PATH.into(), path),
        (TERMINATION_MESSAGE_POLICY.into(), policy),
    ])
}
