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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

    use super::*;

    const NOW_S: i64 = 1_800_000_000;

    /// Who a certificate made by `shape` is, asked `at` seconds after its middle day.
    fn user(shape: impl FnOnce(&mut CertificateParams), at: i64) -> Option<UserInfo> {
        let mut params = CertificateParams::new(vec!["san.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2027, 1, 14);
        params.not_after = rcgen::date_time_ymd(2027, 1, 16);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        shape(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let now = Timestamp::from_second(NOW_S + at).unwrap();
        Certificates::default().user(certificate.der(), now).map(|user| (*user).clone())
    }

    fn named(params: &mut CertificateParams) {
        params.distinguished_name.push(DnType::CommonName, "system:node:n1");
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    }

    #[test]
    fn the_common_name_is_the_user_and_the_organization_the_group() {
        let user = user(named, 0).unwrap();
        assert_eq!(user.name, "system:node:n1");
        assert_eq!(user.groups, ["system:nodes", "system:authenticated"]);
        assert!(user.extra[CREDENTIAL_ID][0].starts_with("X509SHA256="));
    }

    #[test]
    fn certificates_that_name_nobody_or_are_not_for_clients_are_nobodys() {
        assert_eq!(user(|_| {}, 0), None, "only an alternative name");
        let with_usage = |usages: &[ExtendedKeyUsagePurpose]| {
            user(
                |params| {
                    named(params);
                    params.extended_key_usages = usages.to_vec();
                },
                0,
            )
        };
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        assert_eq!(with_usage(&[ServerAuth]), None);
        assert!(with_usage(&[ServerAuth, ClientAuth]).is_some());
        assert!(with_usage(&[Any]).is_some());
        assert!(with_usage(&[]).is_some());
    }

    #[test]
    fn a_certificate_is_good_only_between_its_dates() {
        const DAY_S: i64 = 86_400;
        assert_eq!(user(named, -2 * DAY_S), None);
        assert!(user(named, 0).is_some());
        assert_eq!(user(named, 2 * DAY_S), None);
    }
}
