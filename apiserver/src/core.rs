//! The API server as a value: its rows, memory, store, and those who say who may do what.
//!
//! Upstream: pkg/controlplane/instance.go, apiserver/pkg/server/config.go
//! Left out: loopback clients; in-process clients are mounted on the service itself.

use std::{sync::Arc, time::Duration};

use api::status::Status;
use store::{Revision, Store};

use crate::{
    admission::Chain,
    allocation::Held,
    audit::Audit,
    authentication::{Authenticator, service_account::TokenIssuer},
    authorization::Authorizer,
    discovery::Documents,
    kubelet_client::KubeletClient,
    memory::Memory,
    metrics::Metrics,
    operations::{component_status::HealthPorts, write::store_failure},
    quota::Turns,
    registry::Registry,
};

/// Everything that a request is served with.
pub struct Core {
    pub registry: Registry,
    pub memory: Arc<Memory>,
    pub store: Arc<dyn Store>,
    pub authenticator: Authenticator,
    pub authorizer: Authorizer,
    pub admission: Chain,
    pub tokens: Option<TokenIssuer>,
    /// How kubelets are reached; without it there are no logs and nothing can be run in pods.
    pub kubelets: Option<KubeletClient>,
    /// Where the other parts of the control plane say how they are.
    pub health_ports: HealthPorts,
    pub service_range: ipnet::Ipv4Net,
    pub held: Arc<Held>,
    /// Discovery and OpenAPI, as far as they were asked for.
    pub documents: Documents,
    pub metrics: Metrics,
    /// Who charges the quotas of a namespace now.
    pub quota_turns: Turns,
    /// Who asked for what, written down when there is a policy and a place for it.
    pub audit: Option<Audit>,
    /// How long an Event is kept after its last write.
    pub event_ttl: Duration,
}

impl Core {
    /// Waits until memory shows every write that was answered before this call.
    ///
    /// # Errors
    /// What the store says, or 504 when memory does not get there in time.
    pub async fn fresh(&self) -> Result<(), Status> {
        let revision = self.store.current().await.map_err(|error| store_failure(&error))?;
        self.at_least(revision).await
    }

    /// Waits until memory has applied `revision`.
    ///
    /// # Errors
    /// 504 when it does not in time.
    pub async fn at_least(&self, revision: Revision) -> Result<(), Status> {
        let late = |current: Revision| Status::resource_version_too_large(revision.0, current.0);
        self.memory.wait_for(revision).await.map_err(late)
    }
}
