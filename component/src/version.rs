//! Which Kubernetes this is, and which build of ours.
//!
//! Upstream: component-base/version, apimachinery/pkg/version

use serde::Serialize;

/// The API level: what this speaks is Kubernetes 1.35.
pub const MAJOR: &str = "1";
pub const MINOR: &str = "35";

/// Clients parse this as a semantic version; what follows `+` is ours.
pub const GIT_VERSION: &str = concat!("v1.35.0+skiff.", env!("CARGO_PKG_VERSION_MINOR"));

/// What GET /version answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    pub major: &'static str,
    pub minor: &'static str,
    pub emulation_major: &'static str,
    pub emulation_minor: &'static str,
    pub min_compatibility_major: &'static str,
    pub min_compatibility_minor: &'static str,
    pub git_version: &'static str,
    pub git_commit: &'static str,
    pub git_tree_state: &'static str,
    pub build_date: &'static str,
    pub go_version: &'static str,
    pub compiler: &'static str,
    pub platform: String,
}

/// The build that is running.
pub fn info() -> Info {
    Info {
        major: MAJOR,
        minor: MINOR,
        emulation_major: MAJOR,
        emulation_minor: MINOR,
        min_compatibility_major: MAJOR,
        // Upstream's own default: one minor version back.
        min_compatibility_minor: "34",
        git_version: GIT_VERSION,
        git_commit: option_env!("SKIFF_COMMIT").unwrap_or("unknown"),
        git_tree_state: "clean",
        build_date: option_env!("SKIFF_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        // Clients show it and nothing else; there is no Go here, and saying so beats an invented number.
        go_version: "none",
        compiler: "rustc",
        platform: format!("{}/{}", std::env::consts::OS, architecture()),
    }
}

/// The processor's name as Go spells it, which is how Kubernetes labels nodes (`kubernetes.io/arch`).
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_that_clients_can_parse() {
        let version = info().git_version;
        let (numbers, build) = version.split_once('+').unwrap();
        let parts: Vec<&str> = numbers.trim_start_matches('v').split('.').collect();
        assert_eq!(&parts[..2], [MAJOR, MINOR]);
        assert!(parts[2].parse::<u32>().is_ok());
        assert!(build.starts_with("skiff."));
    }
}
