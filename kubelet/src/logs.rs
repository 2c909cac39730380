//! Container logs as the runtime writes them: one entry a line, `TIME STREAM TAG TEXT`.
//!
//! Upstream: pkg/kubelet/kuberuntime/logs
//! Left out: Docker's JSON format.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::pod_spec;

pub mod changes;
pub mod reader;
pub mod rotation;

/// One line of a log file. A long line of the container is split into partial entries.
#[derive(Debug, PartialEq)]
pub struct Entry<'a> {
    pub time: &'a str,
    pub stream: &'a str,
    pub is_partial: bool,
    pub content: &'a [u8],
}

impl Entry<'_> {
    /// What the container wrote, with its newline back unless the line goes on in the next entry.
    pub fn text(&self) -> Vec<u8> {
        let mut text = self.content.to_vec();
        if !self.is_partial {
            text.push(b'\n');
        }
        text
    }
}

/// Reads one line of a log file. A line that the runtime is still writing, or that is damaged, is `None`.
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let line = line.strip_suffix(b"\n")?;
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = std::str::from_utf8(parts.next()?).ok()?;
    let is_partial = parts.next()? == b"P";
    Some(Entry { time, stream, is_partial, content: parts.next().unwrap_or_default() })
}

/// The folder of a pod's logs, where collectors look for them.
pub fn pod_directory(root: &Path, pod: &Pod) -> PathBuf {
    root.join(format!("{}_{}_{}", pod_spec::namespace(pod), pod_spec::name(pod), pod_spec::uid(pod)))
}

/// A container's log file, relative to its pod's folder.
pub fn file_name(container: &str, restart_count: u32) -> String {
    format!("{container}/{restart_count}.log")
}

/// Removes a container's log, the files that were rotated away from it, and the links to it.
pub fn remove(log: &Path, links: &Path) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let is_of_log = |found: &str| found.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    for entry in std::fs::read_dir(folder)?.flatten() {
        if is_of_log(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    remove_links(log, links)
}

/// Removes every link of the folder `links` that leads to `to` or below it.
pub fn remove_links(to: &Path, links: &Path) -> std::io::Result<()> {
    for link in std::fs::read_dir(links).into_iter().flatten().flatten() {
        if std::fs::read_link(link.path()).is_ok_and(|target| target.starts_with(to)) {
            std::fs::remove_file(link.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_stream_tag_and_text() {
        let entry = parse(b"2026-01-01T00:00:00.000000001Z stdout F hello world\n").expect("an entry");
        assert_eq!((entry.stream, entry.is_partial, entry.content), ("stdout", false, b"hello world".as_slice()));
        assert_eq!(entry.text(), b"hello world\n");
    }

    #[test]
    fn a_partial_line_has_no_newline_of_its_own() {
        assert_eq!(parse(b"t stderr P abc\n").expect("an entry").text(), b"abc");
    }

    #[test]
    fn a_line_that_is_still_being_written_is_not_read() {
        assert_eq!(parse(b"t stdout F unfinis"), None);
    }
}
