//! Log lines on standard error: levels as `-v` gives them upstream, or as `RUST_LOG` says.
//!
//! Upstream: component-base/logs, klog
//! Left out: log files and rotation (the supervisor's work), `--vmodule` (RUST_LOG does it).

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

/// The flags of every component that concern its logs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogFlags {
    /// How much to log: 0 to 1 is info, 2 to 4 debug of our own parts, 5 and up trace. RUST_LOG wins.
    #[arg(short = 'v', long = "v", value_name = "LEVEL", default_value_t = 0, global = true)]
    pub verbosity: u8,
    /// `text` or `json`.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"], global = true)]
    pub logging_format: String,
}

/// Starts logging. A second call changes nothing, so tests may all call it.
pub fn init(flags: &LogFlags) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(flags.verbosity)));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // `try_init` fails only when a subscriber is there already.
    let _ = if flags.logging_format == "json" { builder.json().try_init() } else { builder.try_init() };
}

/// The libraries below us say much and mean little: they stay one level quieter than our own parts.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        0..=1 => "info,hyper=warn,h2=warn,tower=warn,kube=warn",
        2..=4 => "debug,hyper=info,h2=info,tower=info,rustls=info,kube=info,tonic=info",
        _ => "trace,h2=debug,rustls=debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_valid_filter() {
        for verbosity in [0, 1, 2, 4, 5, 10] {
            assert!(EnvFilter::try_new(directives(verbosity)).is_ok());
        }
    }
}
