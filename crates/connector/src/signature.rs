//! Whether a webhook comes from who shares our secret. All comparisons take the same time however much is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The length of a signature in bytes.
const LENGTH: usize = 32;

fn mac(key: &[u8], message: &[&[u8]]) -> Option<Hmac<Sha256>> {
    // A key of any length will do, so this is always there.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in message {
        mac.update(part);
    }
    Some(mac)
}

fn is(mac: Option<Hmac<Sha256>>, presented: &[u8]) -> bool {
    mac.is_some_and(|mac| mac.verify_slice(presented).is_ok())
}

fn from_hex(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let text = text.as_bytes();
    if text.len() != 2 * LENGTH {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// HMAC-SHA256 of a body, presented in hexadecimal digits.
#[must_use]
pub fn hmac_sha256_hex(secret: &str, body: &[u8], presented: &str) -> bool {
    from_hex(presented.trim()).is_some_and(|given| is(mac(secret.as_bytes(), &[body]), &given))
}

/// One signature of [Standard Webhooks](https://www.standardwebhooks.com): HMAC-SHA256 of `id.timestamp.body`. `presented` is
/// the whole header: a list in which any `v1,…` may be the right one.
#[must_use]
pub fn standard_webhook(secret: &str, id: &str, timestamp: &str, body: &[u8], presented: &str) -> bool {
    let Ok(key) = STANDARD.decode(secret.trim().strip_prefix("whsec_").unwrap_or(secret.trim())) else {
        return false;
    };
    presented.split_ascii_whitespace().filter_map(|one| one.strip_prefix("v1,")).any(|given| {
        let signed = mac(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
        STANDARD.decode(given).is_ok_and(|given| is(signed, &given))
    })
}

/// Whether two secrets are the same. Their length does not show either.
#[must_use]
pub fn same_secret(secret: &str, presented: &str) -> bool {
    /// Any key will do: both sides are hashed with it.
    const KEY: &[u8] = b"ci-dashboard";
    mac(KEY, &[presented.as_bytes()])
        .is_some_and(|given| is(mac(KEY, &[secret.as_bytes()]), &given.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // GitHub's documentation, and go-github's tests.
        for (secret, body, hex) in [
            (
                "It's a Secret to Everybody",
                "Hello, World!",
                "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
            (
                "0123456789abcdef",
                r#"{"yo":true}"#,
                "b1f8020f5b4cd42042f807dd939015c4a418bc1ff7f604dd55b0a19b5d953d9b",
            ),
        ] {
            assert!(hmac_sha256_hex(secret, body.as_bytes(), hex));
            assert!(hmac_sha256_hex(secret, body.as_bytes(), &hex.to_uppercase()));
            assert!(!hmac_sha256_hex("another", body.as_bytes(), hex));
            assert!(!hmac_sha256_hex(secret, b"another", hex));
            for cut in 0..hex.len() {
                assert!(!hmac_sha256_hex(secret, body.as_bytes(), &hex[..cut]), "{cut}");
            }
            assert!(!hmac_sha256_hex(secret, body.as_bytes(), &"é".repeat(32)));
        }
        // The Standard Webhooks libraries' tests.
        let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert!(standard_webhook(key, id, at, body, good));
        assert!(standard_webhook(key, id, at, body, &format!("v1a,xxxx v1,AAAA {good}")));
        for (id, at, presented) in [
            ("msg_other", at, good),
            (id, "1614265331", good),
            (id, at, "v1,"),
            (id, at, ""),
            (id, at, &good[3..]),
        ] {
            assert!(!standard_webhook(key, id, at, body, presented), "{id} {at} {presented}");
        }
        assert!(!standard_webhook("not base64!", id, at, body, good));
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same_secret("s3cret", "s3cret"));
        for other in ["", "s3cre", "s3crets", "S3cret"] {
            assert!(!same_secret("s3cret", other), "{other}");
        }
    }
}
