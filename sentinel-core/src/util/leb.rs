//! Small numbers in few bytes: unsigned LEB128, for what is packed in memory.

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads what [`put`] has written in this process; past the end everything is 0. (What comes from others is for `codec`.)
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn get(&mut self) -> u64 {
        let first = self.byte();
        if first < 0x80 {
            return u64::from(first);
        }
        let (mut value, mut shift) = (u64::from(first & 0x7f), 7);
        loop {
            let next = self.byte();
            value |= u64::from(next & 0x7f) << (shift & 63);
            if next < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
