//! What every process needs, whatever it does: flags, logs, a clean stop, certificates, kubeconfigs, and the small
//! HTTPS server for health and metrics with the gate before it.
//!
//! Upstream: component-base, cmd/kubeadm/app/phases/{certs,kubeconfig}
//! Left out: feature gates, dynamic log levels, profiling end points.

pub mod flags;
pub mod kubeconfig;
pub mod logging;
pub mod monitoring;
pub mod notify;
pub mod pki;
pub mod process;
pub mod query;
pub mod runtime;
pub mod serve;
pub mod shutdown;
pub mod upgrade;
pub mod version;

/// Makes aws-lc-rs the process's one TLS provider. Calling it again changes nothing.
pub fn install_crypto_provider() {
    // An error only says that a provider is installed already, and there is just one to install.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
