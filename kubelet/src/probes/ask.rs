//! Asks a container once: by a command inside it, over HTTP, by opening a TCP connection, or by gRPC's health service.
//!
//! Upstream: pkg/probe
//! Left out: nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as ContainerSpec, GRPCAction, Pod, Probe, TCPSocketAction};
use tokio::net::TcpStream;

use crate::cri::{CriError, Runtime};
use crate::http_get;
use crate::observed::PodRuntime;
use crate::pod_spec;

mod health;

/// Whom a probe asks.
#[derive(Clone)]
pub struct Target {
    runtime: Runtime,
    container_id: String,
    spec: ContainerSpec,
    ip: String,
}

impl Target {
    pub fn new(pod: &Pod, observed: &PodRuntime, spec: &ContainerSpec, container_id: &str, runtime: Runtime) -> Self {
        Self { runtime, container_id: container_id.into(), spec: spec.clone(), ip: address(pod, observed) }
    }

    /// Asks once.
    ///
    /// # Errors
    /// What went wrong, in the words of the `Unhealthy` event.
    pub async fn ask(&self, probe: &Probe) -> Result<(), String> {
        let limit = Duration::from_secs(probe.timeout_seconds.unwrap_or(1).max(1) as u64);
        if let Some(exec) = &probe.exec {
            return self.exec(exec.command.as_deref().unwrap_or(&[]), limit).await;
        }
        let asked = async {
            if let Some(get) = &probe.http_get {
                http_get::probe(get, &self.spec, &self.ip).await
            } else if let Some(socket) = &probe.tcp_socket {
                self.connect(socket).await
            } else if let Some(grpc) = &probe.grpc {
                self.health(grpc).await
            } else {
                Err("missing probe handler".into())
            }
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("timed out after {}s", limit.as_secs())),
        }
    }

    async fn exec(&self, command: &[String], limit: Duration) -> Result<(), String> {
        let answer = match self.runtime.exec_sync(&self.container_id, command, limit).await {
            Ok(answer) => answer,
            Err(CriError::Refused { code: tonic::Code::DeadlineExceeded, message }) => {
                return Err(format!("command timed out: {message}"));
            }
            Err(error) => return Err(error.to_string()),
        };
        if answer.exit_code == 0 {
            return Ok(());
        }
        let output = [answer.stdout, answer.stderr].concat();
        Err(String::from_utf8_lossy(&output[..output.len().min(10 << 10)]).into_owned())
    }

    async fn connect(&self, socket: &TCPSocketAction) -> Result<(), String> {
        let host = socket.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&self.ip);
        let port = http_get::port(&socket.port, &self.spec)?;
        match TcpStream::connect((host, port)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("dial tcp {host}:{port}: connect: {}", http_get::plain(&error))),
        }
    }

    async fn health(&self, grpc: &GRPCAction) -> Result<(), String> {
        health::check(&self.ip, grpc.port, grpc.service.as_deref().unwrap_or_default()).await
    }
}

/// The address where a pod's containers listen, as its node sees it.
fn address(pod: &Pod, observed: &PodRuntime) -> String {
    let spec = pod.spec.as_ref();
    if spec.is_some_and(pod_spec::is_host_network) {
        return pod.status.as_ref().and_then(|status| status.host_ip.clone()).unwrap_or_else(|| "127.0.0.1".into());
    }
    observed.sandbox().and_then(|sandbox| sandbox.ips.first().cloned()).unwrap_or_default()
}
