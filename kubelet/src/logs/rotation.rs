//! Puts aside the logs of running containers that have grown long: a log never fills the node's disk.
//!
//! `0.log` becomes `0.log.20261125-162000`, the runtime opens a new `0.log`, and the oldest of those that were put aside
//! go. Nothing announces that a file has grown, so the sizes are looked at from time to time, as upstream does.
//!
//! Upstream: pkg/kubelet/logs/container_log_manager.go
//! Left out: compressing what was put aside; several rotations at once.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use proto::cri::ContainerState;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{config::Config, cri::Runtime};

/// Upstream's default of `containerLogMonitorInterval`.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A container's log that is longer than it may be.
#[derive(Debug, PartialEq)]
struct Long {
    container_id: String,
    log: PathBuf,
}

/// Rotates logs until `shutdown`.
pub async fn follow(config: &Config, runtime: Runtime, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        for long in too_long(&config.container_logs_dir, config.container_log_max_bytes) {
            match rotate(&long, config.container_log_max_files, &runtime).await {
                Ok(true) => info!(log = %long.log.display(), "log rotated"),
                Ok(false) => {}
                Err(error) => warn!(log = %long.log.display(), %error, "a log is not rotated, will retry"),
            }
        }
    }
}

/// The logs that the links in a folder lead to and that are longer than `max_bytes`.
fn too_long(links: &Path, max_bytes: u64) -> Vec<Long> {
    let links = std::fs::read_dir(links).into_iter().flatten().flatten();
    let long = links.filter_map(|link| {
        let log = std::fs::read_link(link.path()).ok()?;
        let is_long = std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > max_bytes);
        // `POD_NAMESPACE_CONTAINER-ID.log`: a container's id has no `-`.
        let name = link.file_name().into_string().ok()?;
        let (_, container_id) = name.strip_suffix(".log")?.rsplit_once('-')?;
        is_long.then(|| Long { container_id: container_id.to_owned(), log })
    });
    long.collect()
}

/// Puts one log aside. False when its container doesn't run: then nobody would open a new one.
async fn rotate(long: &Long, max_files: u32, runtime: &Runtime) -> anyhow::Result<bool> {
    let status = runtime.container_status(&long.container_id).await?;
    if status.state() != ContainerState::ContainerRunning {
        return Ok(false);
    }
    for old in surplus(aside(&long.log)?, max_files) {
        std::fs::remove_file(old)?;
    }
    let mut name = long.log.clone().into_os_string();
    name.push(format!(".{}", Timestamp::now().strftime("%Y%m%d-%H%M%S")));
    std::fs::rename(&long.log, &name)?;
    if let Err(error) = runtime.reopen_log(&long.container_id).await {
        // The runtime still writes to the file that it has open: it must not lose its name.
        std::fs::rename(&name, &long.log)?;
        return Err(error.into());
    }
    Ok(true)
}

/// What was put aside of a log, the oldest first.
fn aside(log: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().and_then(|found| found.strip_prefix(name)?.strip_prefix('.')).is_some() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Those that must go before one more is put aside and a new log begins, so that no more than `max_files` are left.
fn surplus(aside: Vec<PathBuf>, max_files: u32) -> Vec<PathBuf> {
    let kept = usize::try_from(max_files).unwrap_or(usize::MAX).saturating_sub(2);
    let count = aside.len().saturating_sub(kept);
    aside.into_iter().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_that_are_too_long_are_found_with_their_container() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("links")).unwrap();
        for (name, length) in [("short", 10), ("long", 11)] {
            std::fs::write(path(name), "x".repeat(length)).unwrap();
            let link = path("links").join(format!("a-pod_default_{name}-of-it-0123abcd.log"));
            std::os::unix::fs::symlink(path(name), link).unwrap();
        }
        std::os::unix::fs::symlink(path("gone"), path("links").join("p_ns_c-1.log")).unwrap();
        let found = too_long(&path("links"), 10);
        assert_eq!(found, [Long { container_id: "0123abcd".into(), log: path("long") }]);
    }

    #[test]
    fn the_oldest_go_and_those_of_other_logs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["0.log", "0.log.20260101-000000", "0.log.20260101-000001", "0.log.20260102-000000", "1.log.2026"];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let aside = aside(&folder.path().join("0.log")).unwrap();
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(surplus(aside.clone(), 4)), ["0.log.20260101-000000"]);
        assert_eq!(names(surplus(aside.clone(), 5)), Vec::<String>::new());
        assert_eq!(names(surplus(aside, 0)).len(), 3);
    }
}
