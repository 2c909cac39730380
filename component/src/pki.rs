//! The cluster's certificates: its authorities, the certificates they issue, and the files they live in.
//!
//! Upstream: cmd/kubeadm/app/phases/certs, client-go/util/cert
//! Left out: RSA keys, intermediate authorities, external authorities.
//!
//! All keys are EC P-256. [`Authority`] issues, [`ClusterPki`] knows which files a cluster has and renews them.

mod authority;
mod cluster;
mod files;
mod inspect;

pub use authority::{Authority, Issued, Leaf, Usage};
pub use cluster::{ClusterPki, Identity, ServerNames};
pub use files::{create_private, read_certificates, read_key, read_roots, write_private, write_public};
pub use inspect::{Inspected, Subject, inspect, inspect_der};

/// What can be wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File { path: std::path::PathBuf, source: std::io::Error },
    /// A file holds something else than it should.
    #[error("{path}: {reason}")]
    Malformed { path: std::path::PathBuf, reason: String },
    /// A certificate can't be made as asked.
    #[error("certificate for {name}: {reason}")]
    Issue { name: String, reason: String },
}

pub(crate) use authority::self_signed;
