//! The high-water mark: how far the log was when somebody was last told so.
//!
//! Upstream: none; etcd can't tell a log that lost its end from one that never had it
//! Left out: a sync of its own per batch. The mark is written after the log's sync and before the answers, so it is
//! exact when only the process dies. After a power cut it may lag, never lead.
//!
//! Two slots take turns, each in a page of its own, so that a torn write leaves the other.

use std::{io, os::unix::fs::FileExt};

use super::disk::{Disk, Handle};
use crate::Revision;

pub(super) const NAME: &str = "mark";
const MAGIC: &[u8; 4] = b"SKHM";
const SLOT_BYTES: u64 = 4096;

/// A random number that all files of one store carry.
pub(super) type ClusterId = [u8; 16];

/// What the mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) cluster: ClusterId,
    pub(super) revision: Revision,
    /// The checksum of the frame that ends at `revision`.
    pub(super) chain: u32,
}

/// The open mark file.
pub(super) struct MarkFile {
    handle: Handle,
    cluster: ClusterId,
    /// How often it was written; the slots take turns.
    turn: u64,
}

impl MarkFile {
    /// Makes the file with `mark` in both slots; durable on return, but for its name.
    pub(super) fn create(disk: &Disk, mark: Mark) -> io::Result<MarkFile> {
        let handle = disk.create(NAME)?;
        let mut bytes = vec![0; 2 * SLOT_BYTES as usize];
        for turn in 0..2u64 {
            let slot = encode(&mark, turn);
            bytes[(turn * SLOT_BYTES) as usize..][..slot.len()].copy_from_slice(&slot);
        }
        disk.write(&handle, &bytes, 0)?;
        disk.sync(&handle)?;
        Ok(MarkFile { handle, cluster: mark.cluster, turn: 1 })
    }

    /// Opens the file; the mark is `None` when both slots are damaged.
    pub(super) fn open(disk: &Disk) -> io::Result<Option<(MarkFile, Mark)>> {
        let handle = disk.open_file(NAME)?;
        let mut latest = None;
        for slot in 0..2 {
            let mut bytes = [0; SLOT];
            if handle.file.read_exact_at(&mut bytes, slot * SLOT_BYTES).is_ok()
                && let Some((mark, turn)) = decode(&bytes)
                && latest.is_none_or(|(_, latest)| turn > latest)
            {
                latest = Some((mark, turn));
            }
        }
        Ok(latest.map(|(mark, turn)| (MarkFile { handle, cluster: mark.cluster, turn }, mark)))
    }

    /// Moves the mark; not durable on return.
    pub(super) fn advance(&mut self, disk: &Disk, revision: Revision, chain: u32) -> io::Result<()> {
        self.turn += 1;
        let mark = Mark { cluster: self.cluster, revision, chain };
        disk.write(&self.handle, &encode(&mark, self.turn), (self.turn % 2) * SLOT_BYTES)
    }

    pub(super) fn sync(&self, disk: &Disk) -> io::Result<()> {
        disk.sync(&self.handle)
    }
}

const SLOT: usize = 44;

fn encode(mark: &Mark, turn: u64) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[0..4].copy_from_slice(MAGIC);
    bytes[8..24].copy_from_slice(&mark.cluster);
    bytes[24..32].copy_from_slice(&turn.to_le_bytes());
    bytes[32..40].copy_from_slice(&mark.revision.0.to_le_bytes());
    bytes[40..44].copy_from_slice(&mark.chain.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; SLOT]) -> Option<(Mark, u64)> {
    let mut reader = super::frame::Reader { bytes, at: 0 };
    let magic = reader.take(4)?;
    let checksum = reader.u32()?;
    if magic != MAGIC || checksum != crc32c::crc32c(&bytes[8..]) {
        return None;
    }
    let cluster = reader.take(16)?.try_into().ok()?;
    let turn = reader.u64()?;
    Some((Mark { cluster, revision: Revision(reader.u64()?), chain: reader.u32()? }, turn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_mark_is_read_and_a_damaged_slot_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path(), None).unwrap();
        let mark = |revision| Mark { cluster: [7; 16], revision: Revision(revision), chain: 3 };
        let mut file = MarkFile::create(&disk, mark(1)).unwrap();
        for revision in 2..6 {
            file.advance(&disk, Revision(revision), 3).unwrap();
            assert_eq!(MarkFile::open(&disk).unwrap().unwrap().1, mark(revision));
        }
        let latest = (file.turn % 2) * SLOT_BYTES;
        file.handle.file.write_all_at(b"x", latest + 33).unwrap();
        assert_eq!(MarkFile::open(&disk).unwrap().unwrap().1, mark(4));
        file.handle.file.write_all_at(b"x", (SLOT_BYTES - latest) + 33).unwrap();
        assert!(MarkFile::open(&disk).unwrap().is_none());
    }
}
