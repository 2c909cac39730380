//! One file of the log: a header, frames, zeros up to its full size.
//!
//! Upstream: etcd's server/storage/wal (wal.go, file_pipeline.go)
//! Left out: reusing old files; a new one is filled with zeros ahead of time.
//!
//! The size never changes while frames are added, so a sync has no metadata to write.

use std::io;

use super::{
    disk::{Disk, Handle},
    frame::Reader,
    mark::ClusterId,
};
use crate::Revision;

/// What the files of this version begin with; another number is another format.
pub(super) const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"SKIFFLOG";
pub(super) const HEADER_BYTES: u64 = 64;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) cluster: ClusterId,
    /// Counts the segments of a store from 1.
    pub(super) sequence: u64,
    /// The revision that the log was at before it.
    pub(super) before: Revision,
    /// The checksum of the last frame before it; 0 for the first.
    pub(super) chain: u32,
}

/// Why a header can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Damaged,
    Version(u32),
}

/// The file name of a segment.
pub(super) fn name(sequence: u64) -> String {
    format!("log-{sequence:08}")
}

/// The sequence number that a file name stands for.
pub(super) fn sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

pub(super) fn encode(header: &Header) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&header.cluster);
    bytes[32..40].copy_from_slice(&header.sequence.to_le_bytes());
    bytes[40..48].copy_from_slice(&header.before.0.to_le_bytes());
    bytes[48..52].copy_from_slice(&header.chain.to_le_bytes());
    let checksum = checksum(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Header, Flaw> {
    let bytes = bytes.get(..HEADER_BYTES as usize).ok_or(Flaw::Damaged)?;
    let mut reader = Reader { bytes, at: 0 };
    let mut read = || {
        let magic = reader.take(8)?;
        let version = reader.u32()?;
        let stored = reader.u32()?;
        let cluster = reader.take(16)?.try_into().ok()?;
        let header = Header { cluster, sequence: reader.u64()?, before: Revision(reader.u64()?), chain: reader.u32()? };
        (magic == MAGIC && stored == checksum(bytes)).then_some((version, header))
    };
    match read() {
        Some((VERSION, header)) => Ok(header),
        Some((version, _)) => Err(Flaw::Version(version)),
        None => Err(Flaw::Damaged),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Writes zeros from `from` up to `to`.
pub(super) fn fill(disk: &Disk, handle: &Handle, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let length = (to - at).min(ZEROS.len() as u64);
        disk.write(handle, &ZEROS[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

/// The name that a segment has until its header is durable. One that is left over was never used.
pub(super) fn new_name(sequence: u64) -> String {
    format!("{}.new", name(sequence))
}

/// A file full of zeros, durable but for its name, for the segment `sequence`.
///
/// # Errors
/// The disk's; then the file is gone again, so that a full disk is not kept full.
pub(super) fn prepare(disk: &Disk, sequence: u64, capacity: u64) -> io::Result<Handle> {
    let name = new_name(sequence);
    let handle = disk.create(&name)?;
    let filled = fill(disk, &handle, 0, capacity).and_then(|()| disk.sync(&handle));
    if let Err(error) = filled {
        disk.remove(&name)?;
        return Err(error);
    }
    Ok(handle)
}

/// Gives a prepared file its header and its name; durable on return.
pub(super) fn begin(disk: &Disk, handle: &mut Handle, header: &Header) -> io::Result<()> {
    disk.write(handle, &encode(header), 0)?;
    disk.sync(handle)?;
    disk.rename(handle, &name(header.sequence))?;
    disk.sync_directory()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_any_flipped_bit_is_seen() {
        let header = Header { cluster: [9; 16], sequence: 3, before: Revision(17), chain: 5 };
        let bytes = encode(&header);
        assert_eq!(decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), Err(Flaw::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_named_not_called_damage() {
        let mut bytes = encode(&Header { cluster: [9; 16], sequence: 3, before: Revision(17), chain: 5 });
        bytes[8] = 2;
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(decode(&bytes), Err(Flaw::Version(2)));
    }

    #[test]
    fn names_and_numbers_belong_together() {
        assert_eq!(sequence(&name(12)), Some(12));
        for other in ["log-", "log-1.new", "mark", "log-+1"] {
            assert_eq!(sequence(other), None, "{other}");
        }
    }
}
