//! What a Secret may be, and what of it may change.
//!
//! Upstream: pkg/apis/core/validation/validation.go (ValidateSecret, ValidateSecretUpdate)
//! Left out: nothing.

use api::{field::Field, object::Object as _};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::strategy::{
    config_map::validation::{MAX_BYTES, check_key, decoded_len, immutability},
    validation::{Errors, immutable},
};

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// The mistakes of a Secret.
pub(super) fn secret(secret: &Field<'_>) -> Errors {
    let mut errors = Errors::new();
    let data = secret.child("data");
    let mut size = 0;
    for (key, value) in data.entries() {
        check_key(&value, key, &mut errors);
        size += decoded_len(value.str());
    }
    if size > MAX_BYTES {
        errors.push(data.too_long(MAX_BYTES));
    }
    by_type(secret, &data, &mut errors);
    errors
}

fn by_type(secret: &Field<'_>, data: &Field<'_>, errors: &mut Errors) {
    let mut required = |key: &str| {
        if data.key(key).is_absent() {
            errors.push(data.key(key).required(""));
        }
    };
    match secret.child("type").str() {
        "kubernetes.io/service-account-token"
            if secret.value.annotation(ACCOUNT_NAME).unwrap_or_default().is_empty() =>
        {
            let metadata = secret.child("metadata");
            let annotations = metadata.child("annotations");
            errors.push(annotations.key(ACCOUNT_NAME).required(""));
        }
        "kubernetes.io/dockercfg" => docker_config(&data.key(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => docker_config(&data.key(".dockerconfigjson"), errors),
        "kubernetes.io/basic-auth" if data.key("username").is_absent() && data.key("password").is_absent() => {
            required("username");
            required("password");
        }
        "kubernetes.io/ssh-auth" if data.key("ssh-privatekey").is_empty() => {
            errors.push(data.key("ssh-privatekey").required(""));
        }
        "kubernetes.io/tls" => {
            required("tls.crt");
            required("tls.key");
        }
        _ => {}
    }
}

fn docker_config(config: &Field<'_>, errors: &mut Errors) {
    if config.is_absent() {
        errors.push(config.required(""));
        return;
    }
    let text = STANDARD.decode(config.str()).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<Map<String, Value>>(&text) {
        let why = if text.is_empty() { "unexpected end of JSON input".to_owned() } else { error.to_string() };
        errors.push(config.invalid_value("<secret contents redacted>", why));
    }
}

/// The mistakes in a change: the type stays.
pub(super) fn update(secret: &Field<'_>, current: &Value) -> Errors {
    let mut errors = Errors::new();
    immutable(&secret.child("type"), &current["type"], &mut errors);
    immutability(secret, current, &["data"], &mut errors);
    errors.extend(self::secret(secret));
    errors
}
