//! The checkpoint: the state at one revision, which stands in for the segments before it.
//!
//! Upstream: etcd's server/etcdserver/api/snap and mvcc's compaction
//! Left out: checkpoints that build on each other.
//!
//! `magic, version u32, checksum u32, cluster, revision u64, sequence u64, time_ms u64`, then chunks of
//! `magic u32, length u32, checksum u32` and `length` bytes of items: `key length u32, key, modified u64, ttl_ms u64,
//! value length u32, value`. The last chunk has no items; each checksum starts from the one before. It is written under
//! another name and renamed when it is durable, so what has its name is whole, or was damaged later.

use std::{
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    disk::{Disk, Handle},
    frame::{Reader, ValueAt},
    mark::ClusterId,
    segment::VERSION,
};
use crate::{
    Key, Revision, StoreError,
    history::{Base, History, Place},
};

const MAGIC: &[u8; 8] = b"SKIFFCHK";
const HEADER_BYTES: usize = 56;
const CHUNK_MAGIC: u32 = u32::from_le_bytes(*b"SKC1");
const CHUNK_HEADER_BYTES: usize = 12;
/// Keys read under one lock, and written as one chunk.
const CHUNK_KEYS: usize = 512;
const NO_TTL: u64 = u64::MAX;
pub(super) const NEW_NAME: &str = "checkpoint.new";

/// What a checkpoint says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) cluster: ClusterId,
    pub(super) revision: Revision,
    /// The segment that goes on from it: the first with a later revision.
    pub(super) sequence: u64,
    pub(super) time_ms: u64,
}

pub(super) fn name(revision: Revision) -> String {
    format!("checkpoint-{:020}", revision.0)
}

/// The revision that a file name stands for.
pub(super) fn revision(name: &str) -> Option<Revision> {
    let digits = name.strip_prefix("checkpoint-")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Revision))?
}

/// Why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The store was closed, or compacted further, meanwhile: nothing is wrong.
    #[error("it is no longer wanted")]
    NotWanted,
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A checkpoint on disk.
pub(super) struct Written {
    pub(super) header: Header,
    pub(super) length: u64,
}

/// Writes the state at `header.revision`, the compaction point; durable on return. Then the history's values of that
/// revision are looked for here, no longer in the segments.
///
/// # Errors
/// `NotWanted` when `stop` was set or the compaction point moved on. An unfinished file is removed.
pub(super) fn write(
    disk: &Disk,
    header: Header,
    history: &RwLock<History>,
    stop: &AtomicBool,
    now_ms: u64,
) -> Result<Written, Failure> {
    let mut handle = disk.create(NEW_NAME)?;
    let written = write_items(disk, &handle, header, history, stop, now_ms);
    let (length, places) = match written {
        Ok(written) => written,
        Err(failure) => {
            disk.remove(NEW_NAME)?;
            return Err(failure);
        }
    };
    disk.sync(&handle)?;
    disk.rename(&mut handle, &name(header.revision))?;
    disk.sync_directory()?;
    for chunk in places.chunks(CHUNK_KEYS) {
        history.write().unwrap_or_else(PoisonError::into_inner).relocate(chunk);
    }
    Ok(Written { header, length })
}

type Relocated = (Key, Revision, Place);

fn write_items(
    disk: &Disk,
    handle: &Handle,
    header: Header,
    history: &RwLock<History>,
    stop: &AtomicBool,
    now_ms: u64,
) -> Result<(u64, Vec<Relocated>), Failure> {
    let encoded = encode_header(&header);
    let mut chain = crc32c::crc32c(&encoded);
    disk.write(handle, &encoded, 0)?;
    let mut end = HEADER_BYTES as u64;
    let mut places = Vec::new();
    let mut after: Option<Key> = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::NotWanted);
        }
        let items = {
            let history = history.read().unwrap_or_else(PoisonError::into_inner);
            if history.oldest() > header.revision {
                return Err(Failure::NotWanted);
            }
            history.state_at(header.revision, after.as_ref(), CHUNK_KEYS)
        };
        let mut chunk = vec![0; CHUNK_HEADER_BYTES];
        let done = items.is_empty();
        for item in items {
            let value = item.value.read()?;
            let ttl_ms = item.expires_ms.map_or(NO_TTL, |deadline| deadline.saturating_sub(now_ms));
            chunk.extend((item.key.len() as u32).to_le_bytes());
            chunk.extend(&item.key[..]);
            chunk.extend(item.modified.0.to_le_bytes());
            chunk.extend(ttl_ms.to_le_bytes());
            chunk.extend((value.len() as u32).to_le_bytes());
            let (offset, length) = (end + chunk.len() as u64, value.len() as u32);
            let checksum = crc32c::crc32c(&value);
            places.push((
                item.key.clone(),
                item.modified,
                Place { file: handle.file.clone(), offset, length, checksum },
            ));
            chunk.extend(&value[..]);
            after = Some(item.key);
        }
        chain = seal(&mut chunk, chain);
        disk.write(handle, &chunk, end)?;
        end += chunk.len() as u64;
        if done {
            return Ok((end, places));
        }
    }
}

fn encode_header(header: &Header) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&header.cluster);
    bytes[32..40].copy_from_slice(&header.revision.0.to_le_bytes());
    bytes[40..48].copy_from_slice(&header.sequence.to_le_bytes());
    bytes[48..56].copy_from_slice(&header.time_ms.to_le_bytes());
    let checksum = header_checksum(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn header_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..HEADER_BYTES])
}

/// Fills in a chunk's header; its checksum is returned.
fn seal(chunk: &mut [u8], chain: u32) -> u32 {
    let length = (chunk.len() - CHUNK_HEADER_BYTES) as u32;
    chunk[0..4].copy_from_slice(&CHUNK_MAGIC.to_le_bytes());
    chunk[4..8].copy_from_slice(&length.to_le_bytes());
    let checksum = chunk_checksum(chain, length, &chunk[CHUNK_HEADER_BYTES..]);
    chunk[8..12].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

fn chunk_checksum(chain: u32, length: u32, items: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &length.to_le_bytes()), items)
}

/// Why a checkpoint can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Version(u32),
    /// At this offset.
    Damaged(u64),
}

/// A checkpoint's header.
pub(super) fn read_header(bytes: &[u8]) -> Result<Header, Flaw> {
    let mut reader = Reader { bytes, at: 0 };
    let mut read = || {
        let magic = reader.take(8)?;
        let version = reader.u32()?;
        let stored = reader.u32()?;
        let cluster = reader.take(16)?.try_into().ok()?;
        let revision = Revision(reader.u64()?);
        let header = Header { cluster, revision, sequence: reader.u64()?, time_ms: reader.u64()? };
        (magic == MAGIC && stored == header_checksum(bytes)).then_some((version, header))
    };
    match read() {
        Some((VERSION, header)) => Ok(header),
        Some((version, _)) => Err(Flaw::Version(version)),
        None => Err(Flaw::Damaged(0)),
    }
}

/// The items of a checkpoint that lies in `file`. Their deadlines are by a clock that shows `now_ms`, and never later
/// than the TTL that was left allows.
pub(super) fn read_items(
    bytes: &[u8],
    header: &Header,
    file: &Arc<std::fs::File>,
    now_ms: u64,
) -> Result<Vec<Base>, Flaw> {
    let mut chain = crc32c::crc32c(&bytes[..HEADER_BYTES]);
    let mut reader = Reader { bytes, at: HEADER_BYTES };
    let mut items = Vec::new();
    loop {
        let begin = reader.at as u64;
        let (length, checksum) = read_chunk(&mut reader, chain).ok_or(Flaw::Damaged(begin))?;
        chain = checksum;
        if length == 0 {
            break;
        }
        let end = reader.at;
        reader.at -= length;
        while reader.at < end {
            items.push(read_item(&mut reader, header, file, now_ms).ok_or(Flaw::Damaged(begin))?);
        }
    }
    if reader.at < bytes.len() { Err(Flaw::Damaged(reader.at as u64)) } else { Ok(items) }
}

/// Checks the chunk that begins here and moves behind it; its length without header, and its checksum.
fn read_chunk(reader: &mut Reader<'_>, chain: u32) -> Option<(usize, u32)> {
    let magic = reader.u32()?;
    let length = reader.u32()?;
    let stored = reader.u32()?;
    let items = reader.take(length as usize)?;
    (magic == CHUNK_MAGIC && stored == chunk_checksum(chain, length, items)).then_some((items.len(), stored))
}

fn read_item(reader: &mut Reader<'_>, header: &Header, file: &Arc<std::fs::File>, now_ms: u64) -> Option<Base> {
    let key = Key::copy_from_slice(reader.string()?);
    let modified = Revision(reader.u64()?);
    let ttl_ms = reader.u64()?;
    let (value, ValueAt { offset, length, checksum }) = reader.value()?;
    let expires_ms = (ttl_ms != NO_TTL).then(|| super::clock::deadline_ms(header.time_ms, ttl_ms, now_ms));
    let place = Place { file: file.clone(), offset: offset as u64, length, checksum };
    Some(Base { key, modified, value, place, expires_ms })
}
