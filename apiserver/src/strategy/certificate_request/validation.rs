//! What a certificate request may be, and what of it may change.
//!
//! Upstream: pkg/apis/certificates/validation/validation.go
//! Left out: the diff in the message about a changed condition; leniency towards requests of old versions.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer as _};

use crate::{pem, row::Subresource, strategy::validation::Errors};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const MIN_EXPIRATION_S: i64 = 600;
/// Once set these stay, and are never anything but true.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];

/// The mistakes of a request.
pub(super) fn request(object: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let spec = object.child("spec");
    let request = spec.child("request");
    if let Err(error) = read_request(request.str()) {
        errors.push(request.invalid(error));
    }
    let usages = spec.child("usages");
    if usages.is_empty() {
        errors.push(usages.required(""));
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !USAGES.contains(&usage.str()) {
            errors.push(usage.not_supported(&USAGES));
        }
    }
    for usage in usages.items() {
        if !seen.insert(usage.str()) {
            errors.push(usage.duplicate());
        }
    }
    signer_name(&spec.child("signerName"), &mut errors);
    let expiration = spec.child("expirationSeconds");
    if expiration.i64().is_some_and(|seconds| seconds < MIN_EXPIRATION_S) {
        errors.push(expiration.invalid("may not specify a duration less than 600 seconds (10 minutes)"));
    }
    conditions(object, &mut errors);
    errors
}

/// The mistakes in a change, through the request itself or one of its subresources.
pub(super) fn update(object: &Field<'_>, current: &Value, subresource: Option<Subresource>) -> Errors {
    let mut errors = request(object);
    let status = object.child("status");
    let certificate = status.child("certificate");
    let had = &current["status"]["certificate"];
    let changed = certificate.value != had;
    if changed
        && !certificate.is_empty()
        && let Err(error) = read_certificates(certificate.str())
    {
        errors.push(certificate.invalid_value("<certificate data>", error));
    }
    let list = status.child("conditions");
    let of_type = |status: &Value, kind: &str| -> Vec<Value> {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.filter(|each| each["type"] == kind).cloned().collect()
    };
    let (before, after) = (&current["status"], status.value);
    for kind in LASTING {
        if of_type(after, kind).len() < of_type(before, kind).len() {
            errors.push(list.forbidden(format!("updates may not remove a condition of type {kind:?}")));
        }
    }
    if subresource != Some(Subresource::Approval) {
        for kind in &LASTING[..2] {
            let (before, after) = (of_type(before, kind), of_type(after, kind));
            if after.len() > before.len() {
                errors.push(list.forbidden(format!("updates may not add a condition of type {kind:?}")));
            } else if after.len() == before.len() && after != before {
                errors.push(list.forbidden(format!("updates may not modify a condition of type {kind:?}\n")));
            }
        }
    }
    if changed && subresource != Some(Subresource::Status) {
        errors.push(certificate.forbidden("updates may not set certificate content"));
    } else if changed && had.as_str().is_some_and(|had| !had.is_empty()) {
        errors.push(certificate.forbidden("updates may not modify existing certificate content"));
    }
    errors
}

fn conditions(object: &Field<'_>, errors: &mut Errors) {
    let status = object.child("status");
    let list = status.child("conditions");
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for condition in list.items() {
        let (kind, value) = (condition.child("type"), condition.child("status"));
        if kind.is_empty() {
            errors.push(kind.required(""));
        }
        let allowed: &[&str] = if LASTING.contains(&kind.str()) { &["True"] } else { &["False", "True", "Unknown"] };
        if value.is_empty() {
            errors.push(value.required(""));
        } else if !allowed.contains(&value.str()) {
            errors.push(value.not_supported(allowed));
        }
        let opposite = match kind.str() {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if seen.contains(opposite) && !opposite.is_empty() {
            errors.push(kind.invalid("Approved and Denied conditions are mutually exclusive"));
        }
        if !seen.insert(kind.str().to_owned()) {
            errors.push(kind.duplicate());
        }
    }
}

/// `example.com/name`: a domain and a path.
fn signer_name(field: &Field<'_>, errors: &mut Errors) {
    let name = field.str();
    let segments: Vec<&str> = name.split('/').collect();
    if name.is_empty() {
        return errors.push(field.required(""));
    }
    let [domain, path] = segments.as_slice() else {
        return errors
            .push(field.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'"));
    };
    let first_wrong = |text: &str, check: fn(&str) -> Vec<String>| -> Vec<String> {
        let mut labels = text.split('.').map(|label| (label, check(label)));
        let wrong = labels.find(|(_, mistakes)| !mistakes.is_empty());
        let texts = wrong.into_iter().flat_map(|(label, mistakes)| {
            mistakes.into_iter().map(move |mistake| format!("validating label {label:?}: {mistake}"))
        });
        texts.collect()
    };
    for wrong in first_wrong(domain, names::is_dns1123_label) {
        errors.push(field.invalid_value(*domain, wrong));
    }
    if !domain.contains('.') {
        errors.push(field.invalid_value(*domain, "should be a domain with at least two segments separated by dots"));
    }
    for wrong in first_wrong(path, names::is_dns1123_subdomain) {
        errors.push(field.invalid_value(*path, wrong));
    }
    if name.len() > 571 {
        errors.push(field.too_long(571));
    }
}

fn read_request(encoded: &str) -> Result<(), String> {
    let der = pem::certificate_request(encoded)?;
    let (_, request) = X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
    request.verify_signature().map_err(|_| "x509: the signature of the request is not its key's".to_owned())
}

fn read_certificates(encoded: &str) -> Result<(), String> {
    let blocks = pem::blocks_in_base64(encoded)?;
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.label));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        x509_parser::parse_x509_certificate(&block.contents).map_err(|error| error.to_string())?;
    }
    if blocks.is_empty() { Err("must contain at least one CERTIFICATE PEM block".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::json;

    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap();
        STANDARD.encode(request.pem().unwrap())
    }

    fn object(status: Value) -> Value {
        json!({"spec": {"request": pem(), "signerName": "example.com/s", "usages": ["client auth"]}, "status": status})
    }

    fn texts(errors: Errors) -> Vec<String> {
        errors.into_iter().map(|error| error.to_string()).collect()
    }

    fn check(subresource: Subresource, before: Value, after: Value, expected: &[&str]) {
        let (current, mut new) = (object(before), object(after));
        new["spec"] = current["spec"].clone();
        assert_eq!(texts(update(&Field::root(&new), &current, Some(subresource))), expected);
    }

    fn conditions_of(types: &[&str]) -> Value {
        let all: Vec<Value> = types.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
        json!({"conditions": all})
    }

    #[test]
    fn a_request_must_be_signed_by_its_own_key() {
        let good = object(json!({}));
        assert_eq!(texts(request(&Field::root(&good))), [""; 0]);
        let mut bad = good.clone();
        let mut der = pem::certificate_request(&pem()).unwrap();
        let last = der.len() - 1;
        der[last] ^= 1;
        let body = STANDARD.encode(der);
        let text = format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
        bad["spec"]["request"] = STANDARD.encode(text).into();
        assert_eq!(request(&Field::root(&bad)).len(), 1);
        bad["spec"] = json!({"request": "eA==", "signerName": "s", "usages": ["client auth", "client auth", "x"]});
        let found = texts(request(&Field::root(&bad)));
        assert!(found[0].ends_with("PEM block type must be CERTIFICATE REQUEST"), "{found:?}");
        assert!(found[2].starts_with("spec.usages[1]: Duplicate value"), "{found:?}");
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn a_request_ends_as_what_it_begins() {
        let mut bad = object(json!({}));
        let text = String::from_utf8(STANDARD.decode(pem()).unwrap()).unwrap();
        for end in ["-----END CERTIFICATE-----", "-----END CERTIFICATE REQUEST----"] {
            let text = text.replace("-----END CERTIFICATE REQUEST-----", end);
            bad["spec"]["request"] = STANDARD.encode(text).into();
            let found = texts(request(&Field::root(&bad)));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with("spec.request: Invalid value: "), "{found:?}");
            assert!(found[0].ends_with(": PEM block type must be CERTIFICATE REQUEST"), "{found:?}");
        }
    }

    #[test]
    fn a_certificate_has_no_headers() {
        let read = |header: &str| {
            let pem = format!("-----BEGIN CERTIFICATE-----\n{header}AAAA\n-----END CERTIFICATE-----\n");
            read_certificates(&STANDARD.encode(pem)).unwrap_err()
        };
        assert_eq!(read("k: v\n\n"), "no PEM block headers are permitted");
        assert_ne!(read(""), "no PEM block headers are permitted");
    }

    #[test]
    fn a_verdict_is_final_and_only_one() {
        use Subresource::{Approval, Status};
        check(Approval, json!({}), conditions_of(&["Approved"]), &[]);
        check(
            Approval,
            conditions_of(&["Approved"]),
            conditions_of(&["Approved", "Denied"]),
            &[
                r#"status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive"#,
            ],
        );
        let removed =
            |kind: &str| format!("status.conditions: Forbidden: updates may not remove a condition of type {kind:?}");
        check(Approval, conditions_of(&["Denied"]), json!({}), &[&removed("Denied")]);
        check(Approval, conditions_of(&["Denied"]), conditions_of(&["Approved"]), &[&removed("Denied")]);
        let added = r#"status.conditions: Forbidden: updates may not add a condition of type "Approved""#;
        check(Status, json!({}), conditions_of(&["Approved"]), &[added]);
        check(Status, json!({}), conditions_of(&["Failed"]), &[]);
        let false_one = json!({"conditions": [{"type": "Approved", "status": "False"}]});
        let unsupported = r#"status.conditions[0].status: Unsupported value: "False": supported values: "True""#;
        check(Approval, json!({}), false_one, &[unsupported]);
    }

    #[test]
    fn a_certificate_is_one_and_comes_once() {
        use Subresource::{Approval, Status};
        let nonsense = r#"status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block"#;
        check(Status, json!({}), json!({"certificate": "eA=="}), &[nonsense]);
        let made = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let pem = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
            json!({"certificate": STANDARD.encode(pem)})
        };
        check(Status, json!({}), made(), &[]);
        check(Approval, json!({}), made(), &["status.certificate: Forbidden: updates may not set certificate content"]);
        let replaced = "status.certificate: Forbidden: updates may not modify existing certificate content";
        check(Status, made(), made(), &[replaced]);
    }
}
