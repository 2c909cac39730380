//! Who may approve and sign certificate requests, and what no signer may be asked for.
//!
//! Upstream: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction}
//! Left out: attestation of cluster trust bundles (beta).

use api::status::Status;
use serde_json::Value;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

use super::{Admission, Operation, Request};
use crate::{authorization::Attributes, pem};

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
/// The signer of certificates for clients of the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

pub(super) struct CertificateApproval;
pub(super) struct CertificateSigning;
pub(super) struct CertificateSubjectRestriction;

impl Admission for CertificateApproval {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let Some(old) = updated(request, "approval") else { return Ok(()) };
        may(request, "approve", old)
    }
}

impl Admission for CertificateSigning {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let (Some(old), Some(new)) = (updated(request, "status"), &request.object) else { return Ok(()) };
        let unchanged = ["certificate", "conditions"].iter().all(|field| old["status"][field] == new["status"][field]);
        if unchanged { Ok(()) } else { may(request, "sign", old) }
    }
}

impl Admission for CertificateSubjectRestriction {
    fn validate(&self, request: &Request<'_>) -> Result<(), Status> {
        let creates = request.operation == Operation::Create && request.subresource_of(GROUP, REQUESTS) == Some("");
        let Some(object) = request.object.as_ref().filter(|_| creates) else { return Ok(()) };
        if object["spec"]["signerName"] != CLIENT_SIGNER {
            return Ok(());
        }
        let encoded = object["spec"]["request"].as_str().unwrap_or_default();
        let organizations =
            organizations(encoded).map_err(|error| request.forbidden(format!("failed to parse CSR: {error}")))?;
        if organizations.iter().any(|each| each == "system:masters") {
            let why = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
            return Err(request.forbidden(why));
        }
        Ok(())
    }
}

/// The organizations that the subject of a request names; `encoded` is PEM in base64.
fn organizations(encoded: &str) -> Result<Vec<String>, String> {
    let der = pem::certificate_request(encoded)?;
    let parsed = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
    let subject = &parsed.1.certification_request_info.subject;
    Ok(subject.iter_organization().filter_map(|each| each.as_str().ok()).map(str::to_owned).collect())
}

/// The request as it was, when this is a change through `subresource`.
fn updated<'a>(request: &Request<'a>, subresource: &str) -> Option<&'a Value> {
    let fits = request.operation == Operation::Update && request.subresource_of(GROUP, REQUESTS) == Some(subresource);
    request.old.filter(|_| fits)
}

/// The signer that the request *had* counts: nobody gets around the check by changing it.
fn may(request: &Request<'_>, verb: &str, old: &Value) -> Result<(), Status> {
    let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
    let of_domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    let allowed = |name: &str| {
        let asked =
            Attributes { is_resource: true, verb, group: GROUP, resource: "signers", name, ..Attributes::default() };
        request.authorizer.allows(request.user, &asked)
    };
    if allowed(signer) || allowed(&of_domain) {
        return Ok(());
    }
    Err(request.forbidden(format!("user not permitted to {verb} requests with signerName {signer:?}")))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::json;

    use super::super::tests::{admin, send};
    use super::*;
    use crate::attributes::UserInfo;
    use crate::objects::world::World;

    fn world() -> World {
        let role = |name: &str, verb: &str, signers: Value| {
            json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": [
                {"apiGroups": [GROUP], "resources": ["signers"], "verbs": [verb], "resourceNames": signers}]})
        };
        let binding = |role: &str, user: &str| {
            json!({"kind": "ClusterRoleBinding", "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": user}]})
        };
        World::new([
            role("one", "approve", json!(["example.com/a"])),
            binding("one", "one"),
            role("all", "approve", json!(["example.com/*"])),
            binding("all", "all"),
            role("signer", "sign", json!(["example.com/a"])),
            binding("signer", "signer"),
        ])
    }

    fn change(user: &str, subresource: &str, signer: &str, status: Value) -> bool {
        let old = json!({"metadata": {"name": "x"}, "spec": {"signerName": signer}, "status": {}});
        let new = json!({"metadata": {"name": "x"}, "spec": {"signerName": "example.com/a"}, "status": status});
        let path = format!("{GROUP}/{REQUESTS}//x/{subresource}");
        let user = UserInfo::new(user, &[]);
        send(&world(), &user, Operation::Update, &path, Some(new), Some(&old)).is_ok()
    }

    #[test]
    fn approving_needs_the_right_for_the_signer_or_its_domain() {
        let approved = || json!({"conditions": [{"type": "Approved", "status": "True"}]});
        for (user, signer, may) in [
            ("one", "example.com/a", true),
            ("one", "example.com/b", false),
            ("all", "example.com/b", true),
            ("all", "other.com/b", false),
            ("signer", "example.com/a", false),
        ] {
            assert_eq!(change(user, "approval", signer, approved()), may, "{user} {signer}");
        }
    }

    #[test]
    fn signing_needs_the_right_only_where_something_is_signed() {
        let signed = || json!({"certificate": "LS0t"});
        assert!(change("signer", "status", "example.com/a", signed()));
        assert!(!change("one", "status", "example.com/a", signed()));
        assert!(change("one", "status", "example.com/a", json!({})));
    }

    #[test]
    fn nobody_becomes_an_administrator_by_a_certificate() {
        let create = |organization: &str| {
            let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
            parameters.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
            let encoded = STANDARD.encode(pem);
            let object = json!({"metadata": {"name": "x"}, "spec": {"signerName": CLIENT_SIGNER, "request": encoded}});
            send(&world(), &admin(), Operation::Create, &format!("{GROUP}/{REQUESTS}///"), Some(object), None)
        };
        assert!(create("users").is_ok());
        let why = "certificatesigningrequests.certificates.k8s.io \"x\" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
        assert_eq!(create("system:masters").unwrap_err(), why);
    }
}
