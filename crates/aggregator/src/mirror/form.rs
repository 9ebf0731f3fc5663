//! The form that values outside of the process have: a byte that says which, then JSON, compressed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Which form. To be raised when a type that is written here changes so that an older or newer process would misread it: the test
/// below fails then.
pub(crate) const FORM: u8 = 1;
/// The largest value that is read, in bytes as JSON: the 5,000 runs of a long list are some 4 MB.
const MAX_VALUE: u64 = 32 * 1024 * 1024;

/// As bytes.
pub(crate) fn pack<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(value).ok()?;
    let mut encoder = DeflateEncoder::new(vec![FORM], Compression::fast());
    encoder.write_all(&json).and_then(|()| encoder.finish()).ok()
}

/// The reverse; `None` for another form, and for what is broken.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (form, packed) = bytes.split_first()?;
    if *form != FORM {
        return None;
    }
    let mut json = Vec::new();
    DeflateDecoder::new(packed).take(MAX_VALUE + 1).read_to_end(&mut json).ok()?;
    if json.len() as u64 > MAX_VALUE {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else() {
        let value = vec!["a".to_owned(), "\u{1F98A}".to_owned()];
        let bytes = pack(&value).unwrap();
        assert_eq!(unpack::<Vec<String>>(&bytes), Some(value));
        let mut other = bytes.clone();
        other[0] = FORM + 1;
        for broken in [&other[..], &bytes[..bytes.len() - 1], &bytes[..1], &[]] {
            assert_eq!(unpack::<Vec<String>>(broken), None);
        }
        assert_eq!(unpack::<Vec<u64>>(&bytes), None, "something else");
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let mut encoder = DeflateEncoder::new(vec![FORM], Compression::fast());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..=(MAX_VALUE >> 20) {
            encoder.write_all(&zeros).unwrap();
        }
        let bytes = encoder.finish().unwrap();
        assert!(bytes.len() < 1 << 20);
        assert_eq!(unpack::<Vec<String>>(&bytes), None);
    }
}
