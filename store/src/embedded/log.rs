//! The log that is written to: frames go to the end of the last segment, and a full segment is followed by another.
//!
//! Upstream: etcd's server/storage/wal (wal.go: Save, cut)
//! Left out: nothing.

use std::{collections::VecDeque, fs::File, io, sync::Arc, thread::JoinHandle};

use super::{
    disk::{Disk, Handle},
    mark::ClusterId,
    segment,
};
use crate::Revision;

/// The size of the first segment; each is twice the one before, up to the limit. So an empty store is made quickly.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// The most of a segment that is kept for deletes when the disk is full.
const RESERVE_BYTES: u64 = 1 << 20;

/// A segment that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) sequence: u64,
    /// The revision of its last frame.
    pub(super) last: Revision,
    pub(super) length: u64,
}

/// The segment that frames are added to.
pub(super) struct Active {
    pub(super) handle: Handle,
    pub(super) header: segment::Header,
    /// Where the next frame goes.
    pub(super) end: u64,
    pub(super) capacity: u64,
}

/// Which part of a segment a frame may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// All but the reserve; a new segment is begun when that is not enough.
    Ordinary,
    /// What is left of this segment, the reserve too.
    Reserve,
}

/// The log's end.
pub(super) struct Log {
    disk: Disk,
    cluster: ClusterId,
    /// The checksum of the last frame, which the next one carries.
    pub(super) chain: u32,
    pub(super) last: Revision,
    active: Active,
    /// Oldest first.
    closed: VecDeque<Closed>,
    segment_bytes: u64,
    /// The next segment, while it is being filled with zeros.
    prepared: Option<(u64, JoinHandle<io::Result<Handle>>)>,
}

impl Log {
    pub(super) fn new(
        disk: Disk,
        (chain, last): (u32, Revision),
        active: Active,
        closed: VecDeque<Closed>,
        segment_bytes: u64,
    ) -> Log {
        Log { disk, cluster: active.header.cluster, chain, last, active, closed, segment_bytes, prepared: None }
    }

    /// The first segment of a new store; durable on return.
    pub(super) fn first_segment(
        disk: &Disk,
        cluster: ClusterId,
        before: Revision,
        segment_bytes: u64,
    ) -> io::Result<Active> {
        let header = segment::Header { cluster, sequence: 1, before, chain: 0 };
        let capacity = FIRST_SEGMENT_BYTES.min(segment_bytes);
        let mut handle = segment::prepare(disk, 1, capacity)?;
        segment::begin(disk, &mut handle, &header)?;
        Ok(Active { handle, header, end: segment::HEADER_BYTES, capacity })
    }

    /// Adds a frame whose last revision is `last`; durable on return. The file and offset that it lies at.
    ///
    /// # Errors
    /// When the disk is full, the log is as it was. After any other error nobody knows what is on disk.
    pub(super) fn append(
        &mut self,
        frame: &[u8],
        checksum: u32,
        last: Revision,
        room: Room,
    ) -> io::Result<(Arc<File>, u64)> {
        let length = frame.len() as u64;
        match room {
            Room::Ordinary => {
                if self.active.end + length + self.reserve() > self.active.capacity {
                    self.roll(length)?;
                }
            }
            Room::Reserve => {
                if self.active.end + length > self.active.capacity {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
        }
        let offset = self.active.end;
        self.disk.write(&self.active.handle, frame, offset)?;
        self.disk.sync(&self.active.handle)?;
        self.active.end += length;
        self.chain = checksum;
        self.last = last;
        if self.active.end > self.active.capacity / 2 && self.prepared.is_none() {
            self.prepare(0);
        }
        Ok((self.active.handle.file.clone(), offset))
    }

    /// The most that a frame of deletes can take when the disk is full.
    fn reserve(&self) -> u64 {
        RESERVE_BYTES.min(self.active.capacity / 4)
    }

    /// Whether an ordinary frame fits without a new segment.
    pub(super) fn has_room(&self) -> bool {
        self.active.end + self.reserve() < self.active.capacity
    }

    /// Begins a segment with room for a frame of `length` bytes.
    fn roll(&mut self, length: u64) -> io::Result<()> {
        let used = segment::HEADER_BYTES + length;
        // With its reserve, which is at most a quarter.
        let needed = (used + RESERVE_BYTES).min(used * 4 / 3 + 1);
        if self.prepared.as_ref().is_some_and(|(capacity, _)| *capacity < needed) {
            self.drop_prepared()?;
        }
        let (capacity, thread) = match self.prepared.take() {
            Some(prepared) => prepared,
            None => {
                self.prepare(needed);
                self.prepared.take().expect("it was just begun")
            }
        };
        let mut handle = thread.join().map_err(|_| io::Error::other("preparing a segment panicked"))??;
        let sequence = self.active.header.sequence + 1;
        let header = segment::Header { cluster: self.cluster, sequence, before: self.last, chain: self.chain };
        if let Err(error) = segment::begin(&self.disk, &mut handle, &header) {
            if super::disk::is_full(&error) && handle.name == segment::new_name(sequence) {
                self.disk.remove(&handle.name)?;
            }
            return Err(error);
        }
        let length = self.active.capacity;
        self.closed.push_back(Closed { sequence: sequence - 1, last: self.last, length });
        self.active = Active { handle, header, end: segment::HEADER_BYTES, capacity };
        Ok(())
    }

    /// Has the next segment, of at least `needed` bytes, filled with zeros in the background.
    fn prepare(&mut self, needed: u64) {
        let (disk, sequence) = (self.disk.clone(), self.active.header.sequence + 1);
        let capacity = (self.active.capacity * 2).min(self.segment_bytes).max(needed);
        let thread = std::thread::spawn(move || segment::prepare(&disk, sequence, capacity));
        self.prepared = Some((capacity, thread));
    }

    fn drop_prepared(&mut self) -> io::Result<()> {
        if let Some((_, thread)) = self.prepared.take()
            && let Ok(Ok(handle)) = thread.join()
        {
            self.disk.remove(&handle.name)?;
        }
        Ok(())
    }

    /// How many bytes of segments hold only revisions up to `oldest`.
    pub(super) fn bytes_before(&self, oldest: Revision) -> u64 {
        self.closed.iter().take_while(|closed| closed.last <= oldest).map(|closed| closed.length).sum()
    }

    /// The first segment that holds a revision after `oldest`.
    pub(super) fn first_after(&self, oldest: Revision) -> u64 {
        let closed = self.closed.iter().find(|closed| closed.last > oldest);
        closed.map_or(self.active.header.sequence, |closed| closed.sequence)
    }

    /// Removes the segments before `sequence`, which a durable checkpoint stands in for.
    pub(super) fn remove_before(&mut self, sequence: u64) -> io::Result<()> {
        while let Some(closed) = self.closed.front().filter(|closed| closed.sequence < sequence) {
            self.disk.remove(&segment::name(closed.sequence))?;
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Waits for the background and leaves the directory to who opens it next.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.drop_prepared()
    }
}
