//! Client certificates: the common name is the user, the organizations are the groups.
//!
//! Upstream: apiserver/pkg/authentication/request/x509/x509.go
//! Left out: verification of the chain, which the TLS handshake has done against the client CA alone; revocation lists.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, oid_registry::Oid, prelude::FromDer};

use crate::attributes::UserInfo;

/// Where a request's credential is named in the user's `extra`.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Certificates read lately: a connection shows the same one with each of its requests.
const MAX_KNOWN: usize = 4096;

/// Reads users off certificates.
#[derive(Default)]
pub(crate) struct Certificates {
    known: RwLock<HashMap<Box<[u8]>, Arc<Identity>>>,
}

/// What a certificate says.
struct Identity {
    user: Arc<UserInfo>,
    not_before_s: i64,
    not_after_s: i64,
}

impl Certificates {
    /// The user that a verified leaf certificate names, or none: it has no common name, is not for clients, or is not
    /// valid now. Time is checked with every request, because connections outlive certificates.
    pub(crate) fn user(&self, leaf: &CertificateDer<'_>, now: Timestamp) -> Option<Arc<UserInfo>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(leaf.as_ref()).cloned();
        let identity = match known {
            Some(identity) => identity,
            None => {
                let identity = Arc::new(read(leaf)?);
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(leaf.as_ref().into(), identity.clone());
                identity
            }
        };
        let valid = (identity.not_before_s..=identity.not_after_s).contains(&now.as_second());
        valid.then(|| identity.user.clone())
    }
}

fn read(leaf: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    if !is_for_clients(&certificate) {
        return None;
    }
    let subject = certificate.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
    let name = subject.iter_common_name().last().and_then(text).filter(|name| !name.is_empty())?;
    let mut groups: Vec<String> = subject.iter_organization().filter_map(text).collect();
    groups.push("system:authenticated".to_owned());
    let hash: String = digest(&SHA256, leaf).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut user = UserInfo { name, groups, ..UserInfo::default() };
    user.uid = uid(&certificate).unwrap_or_default();
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={hash}")]);
    let validity = certificate.validity();
    Some(Identity {
        user: Arc::new(user),
        not_before_s: validity.not_before.timestamp(),
        not_after_s: validity.not_after.timestamp(),
    })
}

/// A certificate that restricts its use must allow client authentication; one that does not may be used for all.
fn is_for_clients(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
        Ok(None) => true,
        Err(_) => false,
    }
}

/// The user's uid, which stands in an attribute of Kubernetes' own.
fn uid(certificate: &X509Certificate<'_>) -> Option<String> {
    let kubernetes_uid = Oid::from(&[1, 3, 6, 1, 4, 1, 57683, 2]).expect("the arcs of an OID");
    let uid = certificate.subject().iter_by_oid(&kubernetes_uid).next()?;
    uid.as_str().ok().map(str::to_owned)
}
