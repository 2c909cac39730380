//! The frame: one batch of transactions as it lies in the log. Pure.
//!
//! Upstream: etcd's server/storage/wal (record.proto, encoder.go), whose chained CRC is the model
//! Left out: frames that share a sector can't be damaged apart from each other; the checksum tells, padding would not.
//!
//! Numbers are little endian. A frame is `magic u32, length u32, checksum u32, previous u32, first u64, count u32,
//! time_ms u64, oldest u64`, then `length` bytes: `count` transactions of `changes u32` and for each change
//! `kind u8, key length u32, key`, for a put `value length u32, value`, for a put with a TTL `ttl_ms u64` before that.
//!
//! The checksum covers all but itself and the magic number; it starts from the cluster's own seed, so a frame of
//! another cluster, or one that somebody wrote as a value, is never taken for one of this log. `previous` is the
//! checksum of the frame before: the chain.

use std::time::Duration;

use bytes::Bytes;

use crate::{Key, Revision, transaction::Change};

const MAGIC: u32 = u32::from_le_bytes(*b"SKF1");
pub(super) const HEADER_BYTES: usize = 44;

const DELETE: u8 = 0;
const PUT: u8 = 1;
const PUT_WITH_TTL: u8 = 2;

/// The changes of one transaction.
pub(super) type Transaction = Vec<Change>;

/// What a frame says beside its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) previous: u32,
    /// The revision of the first transaction; the next one's, when there is none.
    pub(super) first: Revision,
    pub(super) count: u32,
    /// When it was written, by the wall clock.
    pub(super) time_ms: u64,
    /// The compaction point.
    pub(super) oldest: Revision,
}

impl Header {
    /// The revision that the log is at after this frame.
    pub(super) fn last(&self) -> Revision {
        Revision(self.first.0 + u64::from(self.count) - 1)
    }
}

/// Where a value lies within its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueAt {
    pub(super) offset: usize,
    pub(super) length: u32,
    pub(super) checksum: u32,
}

/// A frame's bytes, and where in them the values are: one entry per change, `None` for deletes.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) checksum: u32,
    pub(super) values: Vec<Option<ValueAt>>,
}

/// The frame of `transactions`; `header.count` is taken from them.
pub(super) fn encode(seed: u32, header: Header, transactions: &[Transaction]) -> Encoded {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + transactions.iter().map(encoded_bytes).sum::<usize>());
    let mut values = Vec::new();
    bytes.resize(HEADER_BYTES, 0);
    for changes in transactions {
        bytes.extend((changes.len() as u32).to_le_bytes());
        for change in changes {
            values.push(encode_change(&mut bytes, change));
        }
    }
    let length = (bytes.len() - HEADER_BYTES) as u32;
    bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[12..16].copy_from_slice(&header.previous.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.first.0.to_le_bytes());
    bytes[24..28].copy_from_slice(&(transactions.len() as u32).to_le_bytes());
    bytes[28..36].copy_from_slice(&header.time_ms.to_le_bytes());
    bytes[36..44].copy_from_slice(&header.oldest.0.to_le_bytes());
    let checksum = checksum(seed, &bytes);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    Encoded { bytes, checksum, values }
}

fn encode_change(bytes: &mut Vec<u8>, change: &Change) -> Option<ValueAt> {
    let kind = match (&change.value, change.ttl) {
        (None, _) => DELETE,
        (Some(_), None) => PUT,
        (Some(_), Some(_)) => PUT_WITH_TTL,
    };
    bytes.push(kind);
    bytes.extend((change.key.len() as u32).to_le_bytes());
    bytes.extend(&change.key[..]);
    let value = change.value.as_ref()?;
    if let Some(ttl) = change.ttl {
        bytes.extend(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
    }
    bytes.extend((value.len() as u32).to_le_bytes());
    let at = ValueAt { offset: bytes.len(), length: value.len() as u32, checksum: crc32c::crc32c(value) };
    bytes.extend(&value[..]);
    Some(at)
}

/// At least as many bytes as the transaction takes in a frame.
pub(super) fn encoded_bytes(changes: &Transaction) -> usize {
    let change = |change: &Change| 17 + change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
    4 + changes.iter().map(change).sum::<usize>()
}

/// `bytes` is the whole frame; its checksum field is left out.
fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &bytes[4..8]), &bytes[12..])
}

/// A frame found in a log.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    pub(super) checksum: u32,
    /// Header and payload.
    pub(super) bytes: &'a [u8],
}

/// The frame that `bytes` begin with, if there is a whole and undamaged one.
pub(super) fn decode(seed: u32, bytes: &[u8]) -> Option<Frame<'_>> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.u32()? != MAGIC {
        return None;
    }
    let length = reader.u32()? as usize;
    let stored = reader.u32()?;
    let header = Header {
        previous: reader.u32()?,
        first: Revision(reader.u64()?),
        count: reader.u32()?,
        time_ms: reader.u64()?,
        oldest: Revision(reader.u64()?),
    };
    let bytes = bytes.get(..HEADER_BYTES.checked_add(length)?)?;
    (checksum(seed, bytes) == stored).then_some(Frame { header, checksum: stored, bytes })
}

/// The offset at which a whole frame of this cluster begins, at or after `from`.
pub(super) fn find(seed: u32, bytes: &[u8], from: usize) -> Option<(usize, Header)> {
    let magic = MAGIC.to_le_bytes();
    let candidates = bytes.get(from..)?.windows(magic.len()).enumerate().filter(|(_, window)| *window == magic);
    candidates.map(|(index, _)| from + index).find_map(|at| Some((at, decode(seed, &bytes[at..])?.header)))
}

impl Frame<'_> {
    /// The transactions with the places of their values within the frame; `None` when the payload is not what its
    /// header says, which the checksum rules out but for a mistake of ours.
    pub(super) fn transactions(&self) -> Option<Vec<(Transaction, Vec<Option<ValueAt>>)>> {
        let mut reader = Reader { bytes: self.bytes, at: HEADER_BYTES };
        let mut transactions = Vec::with_capacity(self.header.count as usize);
        for _ in 0..self.header.count {
            let count = reader.u32()?;
            let (mut changes, mut values) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let (change, value) = reader.change()?;
                changes.push(change);
                values.push(value);
            }
            transactions.push((changes, values));
        }
        (reader.at == self.bytes.len()).then_some(transactions)
    }
}

/// Takes numbers and byte strings off the front of a slice.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }

    /// A byte string after its length.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// A value after its length, and where it lies.
    pub(super) fn value(&mut self) -> Option<(Bytes, ValueAt)> {
        let value = self.string()?;
        let at = ValueAt { offset: self.at - value.len(), length: value.len() as u32, checksum: crc32c::crc32c(value) };
        Some((Bytes::copy_from_slice(value), at))
    }

    fn change(&mut self) -> Option<(Change, Option<ValueAt>)> {
        let kind = *self.take(1)?.first()?;
        let key = Key::copy_from_slice(self.string()?);
        let ttl = match kind {
            DELETE => return Some((Change { key, value: None, ttl: None }, None)),
            PUT => None,
            PUT_WITH_TTL => Some(Duration::from_millis(self.u64()?)),
            _ => return None,
        };
        let (value, at) = self.value()?;
        Some((Change { key, value: Some(value), ttl }, Some(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 7;

    fn put(key: &'static str, value: &'static str, ttl_ms: Option<u64>) -> Change {
        Change { key: key.into(), value: Some(value.into()), ttl: ttl_ms.map(Duration::from_millis) }
    }

    fn example() -> (Header, Vec<Transaction>, Encoded) {
        let delete = Change { key: "c".into(), value: None, ttl: None };
        let transactions = vec![vec![put("a", "1", None), delete], vec![put("b", "", Some(9))]];
        let header = Header { previous: 3, first: Revision(10), count: 2, time_ms: 5, oldest: Revision(4) };
        let encoded = encode(SEED, header, &transactions);
        (header, transactions, encoded)
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let (header, transactions, encoded) = example();
        let frame = decode(SEED, &encoded.bytes).unwrap();
        assert_eq!((frame.header, frame.checksum), (header, encoded.checksum));
        assert_eq!(frame.header.last(), Revision(11));
        let (read, values): (Vec<_>, Vec<_>) = frame.transactions().unwrap().into_iter().unzip();
        assert_eq!(read, transactions);
        assert_eq!(values.concat(), encoded.values);
        let at = encoded.values[0].unwrap();
        assert_eq!(&encoded.bytes[at.offset..][..at.length as usize], b"1");
    }

    #[test]
    fn no_flipped_bit_and_no_missing_byte_is_overlooked() {
        let (_, _, encoded) = example();
        for bit in 0..encoded.bytes.len() * 8 {
            let mut damaged = encoded.bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(SEED, &damaged).is_none(), "bit {bit}");
        }
        for length in 0..encoded.bytes.len() {
            assert!(decode(SEED, &encoded.bytes[..length]).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_of_another_cluster_is_none_of_ours() {
        let (_, _, encoded) = example();
        assert!(decode(SEED + 1, &encoded.bytes).is_none());
    }

    #[test]
    fn a_frame_is_found_behind_garbage() {
        let (header, _, encoded) = example();
        let bytes = [b"SKF1 garbage".as_slice(), &encoded.bytes, b"more"].concat();
        assert_eq!(find(SEED, &bytes, 0), Some((12, header)));
        assert_eq!(find(SEED, &bytes, 13), None);
    }
}
