//! Parts that the fuzz targets share: the right checksum, so that fuzzing gets behind it, and bytes read as small decisions.

/// A boundary of slots, where the clocks of the targets begin.
pub const START: i64 = 1_700_000_400_000;
/// Length of a slot.
pub const SLOT_MS: i64 = 10_000;
/// First bytes of a block: magic and version.
pub const HEAD: [u8; 5] = *b"SNTB\x01";

/// The body with the checksum that it needs.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc32fast::hash(body).to_le_bytes()].concat()
}

/// An unsigned LEB128 number, as the wire has them.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields up to the bounds of the slot: magic, version, source, start (zig-zagged), length.
pub fn head(source: u64, from_ms: i64) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    out.extend(source.to_le_bytes());
    number(&mut out, ((from_ms << 1) ^ (from_ms >> 63)) as u64);
    number(&mut out, SLOT_MS as u64);
    out
}

/// The fuzzer's bytes, read from the front; zeros when there are no more.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Eight bytes.
    pub fn long(&mut self) -> i64 {
        i64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.take(len)
    }
}
