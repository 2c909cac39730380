//! Opens a directory: reads what is there, cuts a torn last batch, and refuses what is damaged.
//!
//! Upstream: etcd's server/storage/wal (ReadAll, Repair) and server/etcdserver/bootstrap.go
//! Left out: repair by guessing. A damaged store is brought back from a backup, knowingly.
//!
//! Each batch is durable before the next is begun. So only the last batch can be torn by a crash, and only when nobody
//! was told of it: a frame that can't be read is cut if no readable one follows and the mark does not name it.
//! Everything else is damage, and nothing is changed then.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::Arc,
};

use super::{
    checkpoint,
    clock::{deadline_ms, milliseconds},
    disk::{Disk, Handle},
    frame::{self, Frame},
    log::{Active, Closed, Log},
    mark::{self, ClusterId, Mark, MarkFile},
    segment,
};
use crate::{
    Revision, StoreError,
    history::{EMPTY, History, Place, Write},
};

/// A store that was read and can be written to.
pub(super) struct Recovered {
    pub(super) history: History,
    pub(super) log: Log,
    pub(super) mark: MarkFile,
    pub(super) cluster: ClusterId,
    pub(super) checkpoint: Option<(checkpoint::Header, u64)>,
}

/// The files of a store, by what their names say.
struct Listing {
    has_mark: bool,
    segments: BTreeSet<u64>,
    checkpoints: BTreeSet<Revision>,
    /// Of a run that ended before they were ready.
    unfinished: Vec<String>,
}

/// The checksums of a cluster's frames start from this.
pub(super) fn seed(cluster: &ClusterId) -> u32 {
    crc32c::crc32c(cluster)
}

/// What a failed operation on the directory means.
pub(super) fn failed(disk: &Disk, error: &io::Error) -> StoreError {
    let text = format!("can't open the store in {}: {error}", disk.path().display());
    if super::disk::is_full(error) { StoreError::NoSpace(text) } else { StoreError::Unavailable(text) }
}

fn damaged(disk: &Disk, name: &str, offset: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!(
        "{} at offset {offset}: {what}. Nothing was changed. Restore the directory from a backup, or move it away to \
         begin with an empty cluster",
        disk.path().join(name).display()
    ))
}

/// Opens the store in the locked directory of `disk`, or makes an empty one there.
///
/// # Errors
/// `Corrupt` names the file, the offset and what to do; otherwise what the disk says.
pub(super) fn recover(
    disk: &Disk,
    now_ms: u64,
    segment_bytes: u64,
    held_bytes: usize,
) -> Result<Recovered, StoreError> {
    let failed = |error: io::Error| failed(disk, &error);
    let listing = list(disk).map_err(failed)?;
    let nothing_yet = listing.segments.is_empty() && listing.checkpoints.is_empty();
    let opened = if listing.has_mark { MarkFile::open(disk).map_err(failed)? } else { None };
    let (mark_file, mark) = match opened {
        Some((_, mark)) if nothing_yet && mark.revision > EMPTY => {
            return Err(damaged(disk, mark::NAME, 0, &format!("the log up to revision {} is missing", mark.revision)));
        }
        Some(opened) if !nothing_yet => opened,
        None if !nothing_yet => {
            return Err(damaged(disk, mark::NAME, 0, "the file that says how far the log went can't be read"));
        }
        // Nothing was ever acknowledged here: an empty directory, or one whose making was cut short.
        _ => return create(disk, segment_bytes, held_bytes).map_err(failed),
    };
    let mut reader = LogReader::begin(disk, mark, &listing, now_ms, held_bytes)?;
    for (index, sequence) in reader.sequences(&listing)?.into_iter().enumerate() {
        reader.read_segment(sequence, index == 0)?;
    }
    let LogReader { history, chain, last, closed, checkpoint, oldest, .. } = &mut reader;
    history.compact(*oldest)?;
    let (chain, last, closed, checkpoint) = (*chain, *last, std::mem::take(closed), *checkpoint);
    let active = reader.finish()?;
    let first = closed.front().map_or(active.header.sequence, |closed| closed.sequence);
    remove_leftovers(disk, &listing, first, checkpoint.map(|(header, _)| header.revision)).map_err(failed)?;
    let log = Log::new(disk.clone(), (chain, last), active, closed, segment_bytes);
    Ok(Recovered { history: reader.history, log, mark: mark_file, cluster: mark.cluster, checkpoint })
}

fn list(disk: &Disk) -> io::Result<Listing> {
    let mut listing =
        Listing { has_mark: false, segments: BTreeSet::new(), checkpoints: BTreeSet::new(), unfinished: Vec::new() };
    for name in disk.names()? {
        let unfinished = name == checkpoint::NEW_NAME
            || name.strip_suffix(".new").is_some_and(|name| segment::sequence(name).is_some());
        if unfinished {
            listing.unfinished.push(name);
        } else if name == mark::NAME {
            listing.has_mark = true;
        } else if let Some(sequence) = segment::sequence(&name) {
            listing.segments.insert(sequence);
        } else if let Some(revision) = checkpoint::revision(&name) {
            listing.checkpoints.insert(revision);
        }
    }
    Ok(listing)
}

/// Makes an empty store. The mark comes first: a log without one is damage.
fn create(disk: &Disk, segment_bytes: u64, held_bytes: usize) -> io::Result<Recovered> {
    let cluster = uuid::Uuid::new_v4().into_bytes();
    let mark = MarkFile::create(disk, Mark { cluster, revision: EMPTY, chain: 0 })?;
    disk.sync_directory()?;
    let active = Log::first_segment(disk, cluster, EMPTY, segment_bytes)?;
    let log = Log::new(disk.clone(), (0, EMPTY), active, VecDeque::new(), segment_bytes);
    Ok(Recovered { history: History::beginning_at(EMPTY, held_bytes), log, mark, cluster, checkpoint: None })
}

/// Removes what a run that was cut short had not finished, or had not finished removing.
fn remove_leftovers(disk: &Disk, listing: &Listing, first: u64, checkpoint: Option<Revision>) -> io::Result<()> {
    for name in &listing.unfinished {
        disk.remove(name)?;
    }
    for sequence in listing.segments.range(..first) {
        disk.remove(&segment::name(*sequence))?;
    }
    for revision in listing.checkpoints.iter().filter(|revision| Some(**revision) != checkpoint) {
        disk.remove(&checkpoint::name(*revision))?;
    }
    Ok(())
}

/// Reads a log from its beginning, segment by segment.
struct LogReader<'a> {
    disk: &'a Disk,
    mark: Mark,
    seed: u32,
    now_ms: u64,
    history: History,
    checkpoint: Option<(checkpoint::Header, u64)>,
    /// The log up to here was read and is whole.
    last: Revision,
    chain: u32,
    oldest: Revision,
    /// Whether the batch that the mark names was met, or lies before what is still kept.
    marked: bool,
    closed: VecDeque<Closed>,
    latest: Option<Segment>,
}

/// The segment that was read last.
struct Segment {
    handle: Handle,
    header: segment::Header,
    bytes: Vec<u8>,
    /// Behind the last whole frame.
    end: usize,
}

impl<'a> LogReader<'a> {
    /// Starts from the latest checkpoint, or from nothing.
    fn begin(
        disk: &'a Disk,
        mark: Mark,
        listing: &Listing,
        now_ms: u64,
        held_bytes: usize,
    ) -> Result<LogReader<'a>, StoreError> {
        let (history, checkpoint) = match listing.checkpoints.last() {
            None => (History::beginning_at(EMPTY, held_bytes), None),
            Some(revision) => {
                let (header, items, length) = read_checkpoint(disk, *revision, &mark.cluster, now_ms)?;
                (History::resuming(header.revision, items, held_bytes), Some((header, length)))
            }
        };
        let (oldest, seed) = (history.oldest(), seed(&mark.cluster));
        Ok(LogReader {
            disk,
            mark,
            seed,
            now_ms,
            history,
            checkpoint,
            last: EMPTY,
            chain: 0,
            oldest,
            marked: false,
            closed: VecDeque::new(),
            latest: None,
        })
    }

    /// The segments to read, in order: from the one that the checkpoint names (or the first), without a gap.
    fn sequences(&self, listing: &Listing) -> Result<Vec<u64>, StoreError> {
        let first = self.checkpoint.map_or(1, |(header, _)| header.sequence);
        let present: Vec<u64> = listing.segments.range(first..).copied().collect();
        for (index, sequence) in present.iter().enumerate() {
            let expected = first + index as u64;
            if *sequence != expected {
                return Err(damaged(self.disk, &segment::name(expected), 0, "this part of the log is missing"));
            }
        }
        if present.is_empty() {
            return Err(damaged(self.disk, &segment::name(first), 0, "this part of the log is missing"));
        }
        Ok(present)
    }

    fn read_segment(&mut self, sequence: u64, is_first: bool) -> Result<(), StoreError> {
        let name = segment::name(sequence);
        let read = || Ok((self.disk.open_file(&name)?, std::fs::read(self.disk.path().join(&name))?));
        let (handle, bytes) = read().map_err(|error| failed(self.disk, &error))?;
        let header = self.check_header(&name, sequence, &bytes)?;
        if is_first {
            self.last = header.before;
            self.chain = header.chain;
            self.marked = self.mark.revision < self.last || self.is_marked();
        } else {
            self.close_latest(&header)?;
        }
        let mut end = segment::HEADER_BYTES as usize;
        while let Some(frame) = frame::decode(self.seed, &bytes[end..]) {
            self.take(&frame, &handle, end as u64)?;
            end += frame.bytes.len();
        }
        self.latest = Some(Segment { handle, header, bytes, end });
        Ok(())
    }

    fn check_header(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<segment::Header, StoreError> {
        let header = match segment::decode(bytes) {
            Ok(header) => header,
            Err(segment::Flaw::Damaged) => return Err(damaged(self.disk, name, 0, "the header is damaged")),
            Err(segment::Flaw::Version(version)) => return Err(other_version(self.disk, name, version)),
        };
        if header.cluster != self.mark.cluster {
            return Err(damaged(self.disk, name, 16, "this file belongs to another store"));
        }
        let fits_the_checkpoint = header.before <= self.history.oldest();
        if header.sequence != sequence || (self.latest.is_none() && !fits_the_checkpoint) {
            return Err(damaged(self.disk, name, 32, "this file is not the part of the log that its name says"));
        }
        Ok(header)
    }

    /// The segment before `next` must end where `next` says that it did.
    fn close_latest(&mut self, next: &segment::Header) -> Result<(), StoreError> {
        let Some(latest) = self.latest.take() else { return Ok(()) };
        if next.before != self.last || next.chain != self.chain {
            let what = format!(
                "damaged, or cut short: the log can be read up to revision {}, but goes on after revision {}",
                self.last, next.before
            );
            return Err(damaged(self.disk, &latest.handle.name, latest.end as u64, &what));
        }
        let length = latest.bytes.len() as u64;
        self.closed.push_back(Closed { sequence: latest.header.sequence, last: self.last, length });
        Ok(())
    }

    fn is_marked(&self) -> bool {
        self.last == self.mark.revision && self.chain == self.mark.chain
    }

    /// Applies a whole frame of the log.
    fn take(&mut self, frame: &Frame<'_>, handle: &Handle, begin: u64) -> Result<(), StoreError> {
        let header = frame.header;
        if header.previous != self.chain || header.first.0 != self.last.0 + 1 {
            return Err(damaged(self.disk, &handle.name, begin, "a batch that does not follow the one before"));
        }
        let Some(transactions) = frame.transactions() else {
            return Err(damaged(self.disk, &handle.name, begin, "a batch that can't be understood"));
        };
        for (index, (changes, values)) in transactions.into_iter().enumerate() {
            if header.first.0 + index as u64 <= self.history.current().0 {
                continue; // The checkpoint has it.
            }
            let writes = changes.into_iter().zip(values).map(|(change, value)| Write {
                key: change.key,
                value: change.value,
                place: value.map(|at| Place {
                    file: handle.file.clone(),
                    offset: begin + at.offset as u64,
                    length: at.length,
                    checksum: at.checksum,
                }),
                expires_ms: change.ttl.map(|ttl| deadline_ms(header.time_ms, milliseconds(ttl), self.now_ms)),
            });
            self.history.apply(writes.collect());
        }
        self.last = header.last();
        self.chain = frame.checksum;
        self.oldest = self.oldest.max(header.oldest.min(self.last));
        self.marked |= self.is_marked();
        Ok(())
    }

    /// Judges what lies behind the last whole frame, cuts a torn batch, and makes the last segment the active one.
    fn finish(&mut self) -> Result<Active, StoreError> {
        let Some(Segment { handle, header, bytes, end }) = self.latest.take() else {
            return Err(damaged(self.disk, "", 0, "the log is missing"));
        };
        let dirty = bytes[end..].iter().rposition(|byte| *byte != 0).map(|index| end + index + 1);
        if let Some((at, later)) = dirty.and_then(|_| frame::find(self.seed, &bytes, end))
            && later.first > self.last
        {
            let what = format!("damaged: revision {} can't be read, but a later batch, at {at}, can", self.last.0 + 1);
            return Err(damaged(self.disk, &handle.name, end as u64, &what));
        }
        let known = self.mark.revision.max(self.history.current());
        if !self.marked || known > self.last {
            let what = format!(
                "the log ends here at revision {}, but revision {known} was acknowledged; its end is damaged or missing",
                self.last
            );
            return Err(damaged(self.disk, &handle.name, end as u64, &what));
        }
        if let Some(dirty) = dirty {
            tracing::warn!(
                file = %self.disk.path().join(&handle.name).display(), offset = end, bytes = dirty - end,
                revision = self.last.0, "the last batch was not written to its end; nobody was told of it; cut"
            );
            segment::fill(self.disk, &handle, end as u64, dirty as u64)
                .and_then(|()| self.disk.sync(&handle))
                .map_err(|error| failed(self.disk, &error))?;
        }
        Ok(Active { handle, header, end: end as u64, capacity: bytes.len() as u64 })
    }
}

fn other_version(disk: &Disk, name: &str, version: u32) -> StoreError {
    StoreError::Corrupt(format!(
        "{} is of format {version}; this skiff reads format {}. Use the skiff that wrote it",
        disk.path().join(name).display(),
        segment::VERSION
    ))
}

type Checkpoint = (checkpoint::Header, Vec<crate::history::Base>, u64);

fn read_checkpoint(
    disk: &Disk,
    revision: Revision,
    cluster: &ClusterId,
    now_ms: u64,
) -> Result<Checkpoint, StoreError> {
    let name = checkpoint::name(revision);
    let refuse = |flaw| match flaw {
        checkpoint::Flaw::Version(version) => other_version(disk, &name, version),
        checkpoint::Flaw::Damaged(offset) => damaged(disk, &name, offset, "the checkpoint is damaged"),
    };
    let read = || Ok((disk.open_file(&name)?, std::fs::read(disk.path().join(&name))?));
    let (handle, bytes) = read().map_err(|error| failed(disk, &error))?;
    let header = checkpoint::read_header(&bytes).map_err(refuse)?;
    if header.cluster != *cluster || header.revision != revision {
        return Err(damaged(disk, &name, 16, "this file belongs to another store or revision"));
    }
    let file: Arc<std::fs::File> = handle.file;
    let items = checkpoint::read_items(&bytes, &header, &file, now_ms).map_err(refuse)?;
    Ok((header, items, bytes.len() as u64))
}
