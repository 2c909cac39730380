//! Opens an API server over a store.
//!
//! Upstream: cmd/kube-apiserver/app/server.go, apiserver/pkg/server/secure_serving.go
//! Left out: nothing.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use component::serve::PeerCertificates;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Chain,
    attributes::UserInfo,
    authentication::{
        Authenticator,
        service_account::{TokenIssuer, TokenVerifier},
        static_token::StaticTokens,
    },
    authorization::{Authorizer, Mode, bootstrap},
    core::Core,
    memory::Memory,
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
    /// The issuers that tokens are accepted from, the one that signs first.
    pub issuers: Vec<String>,
    pub verification_keys: Vec<crate::authentication::keys::PublicKey>,
    pub issuer: Option<TokenIssuer>,
}

/// Loads the store into memory, follows it from there on, and makes the objects that every cluster has.
///
/// # Errors
/// What the store says; a bad list of admission plugins.
pub async fn open(config: Config, store: Arc<dyn Store>, shutdown: CancellationToken) -> anyhow::Result<ApiServer> {
    let registry = Registry::new(rows());
    let authorizer = Authorizer::new(config.authorization_modes);
    let memory = Arc::new(Memory::new(&registry, authorizer.observers()));
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
        service_range: config.service_range,
    });
    let follower = follow(memory, store, log);
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follower => {}
        }
    });
    let server = ApiServer::new(core);
    bootstrap_cluster(&server).await?;
    Ok(server)
}

/// Follows the store's log; when it breaks off, loads again and goes on. Watchers of what was missed are told 410.
async fn follow(memory: Arc<Memory>, store: Arc<dyn Store>, mut log: store::Watch) {
    loop {
        if let Err(error) = memory.follow(log).await {
            tracing::warn!(%error, "the store's log broke off; loading again");
        }
        log = loop {
            match memory.reload(&*store).await {
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

/// Makes the system namespaces and the bootstrap roles and bindings, or repairs what is missing of them.
async fn bootstrap_cluster(server: &ApiServer) -> anyhow::Result<()> {
    let own = UserInfo::new("system:apiserver", &[]);
    for name in ["kube-system", "default", "kube-public", "kube-node-lease"] {
        let body = serde_json::json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}});
        ensure(server, &own, "/api/v1/namespaces", &body, |_| None).await?;
    }
    for object in bootstrap::bootstrap_objects() {
        let path = bootstrap_path(&object).context("a bootstrap object of an unknown kind")?;
        ensure(server, &own, &path, &object, |existing| bootstrap::reconcile(&object, Some(existing))).await?;
    }
    Ok(())
}

fn bootstrap_path(object: &serde_json::Value) -> Option<String> {
    let base = "/apis/rbac.authorization.k8s.io/v1";
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    Some(match object["kind"].as_str()? {
        "ClusterRole" => format!("{base}/clusterroles"),
        "ClusterRoleBinding" => format!("{base}/clusterrolebindings"),
        "Role" => format!("{base}/namespaces/{namespace}/roles"),
        "RoleBinding" => format!("{base}/namespaces/{namespace}/rolebindings"),
        _ => return None,
    })
}

/// Creates an object if it is missing, and otherwise replaces it with what `repair` makes of it.
async fn ensure(
    server: &ApiServer,
    user: &UserInfo,
    collection: &str,
    object: &serde_json::Value,
    repair: impl FnOnce(&serde_json::Value) -> Option<serde_json::Value>,
) -> anyhow::Result<()> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{collection}/{name}");
    let (code, existing) = send(server, user, http::Method::GET, &path, None).await?;
    let (code, answer) = if code == 404 {
        send(server, user, http::Method::POST, collection, Some(object)).await?
    } else if let Some(repaired) = repair(&existing) {
        send(server, user, http::Method::PUT, &path, Some(&repaired)).await?
    } else {
        return Ok(());
    };
    // 409: another API server was quicker.
    anyhow::ensure!(code < 300 || code == 409, "bootstrap of {path}: {}", answer["message"]);
    Ok(())
}

async fn send(
    server: &ApiServer,
    user: &UserInfo,
    method: http::Method,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<(u16, serde_json::Value)> {
    use http_body_util::BodyExt;
    let text = body.map(ToString::to_string).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(axum::body::Body::from(text))?;
    let response = tower::ServiceExt::oneshot(server.service_as(user.clone()), request).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&bytes)?))
}

/// The axum router that serves `server` to whoever connects: credentials come from the connection and the request.
pub fn router(server: ApiServer) -> axum::Router {
    axum::Router::new().fallback(move |request: axum::extract::Request| {
        let shown = request.extensions().get::<PeerCertificates>().cloned().unwrap_or_default();
        let service = server.service_for(shown.0);
        async move { tower::ServiceExt::oneshot(service, request).await }
    })
}
