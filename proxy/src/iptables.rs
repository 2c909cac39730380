//! Runs iptables' own programs: they know both of the kernel's back ends, and hold its lock.
//!
//! Upstream: pkg/util/iptables, and the iptables-wrappers of its images (the choice of the back end)

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Why the kernel's rules could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// The program is not there, or could not be talked to.
    #[error("{program}: {source}")]
    Run { program: String, source: std::io::Error },
    /// It said no. Nothing of the table that it names was changed.
    #[error("{program} ended with {status}: {message}")]
    Refused { program: String, status: std::process::ExitStatus, message: String },
}

/// One back end of iptables, by the names of its programs.
#[derive(Debug, Clone)]
pub struct Iptables {
    save: &'static str,
    restore: &'static str,
}

const DEFAULT: Iptables = Iptables { save: "iptables-save", restore: "iptables-restore" };
const NFT: Iptables = Iptables { save: "iptables-nft-save", restore: "iptables-nft-restore" };
const LEGACY: Iptables = Iptables { save: "iptables-legacy-save", restore: "iptables-legacy-restore" };

impl Iptables {
    /// The back end that the host uses: the one that holds more rules already, else whatever `iptables` is here.
    pub async fn detect() -> Iptables {
        // Reading legacy tables would load the kernel's modules for them if they are not there yet.
        if !Path::new("/proc/net/ip_tables_names").exists() {
            return DEFAULT;
        }
        let rules = async |backend: &Iptables| {
            let saved = backend.save().await.unwrap_or_default();
            saved.lines().filter(|line| line.starts_with("-A ")).count()
        };
        let (nft, legacy) = (rules(&NFT).await, rules(&LEGACY).await);
        match nft.cmp(&legacy) {
            std::cmp::Ordering::Greater => NFT,
            std::cmp::Ordering::Less => LEGACY,
            std::cmp::Ordering::Equal => DEFAULT,
        }
    }

    /// All rules of the kernel, as text.
    ///
    /// # Errors
    /// The program is missing or fails.
    pub async fn save(&self) -> Result<String, IptablesError> {
        run(self.save, &[], "").await
    }

    /// Changes the rules; a table changes as a whole or not at all.
    ///
    /// # Errors
    /// The program is missing or fails; tables before the one that failed are changed already.
    pub async fn restore(&self, input: &str) -> Result<(), IptablesError> {
        run(self.restore, &["--noflush", "--wait", "5"], input).await.map(drop)
    }
}

async fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, IptablesError> {
    let broken = |source| IptablesError::Run { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(broken)?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let feed = async move {
        // A program that ends early says why itself.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(broken)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(IptablesError::Refused { program: program.to_owned(), status: output.status, message });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
