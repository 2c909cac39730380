//! The process that holds a pod's namespaces open while its containers come and go.
//!
//! Where a pod shares its process namespace this is process 1, so it also reaps what the containers orphan.
//! `deploy/build` links it statically: its image has no other file.
//!
//! Upstream: build/pause/linux/pause.c
//! Left out: the refusal to run as another process than 1.

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = signal(SignalKind::child())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            // One signal may stand for several children.
            _ = child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
        }
    }
}
