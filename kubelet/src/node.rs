//! The node's own object: it registers itself, says how it is, and renews its lease.
//!
//! Upstream: pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus
//! Left out: images in the status, volumes in use, cloud providers.

use std::net::IpAddr;
use std::time::Duration;

use ::client::Recorder;
use api::quantity::{Format, Quantity};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::cri::{CriError, Runtime};
use crate::machine::Machine;
use crate::node_events::{self, Told};

/// Upstream's intervals: the lease, and the status when nothing changes.
const LEASE_EVERY: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Keeps the Node and its Lease.
pub struct Keeper {
    config: Config,
    client: kube::Client,
    runtime: Runtime,
    machine: Machine,
    recorder: Recorder,
    told: Told,
}

impl Keeper {
    pub fn new(config: Config, client: kube::Client, runtime: Runtime, machine: Machine, recorder: Recorder) -> Keeper {
        let told = Told { pressures: false, unschedulable: false };
        Keeper { config, client, runtime, machine, recorder, told }
    }

    /// Works until shutdown.
    pub async fn keep(mut self, network_written: &Notify, shutdown: CancellationToken) {
        let work = async {
            node_events::record(&self.recorder, &self.config.node_name, &node_events::starting());
            while let Err(error) = self.register().await {
                warn!(%error, "node is not registered");
                tokio::time::sleep(RETRY_EVERY).await;
            }
            // A lease is a promise renewed by the clock; the status rides along, because the runtime announces nothing.
            let mut ticks = tokio::time::interval(LEASE_EVERY);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        if let Err(error) = self.renew_lease().await {
                            warn!(%error, "lease is not renewed");
                        }
                    }
                    () = network_written.notified() => self.network_is_read().await,
                }
                if let Err(error) = self.report().await {
                    warn!(%error, "node status is not written");
                }
            }
        };
        shutdown.run_until_cancelled(work).await;
    }

    async fn register(&mut self) -> kube::Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        if nodes.get_opt(&self.config.node_name).await?.is_none() {
            let node = node_object(&self.config, &self.machine);
            let node: Node = serde_json::from_value(node).map_err(kube::Error::SerdeError)?;
            nodes.create(&PostParams::default(), &node).await?;
            info!(node = self.config.node_name, "registered");
        }
        self.report().await
    }

    /// Writes conditions, capacity, addresses and what the machine is, and tells what is new of it.
    async fn report(&mut self) -> kube::Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let before = nodes.get(&self.config.node_name).await?;
        let health = self.runtime.conditions().await;
        let version = self.runtime.version().await.map(|version| version.runtime_version).unwrap_or_default();
        let status = status(&self.config, &self.machine, &before, trouble(health), &version, Timestamp::now());
        let events = node_events::of_change(&before, self.told, &status);
        let patch = json!({ "status": status });
        nodes.patch_status(&self.config.node_name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        for event in events {
            node_events::record(&self.recorder, &self.config.node_name, &event);
        }
        self.told = Told { pressures: true, unschedulable: node_events::is_unschedulable(&before) };
        Ok(())
    }

    /// Waits until the runtime has read a network configuration that was just written; it tells nobody. Gives up in
    /// time for the next report.
    async fn network_is_read(&self) {
        let read = async {
            while trouble(self.runtime.conditions().await).is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(LEASE_EVERY / 2, read).await;
    }

    async fn renew_lease(&self) -> kube::Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let name = &self.config.node_name;
        let renewed = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let spec = json!({ "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed });
        let patch = Patch::Merge(json!({ "spec": spec }));
        match leases.patch(name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let lease = json!({ "metadata": { "name": name }, "spec": spec });
                let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
                leases.create(&PostParams::default(), &lease).await.map(drop)
            }
            other => other.map(drop),
        }
    }
}

/// Why the node isn't ready, if it isn't.
fn trouble(health: Result<Vec<proto::cri::RuntimeCondition>, CriError>) -> Option<String> {
    match health {
        Err(error) => Some(format!("[container runtime is down, {error}]")),
        Ok(conditions) => {
            conditions.iter().find(|condition| !condition.status).map(|condition| match condition.r#type.as_str() {
                "NetworkReady" => format!(
                    "container runtime network not ready: NetworkReady=false reason:{} message:{}",
                    condition.reason, condition.message
                ),
                kind => format!(
                    "container runtime not ready: {kind}=false reason:{} message:{}",
                    condition.reason, condition.message
                ),
            })
        }
    }
}

fn node_object(config: &Config, machine: &Machine) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": component::version::architecture(),
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": component::version::architecture(),
    });
    for (key, value) in &config.node_labels {
        labels[key] = value.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": config.node_name,
            "labels": labels,
            "annotations": { "volumes.kubernetes.io/controller-managed-attach-detach": "true" },
        },
        "status": { "capacity": capacity(config, machine), "allocatable": allocatable(config, machine) },
    })
}

fn capacity(config: &Config, machine: &Machine) -> Value {
    json!({
        "cpu": machine.cpus.to_string(),
        "memory": binary(machine.memory_bytes),
        "ephemeral-storage": binary(machine.disk_bytes),
        "pods": config.max_pods.to_string(),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    })
}

/// What pods may have of it.
fn allocatable(config: &Config, machine: &Machine) -> Value {
    let mut amounts = capacity(config, machine);
    amounts["memory"] = binary(machine.allocatable_memory_bytes()).into();
    amounts["ephemeral-storage"] = binary(machine.allocatable_disk_bytes()).into();
    amounts
}

fn binary(bytes: i64) -> String {
    Quantity::new(bytes, Format::Binary).to_string()
}

fn status(
    config: &Config,
    machine: &Machine,
    before: &Node,
    trouble: Option<String>,
    runtime_version: &str,
    now: Timestamp,
) -> Value {
    let ready = match trouble {
        None => ("Ready", true, "KubeletReady", "kubelet is posting ready status".to_string()),
        Some(message) => ("Ready", false, "KubeletNotReady", message),
    };
    let enough = |kind, reason, what: &str| (kind, false, reason, format!("kubelet has {what}"));
    let conditions = [
        enough("MemoryPressure", "KubeletHasSufficientMemory", "sufficient memory available"),
        enough("DiskPressure", "KubeletHasNoDiskPressure", "no disk pressure"),
        enough("PIDPressure", "KubeletHasSufficientPID", "sufficient PID available"),
        ready,
    ];
    let now_text = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let conditions = conditions.map(|(kind, is_true, reason, message)| {
        let status = if is_true { "True" } else { "False" };
        let known = before.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let same = known.into_iter().find(|known| known.type_ == kind && known.status == status);
        let since = same.and_then(|known| known.last_transition_time.as_ref());
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now_text,
            "lastTransitionTime": since.map_or(json!(now_text), |since| json!(since)),
        })
    });
    let addresses: Vec<Value> =
        config.node_ips.iter().map(|ip: &IpAddr| json!({ "type": "InternalIP", "address": ip.to_string() })).collect();
    let hostname = json!({ "type": "Hostname", "address": config.node_name });
    json!({
        "capacity": capacity(config, machine),
        "allocatable": allocatable(config, machine),
        "conditions": conditions,
        "addresses": addresses.into_iter().chain([hostname]).collect::<Vec<_>>(),
        "daemonEndpoints": { "kubeletEndpoint": { "Port": config.server.port } },
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel_version,
            "osImage": machine.os_image,
            "containerRuntimeVersion": format!("containerd://{}", runtime_version.trim_start_matches('v')),
            "kubeletVersion": component::version::GIT_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": component::version::architecture(),
        },
    })
}
