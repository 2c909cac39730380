//! A client from a kubeconfig.
//!
//! Upstream: client-go/tools/clientcmd, client-go/rest/config.go
//! Left out: client-side rate limits: the server's own limits are the one place that says "later".

use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::Metrics;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig { path: String, source: kube::config::KubeconfigError },
    #[error("{path}: {source}")]
    Client { path: String, source: kube::Error },
}

/// A client for the kubeconfig's current context that calls itself `user_agent`, as in `kube-scheduler/v1.35.0`.
///
/// # Errors
/// The file is missing, is not a kubeconfig, or names credentials that cannot be read.
pub async fn connect(path: &Path, user_agent: &str) -> Result<Client, ConnectError> {
    let config = configuration(path, user_agent).await?;
    Client::try_from(config).map_err(|source| ConnectError::Client { path: path.display().to_string(), source })
}

/// As [`connect`], with every request counted.
///
/// # Errors
/// As [`connect`].
pub async fn connect_counted(path: &Path, user_agent: &str, metrics: &Metrics) -> Result<Client, ConnectError> {
    let config = configuration(path, user_agent).await?;
    metrics.client(config).map_err(|source| ConnectError::Client { path: path.display().to_string(), source })
}

/// The configuration behind [`connect`].
pub(crate) async fn configuration(path: &Path, user_agent: &str) -> Result<Config, ConnectError> {
    let broken = |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(broken)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(broken)?;
    config.connect_timeout = Some(Duration::from_secs(10));
    // Who writes decides when to try again: the runner knows whether a write is safe to repeat.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_str(user_agent).expect("a user agent is plain text")));
    Ok(config)
}
