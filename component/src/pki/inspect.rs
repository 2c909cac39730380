//! Reads what a certificate says: who, for which names, until when.
//!
//! Upstream: cmd/kubeadm/app/phases/certs/renewal/expiration.go
//! Left out: the names of the issuer

use std::{net::IpAddr, path::Path};

use jiff::{SignedDuration, Timestamp};
use x509_parser::{extensions::GeneralName, prelude::*};

use super::{PkiError, files};

/// The subject of a client certificate: `common_name` is the user, `organizations` are the groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    pub common_name: String,
    pub organizations: Vec<String>,
}

/// What we ask certificates about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub subject: Subject,
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl Inspected {
    /// How long it is still valid; negative once it has expired.
    pub fn remaining(&self, now: Timestamp) -> SignedDuration {
        self.not_after.duration_since(now)
    }
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// [`PkiError::File`] or [`PkiError::Malformed`].
pub fn inspect(path: &Path) -> Result<Inspected, PkiError> {
    let certificates = files::read_certificates(path)?;
    let first = certificates.first().expect("read_certificates returns at least one");
    inspect_der(first).map_err(|reason| files::malformed(path, reason))
}

/// Reads a certificate as it came over TLS.
///
/// # Errors
/// Says what is wrong with it.
pub fn inspect_der(der: &[u8]) -> Result<Inspected, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let texts = |values: &mut dyn Iterator<Item = &AttributeTypeAndValue<'_>>| -> Vec<String> {
        values.filter_map(|value| value.as_str().ok().map(str::to_owned)).collect()
    };
    let subject = Subject {
        common_name: texts(&mut certificate.subject().iter_common_name()).pop().unwrap_or_default(),
        organizations: texts(&mut certificate.subject().iter_organization()),
    };
    let mut names = Vec::new();
    let mut addresses = Vec::new();
    if let Some(alternatives) = certificate.subject_alternative_name().map_err(|error| error.to_string())? {
        for name in &alternatives.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| format!("time {seconds} is out of range"));
    Ok(Inspected {
        subject,
        names,
        addresses,
        not_before: time(certificate.validity().not_before.timestamp())?,
        not_after: time(certificate.validity().not_after.timestamp())?,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
