//! Opens an API server over a store.
//!
//! Upstream: cmd/kube-apiserver/app/server.go, apiserver/pkg/server/secure_serving.go
//! Left out: nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use component::serve::PeerCertificates;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Chain,
    allocation::Held,
    audit::Audit,
    authentication::{
        Authenticator,
        service_account::{TokenIssuer, TokenVerifier},
        static_token::StaticTokens,
    },
    authorization::{Authorizer, Mode},
    bootstrap, compaction,
    core::Core,
    event_budget::{self, EventBudget},
    kubelet_client::KubeletClient,
    memory::Memory,
    operations::component_status::HealthPorts,
    registry::Registry,
    rows::rows,
    service::ApiServer,
};

/// What an API server is made with.
pub struct Config {
    pub authorization_modes: Vec<Mode>,
    pub static_tokens: StaticTokens,
    pub enabled_admission_plugins: Vec<String>,
    pub disabled_admission_plugins: Vec<String>,
    pub service_range: ipnet::Ipv4Net,
    /// Where the pods reach this API server; without it there is no Service `kubernetes`.
    pub advertised: Option<SocketAddr>,
    /// The issuers that tokens are accepted from, the one that signs first.
    pub issuers: Vec<String>,
    pub verification_keys: Vec<crate::authentication::keys::PublicKey>,
    pub issuer: Option<TokenIssuer>,
    /// How kubelets are reached, for logs and for running things in pods.
    pub kubelets: Option<KubeletClient>,
    /// Where the other parts of the control plane say how they are, on this machine.
    pub health_ports: HealthPorts,
    pub audit: Option<Audit>,
    /// How long an Event is kept after its last write.
    pub event_ttl: Duration,
    /// How many Events are kept; of more the oldest go.
    pub max_events: usize,
    /// How much of the store's history is kept at least; with zero all of it.
    pub compaction_interval: Duration,
}

impl Default for Config {
    /// What the flags come to when none is given, but for the keys that tokens need.
    fn default() -> Config {
        Config {
            authorization_modes: vec![Mode::Node, Mode::Rbac],
            static_tokens: StaticTokens::default(),
            enabled_admission_plugins: Vec::new(),
            disabled_admission_plugins: Vec::new(),
            service_range: ipnet::Ipv4Net::new_assert([10, 96, 0, 0].into(), 16),
            advertised: None,
            issuers: Vec::new(),
            verification_keys: Vec::new(),
            issuer: None,
            kubelets: None,
            health_ports: HealthPorts::default(),
            audit: None,
            event_ttl: Duration::from_secs(3600),
            max_events: event_budget::MAX_EVENTS,
            compaction_interval: compaction::INTERVAL,
        }
    }
}

/// Loads the store into memory, follows it from there on, and makes the objects that every cluster has.
///
/// # Errors
/// What the store says; a bad list of admission plugins.
pub async fn open(config: Config, store: Arc<dyn Store>, shutdown: CancellationToken) -> anyhow::Result<ApiServer> {
    let bootstrap = bootstrap::Facts { service_range: config.service_range, advertised: config.advertised };
    let registry = Registry::new(rows());
    let authorizer = Authorizer::new(config.authorization_modes);
    let held = Arc::<Held>::default();
    let events = Arc::new(EventBudget::new(config.max_events));
    let mut observers = authorizer.observers();
    observers.push(held.clone());
    observers.push(events.clone());
    let memory = Arc::new(Memory::new(&registry, observers));
    let log = memory.load(&*store).await.context("loading the store")?;
    let admission = Chain::new(&config.enabled_admission_plugins, &config.disabled_admission_plugins)
        .map_err(anyhow::Error::msg)?;
    for warning in &admission.warnings {
        tracing::warn!("{warning}");
    }
    let verifier = TokenVerifier::new(config.issuers.clone(), config.verification_keys);
    let authenticator = Authenticator::new(config.static_tokens, verifier, config.issuers, memory.clone());
    let core = Arc::new(Core {
        registry,
        memory: memory.clone(),
        store: store.clone(),
        authenticator,
        authorizer,
        admission,
        tokens: config.issuer,
        kubelets: config.kubelets,
        health_ports: config.health_ports,
        service_range: config.service_range,
        held,
        documents: Default::default(),
        metrics: Default::default(),
        quota_turns: Default::default(),
        audit: config.audit,
        event_ttl: config.event_ttl,
    });
    let compactor = compaction::compact_regularly(store.clone(), config.compaction_interval);
    let kept_events = events.keep(memory.clone(), store.clone());
    let follower = follow(memory, store, log);
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follower => {}
            () = compactor => {}
            () = kept_events => {}
        }
    });
    let server = ApiServer::new(core);
    bootstrap::ensure(&server, &bootstrap).await?;
    Ok(server)
}

/// Follows the store's log; when it breaks off, loads again and goes on. Watchers of what was missed are told 410.
async fn follow(memory: Arc<Memory>, store: Arc<dyn Store>, mut log: store::Watch) {
    loop {
        if let Err(error) = memory.follow(log).await {
            tracing::warn!(%error, "the store's log broke off; loading again");
        }
        log = loop {
            match memory.load(&*store).await {
                Ok(log) => break log,
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::error!(%error, "the store can't be read");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the store can't be reached; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        };
    }
}

/// The axum router that serves `server` to whoever connects: credentials come from the connection and the request.
pub fn router(server: ApiServer) -> axum::Router {
    axum::Router::new().fallback(move |request: axum::extract::Request| {
        let shown = request.extensions().get::<PeerCertificates>().cloned().unwrap_or_default();
        let service = server.service_for(shown.0);
        async move { tower::ServiceExt::oneshot(service, request).await }
    })
}
