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
        // Eight bytes at once hold nearly all others: up to the first without its highest bit, seven bits of each.
        if let Some((eight, _)) = self.0.split_first_chunk() {
            let eight = u64::from_le_bytes(*eight);
            let ends = !eight & 0x8080_8080_8080_8080;
            if ends != 0 {
                let len = ends.trailing_zeros() / 8 + 1;
                let bytes = eight & (u64::MAX >> (64 - 8 * len)) & 0x7f7f_7f7f_7f7f_7f7f;
                // Neighbours are moved together: bytes, pairs, fours.
                let pairs = (bytes & 0x007f_007f_007f_007f) | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
                let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
                self.0 = &self.0[len as usize..];
                return Ok((fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4);
            }
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_back(numbers in prop::collection::vec((any::<i64>(), 0_u32..64), 0..20)) {
            let numbers: Vec<i64> = numbers.into_iter().map(|(n, shift)| n >> shift).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|n| put_signed(&mut bytes, *n));
            let mut from = Reader(&bytes);
            for n in numbers {
                prop_assert_eq!(from.get_signed().unwrap(), n);
            }
            prop_assert!(from.byte().is_err(), "nothing is left");
        }
    }

    #[test]
    fn a_number_has_its_length_and_an_end() {
        for bits in 0..64 {
            for n in [1_u64 << bits, u64::MAX >> bits] {
                let mut bytes = Vec::new();
                put(&mut bytes, n);
                assert_eq!(bytes.len(), (64 - n.leading_zeros() as usize).div_ceil(7));
                assert_eq!(Reader(&bytes).get().unwrap(), n, "at the end");
                bytes.extend([0xff; 8]);
                let mut from = Reader(&bytes);
                assert_eq!(from.get().unwrap(), n, "before others");
                assert_eq!(from.0, [0xff; 8]);
                assert!(from.get().is_err(), "it ends nowhere");
            }
        }
    }
}
