//! Requests that are never tried twice, from wherever `app-client` runs, and what became of them.
//!
//! Upstream: none
//! Left out: everything but GET, and POST for writing a row.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// What `app-client` prints.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    pub requests: u64,
    /// How many answers began with which first line.
    pub answers: BTreeMap<String, u64>,
    pub failures: Vec<Failure>,
    pub connections: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Failure {
    pub request: u64,
    pub unix_ms: u64,
    pub error: String,
}

/// Requests that are under way.
pub struct Running {
    pub name: String,
    process: Child,
}

impl Running {
    /// Runs `command`, which ends in `app-client` and its flags.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(name: &str, mut command: Command) -> anyhow::Result<Running> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Running { name: name.to_owned(), process })
    }

    /// Waits for the last answer; ends the standard input, which some clients wait for.
    ///
    /// # Errors
    /// The client itself failed.
    pub fn report(self) -> anyhow::Result<Report> {
        let output = self.process.wait_with_output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the client {} failed: {}", self.name, words.trim());
        let report: Report = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("the client {} printed no report: {}", self.name, words.trim()))?;
        Ok(report)
    }
}

impl Report {
    /// Fails unless every request was answered.
    ///
    /// # Errors
    /// The number of failures and the first few of them.
    pub fn no_failure(&self, name: &str) -> anyhow::Result<()> {
        let few: Vec<String> =
            self.failures.iter().take(5).map(|one| format!("#{} {}", one.request, one.error)).collect();
        let count = self.failures.len();
        ensure!(count == 0, "{name}: {count} of {} requests failed: {}", self.requests, few.join("; "));
        let answered: u64 = self.answers.values().sum();
        ensure!(answered == self.requests, "{name}: {answered} answers to {} requests", self.requests);
        Ok(())
    }

    /// How many answers came from programs of this version.
    pub fn of_version(&self, version: &str) -> u64 {
        let from = |name: &&String| name.split(' ').nth(1) == Some(version);
        self.answers.iter().filter(|(name, _)| from(name)).map(|(_, count)| count).sum()
    }
}

/// One request from this very thread; returns the status and the body.
///
/// # Errors
/// There is no answer.
pub fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, patience).with_context(|| format!("connect {address}"))?;
    stream.set_read_timeout(Some(patience))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("{method} {address}{path}"))?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("no end of headers")?;
    Ok((status, body.to_owned()))
}
