//! What every wire form is written in: unsigned LEB128 numbers, length-prefixed bytes, and a CRC-32 of all before it at the end.

use crate::util::error::DecodeError;

/// Bytes of the checksum at the end.
const CHECKSUM: usize = 4;
/// Counts beyond this are not of this world, and f64 would round them. Sums of many blocks saturate.
pub(crate) const MAX_COUNT: u64 = 1 << 53;

pub(crate) fn invalid(field: &'static str, value: u64, allowed: &'static str) -> DecodeError {
    DecodeError::Invalid { field, value, allowed }
}

/// Writes one thing: what it is and in which version, its fields, the checksum.
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// Begins with what it is; `room` is how many bytes it may become.
    pub(crate) fn new(magic: [u8; 4], version: u8, room: usize) -> Self {
        let mut out = Vec::with_capacity(room);
        out.extend_from_slice(&magic);
        out.push(version);
        Self(out)
    }

    /// Ends with the checksum.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let checksum = crc32fast::hash(&self.0);
        self.0.extend_from_slice(&checksum.to_le_bytes());
        self.0
    }

    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }

    pub(crate) fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        for value in values {
            self.number(value);
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what a [`Writer`] wrote. Total: any bytes give a value or an error.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Checks what it is, its version and its checksum.
    pub(crate) fn open(bytes: &'a [u8], magic: [u8; 4], version: u8) -> Result<Self, DecodeError> {
        let mut input = Self { bytes, at: 0 };
        let found = input.array()?;
        if found != magic {
            return Err(DecodeError::Magic { found, expected: magic });
        }
        let [found] = input.array()?;
        if found != version {
            return Err(DecodeError::Version { found, readable: version });
        }
        let body = bytes
            .len()
            .checked_sub(CHECKSUM)
            .filter(|end| *end >= input.at)
            .ok_or(DecodeError::Truncated { at: bytes.len() })?;
        let found = u32::from_le_bytes(Self { bytes, at: body }.array()?);
        let expected = crc32fast::hash(&bytes[..body]);
        if found != expected {
            return Err(DecodeError::Checksum { found, expected });
        }
        input.bytes = &bytes[..body];
        Ok(input)
    }

    /// Everything has been read.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(invalid("length", self.at as u64, "it ends where its bytes end"))
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.number()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(DecodeError::Truncated { at: self.bytes.len() })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        let at = self.at;
        if self.bytes.len().saturating_sub(at) < N {
            return Err(DecodeError::Truncated { at: self.bytes.len() });
        }
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(invalid("number", value, "at most 64 bits"))
    }

    pub(crate) fn at_most(
        &mut self,
        field: &'static str,
        most: u64,
        allowed: &'static str,
    ) -> Result<u64, DecodeError> {
        let value = self.number()?;
        if value <= most { Ok(value) } else { Err(invalid(field, value, allowed)) }
    }

    pub(crate) fn count(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.at_most(field, MAX_COUNT, "0 to 2^53")
    }

    pub(crate) fn small(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(self.at_most(field, u64::from(u32::MAX), "0 to 2^32 - 1")? as u32)
    }

    /// A number of items that take at least `bytes` each, so that the length of the input bounds the memory.
    pub(crate) fn items(&mut self, field: &'static str, bytes: usize) -> Result<usize, DecodeError> {
        let left = (self.bytes.len() - self.at) / bytes;
        Ok(self.at_most(field, left as u64, "as many as the bytes hold")? as usize)
    }

    pub(crate) fn text(&mut self, field: &'static str, most: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.at_most(field, most as u64, "a length within the limit")? as usize;
        self.take(len)
    }
}
