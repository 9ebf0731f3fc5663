//! Small numbers in few bytes: LEB128, signed ones zigzag. What repeats by the thousand stands so in a database.

use crate::{Error, Result};

/// Writes one.
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Writes one of either sign.
pub fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Reads what the two write. Anything may be in a database: nothing is assumed of its length or content.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// A byte as it is.
    ///
    /// # Errors
    /// Of garbage, here and below: when the bytes are over, or are not what was written.
    pub fn byte(&mut self) -> Result<u8> {
        let (first, rest) =
            self.0.split_first().ok_or_else(|| Error::garbage("numbers in the database end too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number.
    ///
    /// # Errors
    /// As of [`Self::byte`].
    #[inline]
    pub fn get(&mut self) -> Result<u64> {
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
        Err(Error::garbage("a number in the database has no end"))
    }

    /// One of either sign.
    ///
    /// # Errors
    /// As of [`Self::byte`].
    #[inline]
    pub fn get_signed(&mut self) -> Result<i64> {
        let n = self.get()?;
        Ok((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    /// Passes over so many numbers.
    pub(crate) fn skip(&mut self, numbers: usize) -> Result<()> {
        let mut left = numbers;
        let end = |byte: &u8| {
            left -= usize::from(*byte < 0x80);
            left == 0
        };
        let len = if numbers == 0 { Some(0) } else { self.0.iter().position(end).map(|at| at + 1) };
        let len = len.ok_or_else(|| Error::garbage("numbers in the database end too early"))?;
        self.0 = &self.0[len..];
        Ok(())
    }

    /// One of either sign that fits a smaller type.
    ///
    /// # Errors
    /// As of [`Self::byte`].
    pub fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        T::try_from(self.get_signed()?).map_err(|_| Error::garbage("a number in the database is too large"))
    }

    /// How many things follow, each of at least a byte.
    pub(crate) fn count(&mut self) -> Result<usize> {
        usize::try_from(self.get()?)
            .ok()
            .filter(|n| *n <= self.0.len())
            .ok_or_else(|| Error::garbage("numbers in the database end too early"))
    }

    /// A part whose length stands before it.
    pub(crate) fn part(&mut self) -> Result<Reader<'a>> {
        let len = self.count()?;
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(Reader(part))
    }
}
