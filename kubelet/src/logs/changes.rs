//! Hears when something in a folder is written, made or renamed: inotify, as a future.
//!
//! Upstream: fsnotify, as pkg/kubelet/kuberuntime/logs uses it
//! Left out: which file it was; whoever listens looks.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Room for several events with names; none is longer than 272 bytes.
const BUFFER_BYTES: usize = 4096;

/// Changes of one folder since this was made.
pub struct Changes {
    /// The queue is no pipe, but is read like one: tokio has no type for "something that can be polled and read".
    queue: Receiver,
}

impl Changes {
    /// # Errors
    /// The folder isn't there, or the machine's limit of watches is reached (`fs.inotify.max_user_instances`).
    pub fn of(folder: &Path) -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let wanted = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        inotify::add_watch(&queue, folder, wanted)?;
        Ok(Self { queue: Receiver::from_owned_fd_unchecked(queue)? })
    }

    /// Waits for the next change, or takes note of those that have come since the last call.
    ///
    /// # Errors
    /// The kernel's queue can't be read.
    pub async fn next(&mut self) -> io::Result<()> {
        let mut events = [0; BUFFER_BYTES];
        self.queue.read(&mut events).await.map(drop)
    }
}
