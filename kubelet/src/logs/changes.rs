//! Hears when something in a folder is written, made or renamed: inotify, as a future.
//!
//! Upstream: fsnotify, as pkg/kubelet/kuberuntime/logs uses it
//! Left out: which file it was; whoever listens looks.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// Changes of one folder since this was made.
pub struct Changes {
    queue: AsyncFd<OwnedFd>,
}

impl Changes {
    /// # Errors
    /// The folder isn't there, or the machine's limit of watches is reached (`fs.inotify.max_user_instances`).
    pub fn of(folder: &Path) -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let wanted = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        inotify::add_watch(&queue, folder, wanted)?;
        Ok(Self { queue: AsyncFd::new(queue)? })
    }

    /// Waits for the next change, or takes note of all that have come since.
    pub async fn next(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.queue.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut events = 0;
            let read = ready.try_io(|queue| {
                let mut reader = inotify::Reader::new(queue.get_ref(), &mut buffer);
                loop {
                    match reader.next() {
                        Ok(_) => events += 1,
                        Err(rustix::io::Errno::WOULDBLOCK) if events > 0 => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                }
            });
            match read {
                Ok(result) => return result,
                Err(_would_block) => continue,
            }
        }
    }
}
