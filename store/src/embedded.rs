//! The store on disk: one directory, one process, the default of `skiff up`.
//!
//! Upstream: etcd's server/storage (wal, mvcc), in one process and without raft
//! Left out: replication (that is what etcd is for); values that are not in memory (a cluster's state fits).
//!
//! Reads come from memory. A write goes through one thread, the [`sequencer`]: it drains the queue into a batch, decides
//! it ([`stage`]), appends it to the [`log`] as one [`frame`], syncs once, moves the high-water [`mark`], and only then
//! shows it to readers and answers the writers. [`recover`] reads the directory back:
//!
//! ```text
//! lock                           held by the process that has the store open
//! mark                           how far the log was when somebody was last told so
//! checkpoint-REVISION            the state at the compaction point
//! log-SEQUENCE log-SEQUENCE ...  every batch since, in segments of fixed size
//! *.new                          not finished; removed when opening
//! ```
//!
//! Why a log of our own: docs/decisions/003-embedded-store-engine.md.

mod checkpoint;
mod clock;
mod disk;
mod frame;
mod log;
mod mark;
mod queue;
mod recover;
mod segment;
mod sequencer;
mod stage;

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    thread::JoinHandle,
};

use futures::{FutureExt, future::BoxFuture};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::{oneshot, watch};

pub use disk::{Operation, Tap, Verdict};

use crate::{Range, Revision, Snapshot, Store, StoreError, Txn, Watch, follow::follow, history::History};
use clock::Clock;
use disk::Disk;
use queue::{Pushed, Queue, Request};
use sequencer::Sequencer;

const LOCK: &str = "lock";

/// How a store is opened; the defaults are right but for tests.
#[derive(Clone)]
pub struct Options {
    /// The size that segments of the log grow to.
    pub segment_bytes: u64,
    /// How much of the latest history is kept in memory beside the present state; older values are read from disk.
    pub held_bytes: usize,
    /// Sees every operation on the disk before it happens.
    pub tap: Option<Tap>,
}

impl Default for Options {
    fn default() -> Options {
        Options { segment_bytes: 16 << 20, held_bytes: 16 << 20, tap: None }
    }
}

/// A store in a directory. Dropping it waits until what was asked of it is on disk.
pub struct Embedded {
    history: Arc<RwLock<History>>,
    head: watch::Receiver<Revision>,
    queue: Arc<Queue>,
    sequencer: Option<JoinHandle<()>>,
    /// Held, with its lock, until the sequencer has ended.
    _lock: File,
}

impl Embedded {
    /// Opens the store in `directory`, or makes an empty one there.
    ///
    /// # Errors
    /// `Unavailable` when another process has it open or the directory can't be used; `NoSpace`; `Corrupt` names the
    /// file, the offset and what to do.
    pub fn open(directory: impl AsRef<Path>) -> Result<Embedded, StoreError> {
        Embedded::open_with(directory, Options::default())
    }

    /// [`Embedded::open`] with other sizes, or under a test's eyes.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(directory: impl AsRef<Path>, options: Options) -> Result<Embedded, StoreError> {
        let Options { segment_bytes, held_bytes, tap } = options;
        let path = directory.as_ref();
        let disk = Disk::open(path, tap).map_err(|error| {
            StoreError::Unavailable(format!("can't use {} as the store's directory: {error}", path.display()))
        })?;
        let lock = lock(&disk)?;
        let clock = Clock::start();
        let mut recovered = recover::recover(&disk, clock.now_ms(), segment_bytes, held_bytes)?;
        let empty = History::beginning_at(crate::history::EMPTY, held_bytes);
        let history = std::mem::replace(&mut recovered.history, empty);
        let (head, follower) = watch::channel(history.current());
        let history = Arc::new(RwLock::new(history));
        let queue = Arc::new(Queue::default());
        let sequencer = Sequencer::new(disk, recovered, (history.clone(), head), queue.clone(), clock, segment_bytes);
        let thread = std::thread::Builder::new().name("store-sequencer".into()).spawn(|| sequencer.run());
        let sequencer = thread.map_err(|error| StoreError::Unavailable(format!("can't start a thread: {error}")))?;
        Ok(Embedded { history, head: follower, queue, sequencer: Some(sequencer), _lock: lock })
    }

    fn read(&self) -> RwLockReadGuard<'_, History> {
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a request to the sequencer and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (answer, asked) = oneshot::channel();
        match self.queue.push(request(answer)) {
            Pushed::Closed => return Err(StoreError::Unavailable("the store was closed".into())),
            // A sync costs the same for one as for many: whoever is about to write comes along.
            Pushed::First(first) => {
                tokio::task::yield_now().await;
                drop(first);
            }
            Pushed::BehindOthers => {}
        }
        asked.await.unwrap_or_else(|_| Err(StoreError::Unknown("the store stopped before it answered".into())))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(sequencer) = self.sequencer.take() {
            // A panic of that thread has stopped the process.
            let _ = sequencer.join();
        }
    }
}

/// Takes the directory for this process.
fn lock(disk: &Disk) -> Result<File, StoreError> {
    let path = disk.path().join(LOCK);
    let unusable = |error: std::io::Error| StoreError::Unavailable(format!("can't lock {}: {error}", path.display()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(unusable)?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(unusable(error.into()));
        }
        let mut owner = String::new();
        let _ = file.read_to_string(&mut owner);
        return Err(StoreError::Unavailable(format!(
            "the store in {} is in use by process {}; stop it first, or name another directory",
            disk.path().display(),
            owner.trim()
        )));
    }
    let owner = std::process::id();
    // For the message above only: a disk that is full must not keep the store from opening.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{owner}"));
    Ok(file)
}

impl Store for Embedded {
    fn range(
        &self,
        range: Range,
        at: Option<Revision>,
        limit: Option<usize>,
    ) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        async move {
            let found = self.read().range(&range, at, limit)?;
            if !found.is_filed() {
                return found.read();
            }
            let reading = tokio::task::spawn_blocking(|| found.read());
            reading.await.map_err(|error| StoreError::Unavailable(format!("reading history: {error}")))?
        }
        .boxed()
    }

    fn transact(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.ask(move |answer| Request::Transact { txn, answer }).boxed()
    }

    fn watch(&self, range: Range, after: Revision) -> BoxFuture<'_, Result<Watch, StoreError>> {
        async move { follow(&self.history, self.head.clone(), range, after) }.boxed()
    }

    fn current(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { Ok(self.read().current()) }.boxed()
    }

    fn compact(&self, oldest: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |answer| Request::Compact { oldest, answer }).boxed()
    }
}

#[cfg(test)]
mod tests;
