//! Flags in upstream's spelling, and the policy for those that are not ours.
//!
//! Upstream: component-base/cli/flag, spf13/pflag
//!
//! A flag that upstream's component has and ours doesn't implement is accepted, with one warning line naming it: unit
//! files and guides written for Kubernetes keep working, and nobody is left to believe that it did something. A flag
//! that nobody has is an error with the nearest name. Go's spellings work: `--flag=value`, `--flag value`,
//! `--switch=false`, and `_` for `-`.

mod upstream;

use std::{ffi::OsString, time::Duration};

use clap::{ArgAction, Command, Parser};

pub use upstream::Component;

/// What is left of a command line once upstream's other flags are taken out.
#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    arguments: Vec<String>,
    /// Accepted, without effect.
    ignored: Vec<String>,
}

/// The flags of this process. Prints help, the version or an error and ends the process where clap would.
pub fn parse<T: Parser>(component: Component) -> T {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument: OsString| argument.to_string_lossy().into_owned()).collect();
    let sorted = sort(component, &T::command(), arguments);
    let parsed = T::parse_from(sorted.arguments);
    for flag in sorted.ignored {
        eprintln!("warning: {flag} is accepted for compatibility and has no effect in skiff");
    }
    parsed
}

/// Reads a flag's duration in Go's spelling: `5m0s`, `1h30m`, `250ms`, `0`.
///
/// # Errors
/// It is spelled otherwise, or less than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let read = text.parse::<jiff::SignedDuration>().ok().and_then(|read| Duration::try_from(read).ok());
    read.ok_or_else(|| format!("{text:?} is not a duration like 5m0s, 1h30m or 0"))
}

/// Splits a command line into what `command` knows and what only upstream's `component` knows.
fn sort(component: Component, command: &Command, arguments: Vec<String>) -> Sorted {
    let mut sorted = Sorted { arguments: Vec::new(), ignored: Vec::new() };
    let mut rest = arguments.into_iter().peekable();
    sorted.arguments.extend(rest.next());
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            sorted.arguments.push(argument);
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name.replace('_', "-"), Some(value.to_owned())),
            None => (flag.replace('_', "-"), None),
        };
        if let Some(ours) = command.get_arguments().find(|ours| ours.get_long() == Some(name.as_str())) {
            match (ours.get_action(), value.as_deref()) {
                (ArgAction::SetTrue, Some("false" | "0" | "f")) => {}
                (ArgAction::SetTrue, Some("true" | "1" | "t")) => sorted.arguments.push(format!("--{name}")),
                (_, Some(value)) => sorted.arguments.push(format!("--{name}={value}")),
                (_, None) => sorted.arguments.push(format!("--{name}")),
            }
        } else if let Some(upstream) = upstream::find(component, &name) {
            let separate = value.is_none() && upstream.takes_value;
            if separate && rest.peek().is_some_and(|next| !next.starts_with("--")) {
                rest.next();
            }
            sorted.ignored.push(format!("--{name}"));
        } else {
            sorted.arguments.push(argument);
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[arg(long, default_value_t = 6443)]
        secure_port: u16,
        #[arg(long)]
        use_service_account_credentials: bool,
    }

    fn check(line: &str) -> (Result<Flags, String>, Vec<String>) {
        let arguments = line.split(' ').map(String::from).collect();
        let sorted = sort(Component::ApiServer, &Flags::command(), arguments);
        (Flags::try_parse_from(sorted.arguments).map_err(|error| error.to_string()), sorted.ignored)
    }

    #[test]
    fn durations_are_spelled_as_go_spells_them() {
        let read = ["5m0s", "1h30m", "250ms", "1.5h", "0", "0s"].map(|text| duration(text).unwrap().as_millis());
        assert_eq!(read, [300_000, 5_400_000, 250, 5_400_000, 0, 0]);
        for wrong in ["", "5", "-5m", "five minutes", "1d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_flag_of_upstream_that_we_lack_is_accepted_and_named() {
        let (flags, ignored) =
            check("x --profiling=false --secure-port 7000 --audit-log-path /tmp/a --allow-privileged");
        assert_eq!(flags.unwrap().secure_port, 7000);
        assert_eq!(ignored, ["--profiling", "--audit-log-path", "--allow-privileged"]);
    }

    #[test]
    fn an_unknown_flag_is_an_error_that_names_the_nearest() {
        let (flags, _) = check("x --secure-prt=7000");
        let message = flags.unwrap_err();
        assert!(message.contains("--secure-prt") && message.contains("--secure-port"), "{message}");
    }

    #[test]
    fn switches_and_underscores_are_spelled_as_in_go() {
        assert!(check("x --use_service_account_credentials=true").0.unwrap().use_service_account_credentials);
        assert!(!check("x --use-service-account-credentials=false").0.unwrap().use_service_account_credentials);
    }
}
