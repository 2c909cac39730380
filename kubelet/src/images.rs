//! Decides which image a container means, whether it is pulled, and with whose credentials.
//!
//! Upstream: pkg/kubelet/images, pkg/credentialprovider
//! Left out: credential plugins, checking again who may use an image that is present.

mod reference;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::{Container, Secret};
use proto::cri::AuthConfig;
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

/// As written; the API server has defaulted it.
pub fn pull_policy(container: &Container) -> PullPolicy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        _ => PullPolicy::IfNotPresent,
    }
}

/// The full name of an image.
///
/// # Errors
/// It is no name of an image; the text is the message of `InvalidImageName`.
pub fn full_name(image: &str) -> Result<String, String> {
    // The id of an image that is on the node already; as a name it would be the tag of an image called sha256.
    if image.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64) {
        return Ok(image.to_owned());
    }
    let complete = reference::normalized(image);
    complete.map_err(|why| {
        format!("Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {why}")
    })
}

/// The logins of a pull secret that are for the registry of an image.
pub fn logins(secret: &Secret, reference: &str) -> Vec<AuthConfig> {
    let data = secret.data.as_ref();
    let file = |key: &str| data.and_then(|data| serde_json::from_slice::<Value>(&data.get(key)?.0).ok());
    let auths = file(".dockerconfigjson").map(|config| config["auths"].clone()).or_else(|| file(".dockercfg"));
    let entries = auths.as_ref().and_then(Value::as_object).into_iter().flatten();
    let matching = entries.filter(|(registry, _)| is_for(registry, reference));
    matching.map(|(_, login)| login_of(login)).collect()
}

fn is_for(registry: &str, reference: &str) -> bool {
    let registry = registry.trim_start_matches("https://").trim_start_matches("http://");
    let registry = registry.trim_end_matches("/v1/").trim_end_matches("/v2/").trim_end_matches('/');
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
    reference.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/'))
}

fn login_of(login: &Value) -> AuthConfig {
    let text = |key: &str| login[key].as_str().unwrap_or_default().to_string();
    let decoded = BASE64_STANDARD.decode(text("auth")).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|decoded| decoded.split_once(':'));
    let (username, password) = match pair {
        Some((username, password)) if text("username").is_empty() => (username.into(), password.into()),
        _ => (text("username"), text("password")),
    };
    AuthConfig { username, password, identity_token: text("identitytoken"), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_used_for_its_registry_only() {
        assert!(is_for("https://index.docker.io/v1/", "docker.io/library/nginx:1"));
        assert!(!is_for("registry.example.org", "registry.example.org.evil/app:1"));
    }
}
