//! Small numbers in few bytes: LEB128, signed ones zigzag.

use crate::{Error, Result};

pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Reads what the two write. Anything may be in a database: nothing is assumed of its length or content.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(|| Error::garbage("statistics end too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn get(&mut self) -> Result<u64> {
        // Most are small.
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        self.get_long()
    }

    fn get_long(&mut self) -> Result<u64> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(Error::garbage("a number in the statistics has no end"))
    }

    #[inline]
    pub(super) fn get_signed(&mut self) -> Result<i64> {
        let n = self.get()?;
        Ok((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    /// Passes over so many numbers.
    pub(super) fn skip(&mut self, numbers: usize) -> Result<()> {
        let mut left = numbers;
        let end = |byte: &u8| {
            left -= usize::from(*byte < 0x80);
            left == 0
        };
        let len = if numbers == 0 { Some(0) } else { self.0.iter().position(end).map(|at| at + 1) };
        let len = len.ok_or_else(|| Error::garbage("statistics end too early"))?;
        self.0 = &self.0[len..];
        Ok(())
    }

    /// A number that fits a smaller type.
    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        T::try_from(self.get_signed()?).map_err(|_| Error::garbage("a number in the statistics is too large"))
    }

    /// How many things follow, each of at least a byte.
    pub(super) fn count(&mut self) -> Result<usize> {
        usize::try_from(self.get()?)
            .ok()
            .filter(|n| *n <= self.0.len())
            .ok_or_else(|| Error::garbage("statistics end too early"))
    }

    /// A part whose length stands before it.
    pub(super) fn part(&mut self) -> Result<Reader<'a>> {
        let len = self.count()?;
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(Reader(part))
    }
}
