//! The wire format: field numbers, and payloads of four kinds.
//!
//! Upstream: protobuf.dev/programming-guides/encoding, and the errors of gogo/protobuf
//! Left out: groups.

use crate::schema::Value as Kind;

/// Walks over the fields of a message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

const UNEXPECTED_END: &str = "unexpected EOF";

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    /// The next field's number and payload; none at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Payload<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (number, wire_type) = (key >> 3, key & 7);
        if number == 0 || number > u64::from(u32::MAX >> 3) {
            return Err(format!("proto: illegal tag {number} (wire type {wire_type})"));
        }
        let payload = match wire_type {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?);
                Payload::Bytes(self.take(length.map_err(|_| UNEXPECTED_END.to_owned())?)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(format!("proto: illegal wireType {other}")),
        };
        Ok(Some((number, payload)))
    }

    /// The next of several scalars in a row; none at the end.
    pub(super) fn packed(&mut self, kind: Kind) -> Result<Option<Payload<'a>>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        Ok(Some(match kind {
            Kind::Double => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            _ => Payload::Varint(self.varint()?),
        }))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(UNEXPECTED_END)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(UNEXPECTED_END)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(UNEXPECTED_END)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Whether a list of these may come as one run of bytes.
pub(super) fn is_packable(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double)
}

impl<'a> Payload<'a> {
    pub(super) fn bytes(self, field: &str) -> Result<&'a [u8], String> {
        match self {
            Payload::Bytes(bytes) => Ok(bytes),
            other => Err(other.wrong(field)),
        }
    }

    pub(super) fn varint(self, field: &str) -> Result<u64, String> {
        match self {
            Payload::Varint(value) => Ok(value),
            other => Err(other.wrong(field)),
        }
    }

    pub(super) fn fixed64(self, field: &str) -> Result<u64, String> {
        match self {
            Payload::Fixed64(value) => Ok(value),
            other => Err(other.wrong(field)),
        }
    }

    fn wrong(self, field: &str) -> String {
        let wire_type = match self {
            Payload::Varint(_) => 0,
            Payload::Fixed64(_) => 1,
            Payload::Bytes(_) => 2,
            Payload::Fixed32(_) => 5,
        };
        let mut name = field.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        format!("proto: wrong wireType = {wire_type} for field {name}")
    }
}
