//! The id of a request, which goes from whoever asks through both daemons to the platform.

use std::fmt;
use std::sync::Arc;

/// Characters of one that is accepted.
const MAX_CHARS: usize = 64;

/// Letters, digits and `- _ .`, 1 to 64 of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The header that carries it, and the name of it in the metadata of gRPC.
    pub const HEADER: &'static str = "x-request-id";

    /// Takes one that somebody sent, or nothing: it ends in logs and in other people's headers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let sound = !text.is_empty() && text.len() <= MAX_CHARS && text.bytes().all(fine);
        sound.then(|| Self(text.into()))
    }

    /// One made of random bytes, in hexadecimal digits.
    #[must_use]
    pub fn of_bytes(bytes: [u8; 12]) -> Self {
        let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Self(text.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_one_is_taken() {
        assert_eq!(RequestId::parse("a-B_9.x").map(|id| id.to_string()).as_deref(), Some("a-B_9.x"));
        assert!(RequestId::parse(&"x".repeat(64)).is_some());
        for odd in ["", "a b", "a\tb", "a\r\nb: c", "<x>", "é", &"x".repeat(65)] {
            assert_eq!(RequestId::parse(odd), None, "{odd}");
        }
        let made = RequestId::of_bytes([0xa5; 12]);
        assert_eq!(RequestId::parse(made.as_str()), Some(made));
    }
}
