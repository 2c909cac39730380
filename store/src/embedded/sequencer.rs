//! The one thread that puts transactions in order: a batch is decided, written, synced, published and answered.
//!
//! Upstream: etcd's raft loop and apply loop (server/etcdserver/raft.go)
//! Left out: deciding the next batch while this one is being synced.
//!
//! Nobody sees a revision before it is durable, a refused writer neither: a refusal may rest on a batch-mate. After a
//! failed write or sync nobody knows what is on disk, so the process stops; opening finds out.

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    checkpoint,
    clock::{Clock, milliseconds},
    disk::{Disk, Operation, is_full},
    frame::{self, Encoded},
    log::{Log, Room},
    mark::{ClusterId, MarkFile},
    queue::{Queue, Request},
    recover::{Recovered, seed},
    stage::{Accept, Stage},
};
use crate::{
    Key, Revision, StoreError,
    history::{History, Place, Write},
};

/// The most keys whose TTL ends in one batch.
const EXPIRED_KEYS: usize = 1024;
/// How long ends of TTLs wait when there was no room to write them.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Sequencer {
    disk: Disk,
    queue: Arc<Queue>,
    history: Arc<RwLock<History>>,
    head: watch::Sender<Revision>,
    clock: Clock,
    log: Log,
    mark: MarkFile,
    cluster: ClusterId,
    segment_bytes: u64,
    /// The newest checkpoint and its size.
    checkpoint: Option<(checkpoint::Header, u64)>,
    checkpointing: Option<JoinHandle<()>>,
    /// The compaction point at the last attempt to write one.
    attempted: Revision,
    closing: Arc<AtomicBool>,
    /// Since when nothing fits on the disk.
    full_since: Option<Instant>,
}

/// What a batch comes to.
struct Batch {
    transactions: Vec<frame::Transaction>,
    /// The new compaction point, if there is one.
    compaction: Option<Revision>,
    /// In the order of the requests.
    outcomes: Vec<Result<Revision, StoreError>>,
}

/// A write or a sync failed, or the sequencer has a mistake: what is on disk must be looked at anew.
fn stop(disk: &Disk, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(directory = %disk.path().display(), %error, "the store can't go on; stopping the process");
    eprintln!("the store in {} can't go on: {error}; stopping", disk.path().display());
    std::process::abort();
}

/// Stops the process when the thread panics: others must not go on with what it left.
struct StopOnPanic;

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Sequencer {
    pub(super) fn new(
        disk: Disk,
        recovered: Recovered,
        (history, head): (Arc<RwLock<History>>, watch::Sender<Revision>),
        queue: Arc<Queue>,
        clock: Clock,
        segment_bytes: u64,
    ) -> Sequencer {
        let Recovered { log, mark, cluster, checkpoint, .. } = recovered;
        Sequencer {
            disk,
            queue,
            history,
            head,
            clock,
            log,
            mark,
            cluster,
            segment_bytes,
            checkpoint,
            checkpointing: None,
            attempted: Revision(0),
            closing: Arc::new(AtomicBool::new(false)),
            full_since: None,
        }
    }

    /// Serves the queue until it is closed.
    pub(super) fn run(mut self) {
        let _stop = StopOnPanic;
        while let Some(requests) = self.queue.take(self.wait()) {
            self.serve(requests);
            self.checkpoint_if_worth_it();
        }
        self.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.checkpointing.take()
            && thread.join().is_err()
        {
            stop(&self.disk, &"writing a checkpoint panicked");
        }
        if let Err(error) = self.mark.sync(&self.disk).and_then(|()| self.log.close()) {
            stop(&self.disk, &error);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, History> {
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, History> {
        self.history.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long there is nothing to do by itself.
    fn wait(&self) -> Option<Duration> {
        let deadline_ms = self.read().next_deadline_ms()?;
        let until = Duration::from_millis(deadline_ms.saturating_sub(self.clock.now_ms()));
        Some(if self.is_pausing() { until.max(FULL_DISK_PAUSE) } else { until })
    }

    /// Whether the disk was full a moment ago, so that ends of TTLs need not be tried again yet.
    fn is_pausing(&self) -> bool {
        self.full_since.is_some_and(|since| since.elapsed() < FULL_DISK_PAUSE)
    }

    fn serve(&mut self, requests: Vec<Request>) {
        let (requests, checkpointed): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| !matches!(request, Request::Checkpointed(_)));
        for request in checkpointed {
            if let Request::Checkpointed(result) = request {
                self.checkpointed(result);
            }
        }
        let expired = self.expired();
        for accept in [Accept::All, Accept::Deletes, Accept::Nothing] {
            let batch = self.decide(&requests, &expired, accept);
            match self.commit(&batch, accept) {
                Ok(()) => {
                    self.note_room(accept);
                    return self.answer(requests, batch.outcomes);
                }
                Err(error) if is_full(&error) => {}
                Err(error) => stop(&self.disk, &error),
            }
        }
    }

    /// The keys whose TTL is over.
    fn expired(&self) -> Vec<Key> {
        if self.is_pausing() {
            return Vec::new();
        }
        let mut expired = self.read().expired(self.clock.now_ms());
        expired.truncate(EXPIRED_KEYS);
        expired
    }

    fn decide(&self, requests: &[Request], expired: &[Key], accept: Accept) -> Batch {
        let history = self.read();
        let mut stage = Stage::new(&history, accept);
        for key in expired {
            stage.expire(key.clone());
        }
        let mut compaction = None;
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            outcomes.push(match request {
                Request::Transact { txn, .. } => stage.transact(txn),
                Request::Compact { oldest, .. } if *oldest > stage.current() => {
                    Err(StoreError::Future { requested: *oldest, current: stage.current() })
                }
                Request::Compact { oldest, .. } => {
                    compaction = compaction.max(Some(*oldest).filter(|oldest| *oldest > history.oldest()));
                    Ok(*oldest)
                }
                Request::Checkpointed(_) => Ok(stage.current()),
            });
        }
        Batch { transactions: stage.transactions, compaction, outcomes }
    }

    /// Makes a batch durable and visible.
    ///
    /// # Errors
    /// A full disk: then nothing was changed. Any other error: nobody knows.
    fn commit(&mut self, batch: &Batch, accept: Accept) -> std::io::Result<()> {
        if batch.transactions.is_empty() && batch.compaction.is_none() {
            return Ok(());
        }
        let room = match accept {
            Accept::All => Room::Ordinary,
            Accept::Deletes => Room::Reserve,
            // A checkpoint will carry the compaction point.
            Accept::Nothing => return self.publish(batch, Vec::new()),
        };
        let oldest = batch.compaction.unwrap_or_else(|| self.read().oldest());
        let header = frame::Header {
            previous: self.log.chain,
            first: Revision(self.log.last.0 + 1),
            count: batch.transactions.len() as u32,
            time_ms: self.clock.now_ms(),
            oldest,
        };
        let Encoded { bytes, checksum, values } = frame::encode(seed(&self.cluster), header, &batch.transactions);
        let (file, offset) = self.log.append(&bytes, checksum, header.last(), room)?;
        if let Err(error) = self.mark.advance(&self.disk, header.last(), checksum) {
            stop(&self.disk, &error);
        }
        let place = |at: frame::ValueAt| Place {
            file: file.clone(),
            offset: offset + at.offset as u64,
            length: at.length,
            checksum: at.checksum,
        };
        self.publish(batch, values.into_iter().map(|value| value.map(place)).collect())
    }

    /// Shows a durable batch to readers and watches; `places` has one entry per change.
    fn publish(&mut self, batch: &Batch, places: Vec<Option<Place>>) -> std::io::Result<()> {
        self.disk.announce(&Operation::Publish { revision: self.log.last })?;
        let now_ms = self.clock.now_ms();
        let mut places = places.into_iter();
        let mut history = self.write();
        for changes in &batch.transactions {
            let writes = changes.iter().zip(places.by_ref()).map(|(change, place)| Write {
                key: change.key.clone(),
                value: change.value.clone(),
                place,
                // Rounded up, so that no key goes early.
                expires_ms: change.ttl.map(|ttl| now_ms.saturating_add(milliseconds(ttl)).saturating_add(1)),
            });
            let writes = writes.collect();
            history.apply(writes);
        }
        if let Some(oldest) = batch.compaction
            && let Err(error) = history.compact(oldest)
        {
            stop(&self.disk, &error);
        }
        let current = history.current();
        drop(history);
        self.head.send_replace(current);
        Ok(())
    }

    fn answer(&self, requests: Vec<Request>, outcomes: Vec<Result<Revision, StoreError>>) {
        if let Err(error) = self.disk.announce(&Operation::Answer { revision: self.log.last }) {
            stop(&self.disk, &error);
        }
        for (request, outcome) in requests.into_iter().zip(outcomes) {
            // Who asked may have gone; what was asked is done all the same.
            match request {
                Request::Transact { answer, .. } => drop(answer.send(outcome)),
                Request::Compact { answer, .. } => drop(answer.send(outcome.map(|_| ()))),
                Request::Checkpointed(_) => {}
            }
        }
    }

    /// Says so when the disk gets full, and when it has room again.
    fn note_room(&mut self, accept: Accept) {
        let directory = self.disk.path().display();
        match (accept, self.full_since) {
            (Accept::All, None) => {}
            (Accept::All, Some(_)) => {
                // An empty batch needs no room: only a write shows that there is some.
                if self.log.has_room() {
                    tracing::info!(%directory, "there is room on the store's disk again");
                    self.full_since = None;
                }
            }
            (_, Some(_)) => self.full_since = Some(Instant::now()),
            (_, None) => {
                tracing::error!(%directory, "the store's disk is full: only deletes are accepted until there is room");
                self.full_since = Some(Instant::now());
            }
        }
    }

    /// Begins a checkpoint when it frees as much as it costs.
    fn checkpoint_if_worth_it(&mut self) {
        let oldest = self.read().oldest();
        if self.checkpointing.is_some() || oldest <= self.attempted {
            return;
        }
        let freed = self.log.bytes_before(oldest);
        let cost = self.checkpoint.map_or(0, |(_, length)| length / 2);
        let worth = if self.full_since.is_some() { 1 } else { cost.max(self.segment_bytes) };
        if freed < worth {
            return;
        }
        self.attempted = oldest;
        let now_ms = self.clock.now_ms();
        let header = checkpoint::Header {
            cluster: self.cluster,
            revision: oldest,
            sequence: self.log.first_after(oldest),
            time_ms: now_ms,
        };
        let (disk, history) = (self.disk.clone(), self.history.clone());
        let (closing, queue) = (self.closing.clone(), self.queue.clone());
        self.checkpointing = Some(std::thread::spawn(move || {
            let _stop = StopOnPanic;
            let result = checkpoint::write(&disk, header, &history, &closing, now_ms);
            // After the queue was closed nobody needs to know: opening finds it.
            drop(queue.push(Request::Checkpointed(result)));
        }));
    }

    /// Removes what a checkpoint stands in for.
    fn checkpointed(&mut self, result: Result<checkpoint::Written, checkpoint::Failure>) {
        self.checkpointing = None;
        let written = match result {
            Ok(written) => written,
            Err(checkpoint::Failure::NotWanted) => return,
            Err(checkpoint::Failure::Disk(error)) if is_full(&error) => {
                tracing::warn!(%error, "there is no room for a checkpoint; the next compaction tries again");
                return;
            }
            Err(failure) => stop(&self.disk, &failure),
        };
        if let Err(error) = self.remove_before(&written) {
            stop(&self.disk, &error);
        }
        tracing::debug!(revision = written.header.revision.0, bytes = written.length, "checkpoint written");
        self.checkpoint = Some((written.header, written.length));
    }

    fn remove_before(&mut self, written: &checkpoint::Written) -> std::io::Result<()> {
        // The mark must not lag behind what is kept.
        self.mark.sync(&self.disk)?;
        self.log.remove_before(written.header.sequence)?;
        if let Some((old, _)) = self.checkpoint {
            self.disk.remove(&checkpoint::name(old.revision))?;
        }
        Ok(())
    }
}
