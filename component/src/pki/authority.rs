//! A certificate authority: makes itself, issues leaf certificates, signs requests.
//!
//! Upstream: cmd/kubeadm/app/util/pkiutil

use std::{net::IpAddr, path::Path, time::Duration};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::{PkiError, files};

/// Clocks of machines differ a little: what is issued now is valid from five minutes ago, as upstream's signer does.
const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// An authority that can issue certificates.
pub struct Authority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, both PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Server,
    Client,
    /// etcd members are servers to some and clients to others.
    ServerAndClient,
}

/// A certificate to be issued. `organizations` are the groups of a client.
#[derive(Debug, Clone)]
pub struct Leaf {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub usage: Usage,
    pub lifetime: Duration,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    /// [`PkiError::Issue`] when the key can't be made.
    pub fn create(common_name: &str, lifetime: Duration, now: Timestamp) -> Result<Authority, PkiError> {
        let failed = |error: rcgen::Error| issue_error(common_name, error);
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![common_name.to_owned()]).map_err(failed)?;
        params.distinguished_name = subject(common_name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
        set_validity(&mut params, lifetime, now);
        let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Authority { certificate_pem, key_pem, issuer: Issuer::new(params, key) })
    }

    /// The authority in two PEM files.
    ///
    /// # Errors
    /// [`PkiError::File`] or [`PkiError::Malformed`], each with the path.
    pub fn load(certificate: &Path, key: &Path) -> Result<Authority, PkiError> {
        let certificate_pem = files::read(certificate)?;
        let key_pem = files::read(key)?;
        let pair = KeyPair::from_pem(&key_pem).map_err(|error| files::malformed(key, error))?;
        let issuer =
            Issuer::from_ca_cert_pem(&certificate_pem, pair).map_err(|error| files::malformed(certificate, error))?;
        Ok(Authority { certificate_pem, key_pem, issuer })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// [`PkiError::Issue`], for a name that can't stand in a certificate.
    pub fn issue(&self, leaf: &Leaf, now: Timestamp) -> Result<Issued, PkiError> {
        let failed = |error: rcgen::Error| issue_error(&leaf.common_name, error);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = leaf_params(leaf, now)?.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Signs a PEM certificate request as `leaf` says: only the public key is taken from the request.
    ///
    /// The caller has decided which subject and names the requester may have; what it asked for is not looked at here.
    ///
    /// # Errors
    /// [`PkiError::Issue`] for a request that doesn't parse or isn't signed by its own key.
    pub fn sign_request(&self, request_pem: &str, leaf: &Leaf, now: Timestamp) -> Result<String, PkiError> {
        let failed = |error: rcgen::Error| issue_error(&leaf.common_name, error);
        let mut request = CertificateSigningRequestParams::from_pem(request_pem).map_err(failed)?;
        request.params = leaf_params(leaf, now)?;
        Ok(request.signed_by(&self.issuer).map_err(failed)?.pem())
    }
}

/// A certificate that vouches for itself: what a component serves with when it is given none.
///
/// # Errors
/// [`PkiError::Issue`], for a name that can't stand in a certificate.
pub(crate) fn self_signed(leaf: &Leaf, now: Timestamp) -> Result<Issued, PkiError> {
    let failed = |error: rcgen::Error| issue_error(&leaf.common_name, error);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = leaf_params(leaf, now)?.self_signed(&key).map_err(failed)?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn leaf_params(leaf: &Leaf, now: Timestamp) -> Result<CertificateParams, PkiError> {
    let mut params =
        CertificateParams::new(leaf.names.clone()).map_err(|error| issue_error(&leaf.common_name, error))?;
    params.subject_alt_names.extend(leaf.addresses.iter().map(|address| SanType::IpAddress(*address)));
    params.distinguished_name = subject(&leaf.common_name, &leaf.organizations);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match leaf.usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::ServerAndClient => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, leaf.lifetime, now);
    Ok(params)
}

fn subject(common_name: &str, organizations: &[String]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for organization in organizations {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, lifetime: Duration, now: Timestamp) {
    let since_epoch = Duration::from_secs(now.as_second().max(0).unsigned_abs());
    let now = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    params.not_before = now - BACKDATE;
    params.not_after = now + lifetime;
}

fn issue_error(name: &str, error: rcgen::Error) -> PkiError {
    PkiError::Issue { name: name.to_owned(), reason: error.to_string() }
}
