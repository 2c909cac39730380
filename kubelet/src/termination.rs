//! The message a container leaves behind: the file it wrote, or else the end of its log.
//!
//! Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (getTerminationMessage)
//! Left out: nothing.

use proto::cri::ContainerStatus;

use crate::logs;
use crate::observed::{TERMINATION_MESSAGE_PATH, TERMINATION_MESSAGE_POLICY};

/// Upstream's limits (pkg/kubelet/container: MaxContainerTerminationMessage*).
const MAX_FILE_BYTES: usize = 4096;
const MAX_LOG_BYTES: usize = 2048;
const MAX_LOG_LINES: usize = 80;

/// The termination message of an exited container; the runtime's own message when it left none.
pub async fn message(status: &ContainerStatus) -> String {
    let path = status.annotations.get(TERMINATION_MESSAGE_PATH).map_or("", String::as_str);
    let file = status.mounts.iter().find(|mount| !path.is_empty() && mount.container_path == path);
    let written = match file {
        Some(mount) => tokio::fs::read(&mount.host_path).await.unwrap_or_default(),
        None => Vec::new(),
    };
    if !written.is_empty() {
        return text(&written[..written.len().min(MAX_FILE_BYTES)]);
    }
    let policy = status.annotations.get(TERMINATION_MESSAGE_POLICY).map_or("", String::as_str);
    if policy == "FallbackToLogsOnError" && status.exit_code != 0 && !status.log_path.is_empty() {
        let log = tokio::fs::read(&status.log_path).await.unwrap_or_default();
        return last_lines(&log);
    }
    status.message.clone()
}

fn last_lines(log: &[u8]) -> String {
    let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
    let tail = &lines[lines.len().saturating_sub(MAX_LOG_LINES)..];
    let mut content: Vec<u8> =
        tail.iter().filter_map(|line| logs::parse(line)).flat_map(|entry| entry.text()).collect();
    let surplus = content.len().saturating_sub(MAX_LOG_BYTES);
    content.drain(..surplus);
    text(&content)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
