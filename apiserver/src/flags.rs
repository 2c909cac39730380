//! The flags of the API server, in upstream's spelling, and the server that they make.
//!
//! Upstream: cmd/kube-apiserver/app/options
//! Left out: the flags named in component/src/flags/upstream.rs and not here: they are accepted and change nothing.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use component::serve;
use store::{
    Store,
    etcd::{self, Etcd},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{Audit, Log, Policy, Rotation},
    authentication::{
        keys::{PublicKey, SigningKey},
        service_account::TokenIssuer,
        static_token::StaticTokens,
    },
    authorization::Mode,
    kubelet_client::KubeletClient,
    server,
    service::ApiServer,
};

/// The Kubernetes API server of skiff.
#[derive(Parser)]
#[command(name = "skiff-apiserver", version)]
pub struct Flags {
    #[arg(long, default_value = "0.0.0.0")]
    bind_address: IpAddr,
    #[arg(long, default_value_t = 6443)]
    secure_port: u16,
    /// Where pods reach this server: the endpoint of the Service `kubernetes`.
    #[arg(long)]
    advertise_address: Option<IpAddr>,
    /// Serving certificate and key; without them one is made at start.
    #[arg(long, requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,
    #[arg(long, requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,
    /// Client certificates signed by an authority in this file are accepted.
    #[arg(long)]
    client_ca_file: Option<PathBuf>,
    /// CSV: token,user,uid,"group1,group2".
    #[arg(long)]
    token_auth_file: Option<PathBuf>,
    #[arg(long, default_value = "Node,RBAC")]
    authorization_mode: String,
    #[arg(long, value_delimiter = ',')]
    enable_admission_plugins: Vec<String>,
    #[arg(long, value_delimiter = ',')]
    disable_admission_plugins: Vec<String>,
    #[arg(long, default_value = "10.96.0.0/16")]
    service_cluster_ip_range: ipnet::Ipv4Net,
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    service_account_issuer: String,
    /// Public keys (or private ones) that service account tokens may be signed with.
    #[arg(long)]
    service_account_key_file: Vec<PathBuf>,
    #[arg(long)]
    service_account_signing_key_file: Option<PathBuf>,
    /// The etcd members that objects are kept in: https://HOST:PORT, separated by commas.
    #[arg(long, value_delimiter = ',')]
    etcd_servers: Vec<String>,
    #[arg(long, requires_all = ["etcd_certfile", "etcd_keyfile"])]
    etcd_cafile: Option<PathBuf>,
    #[arg(long)]
    etcd_certfile: Option<PathBuf>,
    #[arg(long)]
    etcd_keyfile: Option<PathBuf>,
    /// How much of the store's history, whichever it is, is kept at least, for lists in pages and for late watches;
    /// with 0 all.
    #[arg(long, default_value = "5m0s", value_parser = component::flags::duration)]
    etcd_compaction_interval: Duration,
    /// The directory of the embedded store that objects are kept in; one process at a time.
    #[arg(long, conflicts_with = "etcd_servers")]
    data_dir: Option<PathBuf>,
    /// `etcd`, `embedded` (implied by `--data-dir`), or `memory` for a cluster to throw away.
    #[arg(long, value_parser = ["etcd", "embedded", "memory"])]
    store: Option<String>,
    /// The client certificate that kubelets are shown.
    #[arg(long, requires_all = ["kubelet_client_key", "kubelet_certificate_authority"])]
    kubelet_client_certificate: Option<PathBuf>,
    #[arg(long)]
    kubelet_client_key: Option<PathBuf>,
    /// The authority that signs the kubelets' serving certificates.
    #[arg(long)]
    kubelet_certificate_authority: Option<PathBuf>,
    /// How long an Event is kept after its last write.
    #[arg(long, default_value = "1h0m0s", value_parser = component::flags::duration)]
    event_ttl: Duration,
    /// Who asked for what is written here, a line each, as the policy says; `-` is standard output.
    #[arg(long)]
    audit_log_path: Option<PathBuf>,
    /// The audit.k8s.io/v1 Policy; without one nothing is written.
    #[arg(long)]
    audit_policy_file: Option<PathBuf>,
    /// Megabytes after which the audit log is put aside; with 0 it is 100.
    #[arg(long, default_value_t = 0)]
    audit_log_maxsize: u64,
    /// Days for which audit logs put aside are kept; with 0 for ever.
    #[arg(long, default_value_t = 0)]
    audit_log_maxage: u64,
    /// How many audit logs put aside are kept; with 0 all.
    #[arg(long, default_value_t = 0)]
    audit_log_maxbackup: usize,
    #[command(flatten)]
    pub log: component::logging::LogFlags,
}

/// An API server that is loaded and can be asked, and its open port.
pub struct Opened {
    pub server: ApiServer,
    listener: tokio::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
}

impl Flags {
    /// Opens the store and loads the server over it; takes the port.
    ///
    /// # Errors
    /// A file that can't be read, a store that can't be opened, a port in use: each with its cause.
    pub async fn open(&self, shutdown: &CancellationToken) -> anyhow::Result<Opened> {
        let address = (self.bind_address, self.secure_port);
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("can't listen on {}:{}; is the port in use?", address.0, address.1))?;
        let files = self.tls_cert_file.clone().zip(self.tls_private_key_file.clone());
        let files = files.map(|(certificate, key)| serve::TlsFiles { certificate, key });
        let clients = self.client_ca_file.clone().map(serve::ClientCertificates::VerifiedAgainst);
        let clients = clients.unwrap_or(serve::ClientCertificates::NotAsked);
        let tls = serve::server_config(files.as_ref(), "localhost", &clients)?;
        let store = open_store(self).await?;
        let server = server::open(config(self)?, store, shutdown.clone()).await?;
        Ok(Opened { server, listener, tls })
    }
}

impl Opened {
    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// The port can't be used any more.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(address = %self.listener.local_addr()?, "serving");
        serve::serve(self.listener, self.tls, server::router(self.server), shutdown).await?;
        Ok(())
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

async fn open_store(flags: &Flags) -> anyhow::Result<Arc<dyn Store>> {
    match (flags.store.as_deref(), &flags.data_dir) {
        (Some("memory"), None) => return Ok(Arc::new(store::memory::Memory::new())),
        (None | Some("embedded"), Some(directory)) => return Ok(Arc::new(store::Embedded::open(directory)?)),
        (Some("embedded"), None) => anyhow::bail!("--data-dir is missing: name the embedded store's directory"),
        (Some(other), Some(_)) => anyhow::bail!("--data-dir is for the embedded store, not for --store {other}"),
        _ => {}
    }
    anyhow::ensure!(
        !flags.etcd_servers.is_empty(),
        "no store is named: give --data-dir for the embedded one, --etcd-servers for etcd, or --store memory"
    );
    let mut config = etcd::Config::new(&flags.etcd_servers);
    if let (Some(ca), Some(certificate), Some(key)) = (&flags.etcd_cafile, &flags.etcd_certfile, &flags.etcd_keyfile) {
        config.tls = Some(etcd::Tls { ca: read(ca)?, certificate: read(certificate)?, key: read(key)? });
    }
    let etcd = Etcd::connect(config)
        .await
        .with_context(|| format!("can't reach etcd at {}", flags.etcd_servers.join(", ")))?;
    Ok(Arc::new(etcd))
}

fn config(flags: &Flags) -> anyhow::Result<server::Config> {
    let tokens = flags.token_auth_file.as_ref().map(read).transpose()?.unwrap_or_default();
    let mut verification_keys = Vec::new();
    for path in &flags.service_account_key_file {
        verification_keys.extend(PublicKey::from_pem(&read(path)?).map_err(anyhow::Error::msg)?);
    }
    let issuers = vec![flags.service_account_issuer.clone()];
    let key = flags.service_account_signing_key_file.as_ref().map(read).transpose()?;
    let key = key.map(|pem| SigningKey::from_pem(&pem).map_err(anyhow::Error::msg)).transpose()?;
    let issuer = key.map(|key| TokenIssuer {
        key,
        issuer: flags.service_account_issuer.clone(),
        audiences: issuers.clone(),
        max_expiration_s: 0,
    });
    let kubelets = flags.kubelet_client_certificate.as_ref().zip(flags.kubelet_client_key.as_ref());
    let kubelets = kubelets.zip(flags.kubelet_certificate_authority.as_ref());
    let kubelets = kubelets.map(|((certificate, key), authority)| KubeletClient::new(authority, certificate, key));
    Ok(server::Config {
        authorization_modes: Mode::parse(&flags.authorization_mode).map_err(anyhow::Error::msg)?,
        static_tokens: StaticTokens::parse(&String::from_utf8_lossy(&tokens)).map_err(anyhow::Error::msg)?,
        enabled_admission_plugins: flags.enable_admission_plugins.clone(),
        disabled_admission_plugins: flags.disable_admission_plugins.clone(),
        service_range: flags.service_cluster_ip_range,
        advertised: flags.advertise_address.map(|address| (address, flags.secure_port).into()),
        issuers,
        verification_keys,
        issuer,
        kubelets: kubelets.transpose()?,
        audit: audit(flags)?,
        event_ttl: flags.event_ttl,
        compaction_interval: flags.etcd_compaction_interval,
        ..server::Config::default()
    })
}

/// The audit log, when there are both a place and a policy for it.
fn audit(flags: &Flags) -> anyhow::Result<Option<Audit>> {
    let Some(path) = &flags.audit_log_path else { return Ok(None) };
    let Some(policy) = &flags.audit_policy_file else {
        tracing::warn!("no --audit-policy-file: nothing is written to the audit log");
        return Ok(None);
    };
    let parsed = Policy::parse(&String::from_utf8_lossy(&read(policy)?)).map_err(anyhow::Error::msg);
    let parsed = parsed.with_context(|| format!("--audit-policy-file {}", policy.display()))?;
    let megabytes = if flags.audit_log_maxsize == 0 { 100 } else { flags.audit_log_maxsize };
    let days = Duration::from_secs(flags.audit_log_maxage * 86_400);
    let rotation = Rotation {
        max_size_bytes: megabytes << 20,
        max_age: Some(days).filter(|age| !age.is_zero()),
        max_files: Some(flags.audit_log_maxbackup).filter(|count| *count > 0),
    };
    let (log, _) = Log::open(path, rotation).with_context(|| format!("--audit-log-path {}", path.display()))?;
    Ok(Some(Audit { policy: Arc::new(parsed), log }))
}
