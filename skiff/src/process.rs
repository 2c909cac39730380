//! Starts, finds and stops the cluster's processes: each a session of its own that outlives `skiff up`.
//!
//! A process says that it is ready by systemd's notify protocol and its end is heard through a pidfd, so nothing here
//! asks again and again.
//!
//! Upstream: none; kubeadm leaves this to systemd and the kubelet
//! Left out: restarting a process that has ended: the next `skiff up` does.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::layout::Layout;

/// What to start.
#[derive(Debug, Clone)]
pub struct Start {
    /// Names the log, the process file and the progress line.
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// A process of the cluster that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot: tells it from a later process with the same id.
    started: u64,
}

/// The process `name` of the cluster, if it runs.
pub fn find(layout: &Layout, name: &str) -> Option<Running> {
    let text = fs::read(file(layout, name)).ok()?;
    let running: Running = serde_json::from_slice(&text).ok()?;
    (start_time(running.pid)? == running.started).then_some(running)
}

/// Starts a process and waits until it says that it is ready.
///
/// # Errors
/// It can't be started, it ends, or it isn't ready in time; with the last lines of its log.
pub async fn start(layout: &Layout, what: &Start, patience: Duration) -> anyhow::Result<Running> {
    let log_path = layout.log(what.name);
    fs::create_dir_all(log_path.parent().expect("a log lies in a folder"))?;
    fs::create_dir_all(&layout.run)?;
    let log = File::options().create(true).append(true).open(&log_path);
    let log = log.with_context(|| format!("can't write {}", log_path.display()))?;
    let notify_path = layout.run.join(format!("{}.notify", what.name));
    let heard = listen(&notify_path)?;
    // setsid(1) makes the session and becomes the program: same process id, no parent to die with.
    let spawned = Command::new("setsid")
        .arg(&what.program)
        .args(&what.arguments)
        .env("NOTIFY_SOCKET", &notify_path)
        .env_remove("RUST_BACKTRACE")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    let mut child = spawned.with_context(|| format!("can't start {}", what.program.display()))?;
    let pid = i32::try_from(child.id()).context("process id")?;
    let running = Running { pid, started: start_time(pid).unwrap_or(0) };
    component::pki::write_public(&file(layout, what.name), &serde_json::to_vec(&running)?)?;
    let outcome = tokio::select! {
        ready = is_ready(&heard) => ready,
        ended = wait(pid) => ended.and_then(|()| bail!("it ended ({})", child.wait()?)),
        () = tokio::time::sleep(patience) => Err(anyhow::anyhow!("not ready after {} s", patience.as_secs())),
    };
    let _ = fs::remove_file(&notify_path);
    outcome.with_context(|| format!("{} did not start; its log ends:\n{}", what.name, tail(&log_path, 12)))?;
    Ok(running)
}

/// Asks a process to stop, and kills it when it has not after `patience`. Returns whether it ran.
///
/// # Errors
/// It can't be signalled, or doesn't even end when killed.
pub async fn stop(layout: &Layout, name: &str, patience: Duration) -> anyhow::Result<bool> {
    let path = file(layout, name);
    let Some(running) = find(layout, name) else {
        remove_if_there(&path)?;
        return Ok(false);
    };
    let Some(pidfd) = open(running.pid)? else { return Ok(false) };
    pidfd_send_signal(&pidfd, Signal::TERM).with_context(|| format!("can't stop {name}"))?;
    if tokio::time::timeout(patience, ended(&pidfd)).await.is_err() {
        kill(layout, name).await?;
    }
    remove_if_there(&path)?;
    Ok(true)
}

/// Kills a process (SIGKILL) and waits for its end. Returns whether it ran.
///
/// # Errors
/// It can't be signalled, or doesn't end.
pub async fn kill(layout: &Layout, name: &str) -> anyhow::Result<bool> {
    let Some(running) = find(layout, name) else { return Ok(false) };
    let Some(pidfd) = open(running.pid)? else { return Ok(false) };
    pidfd_send_signal(&pidfd, Signal::KILL).with_context(|| format!("can't kill {name}"))?;
    let killed = tokio::time::timeout(Duration::from_secs(10), ended(&pidfd)).await;
    killed.with_context(|| format!("{name} (process {}) doesn't end", running.pid))??;
    Ok(true)
}

/// The memory of a process that is in RAM.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    component::process::resident_bytes(pid)
}

fn file(layout: &Layout, name: &str) -> PathBuf {
    layout.run.join(format!("{name}.process"))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn listen(path: &Path) -> anyhow::Result<tokio::net::UnixDatagram> {
    remove_if_there(path)?;
    let socket = UnixDatagram::bind(path).with_context(|| format!("can't listen on {}", path.display()))?;
    socket.set_nonblocking(true)?;
    Ok(tokio::net::UnixDatagram::from_std(socket)?)
}

async fn is_ready(heard: &tokio::net::UnixDatagram) -> anyhow::Result<()> {
    let mut message = [0; 1024];
    loop {
        let length = heard.recv(&mut message).await?;
        if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return Ok(());
        }
    }
}

/// Waits for the end of a process, whoever's child it is.
async fn wait(pid: i32) -> anyhow::Result<()> {
    match open(pid)? {
        Some(pidfd) => ended(&pidfd).await,
        None => Ok(()),
    }
}

/// Waits on a thread of its own: the kernel tells of the end by making the pidfd readable, which tokio can't watch.
async fn ended(pidfd: &OwnedFd) -> anyhow::Result<()> {
    let watched = pidfd.try_clone()?;
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut fds = [PollFd::new(&watched, PollFlags::IN)];
        let outcome = rustix::io::retry_on_intr(|| poll(&mut fds, None));
        // Nobody listens any more when the process became ready first.
        let _ = tell.send(outcome.map(drop));
    });
    Ok(told.await??)
}

fn open(pid: i32) -> anyhow::Result<Option<OwnedFd>> {
    let pid = Pid::from_raw(pid).context("process id 0")?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Field 22 of /proc/PID/stat; none when there is no such process, or only its remains.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses and may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" { None } else { fields.nth(18)?.parse().ok() }
}

/// The last lines of a file.
fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path) -> Layout {
        Layout {
            cluster: "test".into(),
            config: folder.join("etc"),
            state: folder.join("var"),
            run: folder.join("run"),
        }
    }

    fn shell(name: &'static str, script: &str) -> Start {
        Start { name, program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    const NOTIFY: &str = "python3 -c 'import os,socket; \
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])'";

    #[tokio::test]
    async fn a_process_is_waited_for_found_again_and_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let what = shell("ready", &format!("{NOTIFY}; exec sleep 60"));
        let running = start(&layout, &what, Duration::from_secs(20)).await.unwrap();
        assert_eq!(find(&layout, "ready"), Some(running));
        assert!(stop(&layout, "ready", Duration::from_secs(5)).await.unwrap());
        assert_eq!(find(&layout, "ready"), None);
        assert!(!stop(&layout, "ready", Duration::from_secs(5)).await.unwrap());
    }

    #[tokio::test]
    async fn one_that_ends_at_once_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let what = shell("failing", "echo port is taken >&2; exit 3");
        let error = start(&layout(folder.path()), &what, Duration::from_secs(20)).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("port is taken") && text.contains("exit status: 3"), "{text}");
    }

    #[tokio::test]
    async fn one_that_ignores_the_request_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        let what = shell("stubborn", &format!("trap '' TERM; {NOTIFY}; while :; do sleep 60; done"));
        start(&layout, &what, Duration::from_secs(20)).await.unwrap();
        assert!(stop(&layout, "stubborn", Duration::from_millis(200)).await.unwrap());
    }

    #[test]
    fn a_process_id_that_another_process_has_now_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path());
        fs::create_dir_all(&layout.run).unwrap();
        let stale = Running { pid: std::process::id().cast_signed(), started: 1 };
        fs::write(file(&layout, "api"), serde_json::to_vec(&stale).unwrap()).unwrap();
        assert_eq!(find(&layout, "api"), None);
    }
}
