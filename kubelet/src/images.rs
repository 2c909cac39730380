//! Decides which image a container means, whether it is pulled, and with whose credentials.
//!
//! Upstream: pkg/kubelet/images, pkg/credentialprovider
//! Left out: credential plugins, checking again who may use an image that is present.

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

/// The full name of an image: registry, path, and tag or digest.
///
/// # Errors
/// It is no name of an image; the text is the message of `InvalidImageName`.
pub fn normalized(image: &str) -> Result<String, String> {
    let bad = |character: char| character.is_whitespace() || character.is_control();
    let path = image.split(['@']).next().unwrap_or_default();
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).split(':').next().unwrap_or_default();
    let repository = path.split_once(':').map_or(path, |(repository, _)| repository);
    let lower = !path.contains('/') && repository.chars().any(|character| character.is_ascii_uppercase());
    if image.is_empty() || image.contains(bad) || name.is_empty() || lower {
        return Err(format!(
            "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
        ));
    }
    let registry = path.split_once('/').map(|(registry, _)| registry);
    let has_registry = registry.is_some_and(|first| first.contains(['.', ':']) || first == "localhost");
    let prefix = match (has_registry, path.contains('/')) {
        (true, _) => "",
        (false, true) => "docker.io/",
        (false, false) => "docker.io/library/",
    };
    let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
    let tag = if image.contains('@') || last.contains(':') { "" } else { ":latest" };
    Ok(format!("{prefix}{image}{tag}"))
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
    fn short_names_are_completed() {
        assert_eq!(normalized("nginx"), Ok("docker.io/library/nginx:latest".into()));
        assert_eq!(normalized("me/app:1"), Ok("docker.io/me/app:1".into()));
        assert_eq!(normalized("localhost:5000/app"), Ok("localhost:5000/app:latest".into()));
        assert!(normalized("NO CAPS").is_err());
    }

    #[test]
    fn a_login_is_used_for_its_registry_only() {
        assert!(is_for("https://index.docker.io/v1/", "docker.io/library/nginx:1"));
        assert!(!is_for("registry.example.org", "registry.example.org.evil/app:1"));
    }
}
