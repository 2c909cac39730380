//! Decides what a pod's sandbox is made from: names, labels, ports, DNS, namespaces and cgroup.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go
//! Left out: Windows, user namespaces, SELinux.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use proto::cri::{
    DnsConfig, Int64Value, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol, SecurityProfile,
};

use crate::config::Config;
use crate::observed::{POD_NAME, POD_NAMESPACE, POD_UID};
use crate::security;
use crate::{cgroups, hostname, logs, pod_spec};

/// The configuration of a pod's sandbox, the `attempt`th.
pub fn config(pod: &Pod, node: &Config, dns: DnsConfig, attempt: u32) -> PodSandboxConfig {
    let spec = pod.spec.clone().unwrap_or_default();
    let metadata = PodSandboxMetadata {
        name: pod_spec::name(pod).into(),
        namespace: pod_spec::namespace(pod).into(),
        uid: pod_spec::uid(pod).into(),
        attempt,
    };
    let mut labels: HashMap<_, _> = pod.metadata.labels.clone().unwrap_or_default().into_iter().collect();
    labels.extend(identity(pod));
    let annotations = pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect();
    PodSandboxConfig {
        metadata: Some(metadata),
        hostname: hostname::of_sandbox(pod, node),
        log_directory: logs::pod_directory(&node.pod_logs_dir, pod).display().to_string(),
        dns_config: Some(dns),
        port_mappings: port_mappings(&spec),
        labels,
        annotations,
        linux: Some(linux(pod, &spec, node)),
    }
}

/// The labels by which the kubelet finds what belongs to a pod.
pub fn identity(pod: &Pod) -> [(String, String); 3] {
    [
        (POD_NAME.into(), pod_spec::name(pod).into()),
        (POD_NAMESPACE.into(), pod_spec::namespace(pod).into()),
        (POD_UID.into(), pod_spec::uid(pod).into()),
    ]
}

/// Which of the machine's namespaces the pod uses, and which its containers share.
pub fn namespaces(spec: &PodSpec) -> NamespaceOption {
    let node_or = |shares: Option<bool>, otherwise| if shares == Some(true) { NamespaceMode::Node } else { otherwise };
    let own_pid =
        if spec.share_process_namespace == Some(true) { NamespaceMode::Pod } else { NamespaceMode::Container };
    NamespaceOption {
        network: node_or(spec.host_network, NamespaceMode::Pod) as i32,
        ipc: node_or(spec.host_ipc, NamespaceMode::Pod) as i32,
        pid: node_or(spec.host_pid, own_pid) as i32,
        ..Default::default()
    }
}

fn port_mappings(spec: &PodSpec) -> Vec<PortMapping> {
    if pod_spec::is_host_network(spec) {
        return Vec::new();
    }
    let sidecars = spec.init_containers.iter().flatten().filter(|container| pod_spec::restarts_always(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mapped = ports.filter(|port| port.host_port.unwrap_or(0) > 0);
    mapped
        .map(|port| PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp as i32,
                Some("SCTP") => Protocol::Sctp as i32,
                _ => Protocol::Tcp as i32,
            },
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or(0),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

fn linux(pod: &Pod, spec: &PodSpec, node: &Config) -> LinuxPodSandboxConfig {
    let context = spec.security_context.clone().unwrap_or_default();
    let sysctls = context.sysctls.iter().flatten().map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect();
    let supplemental = context.fs_group.into_iter().chain(context.supplemental_groups.iter().flatten().copied());
    LinuxPodSandboxConfig {
        cgroup_parent: cgroups::parent(pod, node),
        sysctls,
        security_context: Some(LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces(spec)),
            run_as_user: context.run_as_user.map(|value| Int64Value { value }),
            run_as_group: context.run_as_user.and(context.run_as_group).map(|value| Int64Value { value }),
            supplemental_groups: supplemental.collect(),
            privileged: spec.containers.iter().any(security::is_privileged),
            seccomp: Some(SecurityProfile::default()),
            ..Default::default()
        }),
        ..Default::default()
    }
}
