//! How objects get from one version of a kind to another: not at all, or by a webhook.
//!
//! Upstream: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go (validateCustomResourceConversion),
//!   apiserver/pkg/util/webhook/validation.go (ValidateCABundle), client-go/transport/transport.go
//! Left out: which part of a certificate is malformed.

use std::collections::BTreeSet;

use api::{field::Field, names};
use serde_json::Value;

use super::validation::is_established;
use crate::{
    pem,
    strategy::{
        validation::{Errors, required_one_of},
        webhooks::validation::webhook_place,
    },
};

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What is asked of the certificates that a webhook is trusted by.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum CaBundle {
    MustBeRight,
    /// The kind is not served yet, or what stands there is wrong already.
    MayBeWrong,
}

impl CaBundle {
    /// What is asked in a change of `current`.
    pub(super) fn after(current: &Value) -> CaBundle {
        let bundle = current["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        let is_wrong = !bundle.is_empty() && certificates(bundle).is_err();
        if is_established(current) && !is_wrong { CaBundle::MustBeRight } else { CaBundle::MayBeWrong }
    }
}

/// The mistakes in how objects of a kind are converted.
pub(super) fn conversion(spec: &Field<'_>, ca_bundle: CaBundle, errors: &mut Errors) {
    let conversion = spec.child("conversion");
    if conversion.is_absent() {
        return;
    }
    let (strategy, webhook) = (conversion.child("strategy"), conversion.child("webhook"));
    if strategy.str() != "None" && spec.child("preserveUnknownFields").bool() {
        errors.push(strategy.invalid_value(strategy.str(), "must be None if spec.preserveUnknownFields is true"));
    }
    required_one_of(&strategy, &["None", "Webhook"], errors);
    // Upstream's internal type has no webhook: what is in it stands in the conversion.
    let config = conversion.alias("webhookClientConfig", &webhook.value["clientConfig"]);
    let versions = conversion.alias("conversionReviewVersions", &webhook.value["conversionReviewVersions"]);
    if strategy.str() == "Webhook" {
        client_config(&config, ca_bundle, errors);
        review_versions(&versions, errors);
        return;
    }
    let detail = "should not be set when strategy is not set to Webhook";
    if !config.is_absent() {
        errors.push(config.forbidden(detail));
    }
    if !versions.is_empty() {
        errors.push(versions.forbidden(detail));
    }
}

fn client_config(config: &Field<'_>, ca_bundle: CaBundle, errors: &mut Errors) {
    if config.is_absent() {
        errors.push(config.required("required when strategy is set to Webhook"));
        return;
    }
    webhook_place(config, errors);
    let bundle = config.child("caBundle");
    if ca_bundle == CaBundle::MustBeRight && !bundle.is_empty() {
        errors.extend(certificates(bundle.str()).err().map(|why| bundle.invalid(why)));
    }
}

/// Whether a bundle, PEM in base64, has a certificate.
///
/// # Errors
/// Why there is none, in upstream's words.
fn certificates(bundle: &str) -> Result<(), String> {
    let parses = |der: &[u8]| x509_parser::parse_x509_certificate(der).is_ok_and(|(rest, _)| rest.is_empty());
    let blocks = pem::blocks_in_base64(bundle)?;
    let certificates: Vec<_> =
        blocks.iter().filter(|block| block.label == "CERTIFICATE" && !block.has_headers).collect();
    if certificates.iter().any(|block| parses(&block.contents)) {
        return Ok(());
    }
    let why = if !certificates.is_empty() {
        "failed to parse certificate: x509: malformed certificate"
    } else if blocks.is_empty() {
        "unable to parse bytes as PEM block"
    } else {
        "no valid certificate authority data seen"
    };
    Err(format!("unable to load root certificates: {why}"))
}

fn review_versions(versions: &Field<'_>, errors: &mut Errors) {
    if versions.is_empty() {
        errors.push(versions.required(""));
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.str().to_owned()) {
            errors.push(version.invalid("duplicate version"));
            continue;
        }
        errors.extend(names::is_dns1035_label(version.str()).into_iter().map(|wrong| version.invalid(wrong)));
    }
    if !versions.items().any(|version| REVIEW_VERSIONS.contains(&version.str())) {
        errors.push(versions.invalid(format!("must include at least one of {}", REVIEW_VERSIONS.join(", "))));
    }
}
