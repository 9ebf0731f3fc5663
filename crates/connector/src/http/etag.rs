//! Answers kept for conditional requests: the platform says "unchanged", and the body is ours already.

use std::io::{Read as _, Write as _};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use moka::notification::RemovalCause;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::answers::Listener;
use super::auth::Who;

/// What an entry weighs beside its body and headers, in bytes.
const OVERHEAD: usize = 512;
/// The largest body that a written answer may unpack to.
const MAX_BODY: usize = super::Client::MAX_BODY;

/// What was asked: the URL, and with which fixed headers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn to_text(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let number = fits.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

/// A kept answer. Its body is compressed: lists of runs shrink to a fifteenth.
pub(super) struct Kept {
    pub(super) status: StatusCode,
    validator: (HeaderName, HeaderValue),
    headers: HeaderMap,
    body: Vec<u8>,
    len: usize,
}

impl Kept {
    /// Makes a request conditional.
    pub(super) fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(self.validator.0.clone(), self.validator.1.clone());
    }

    /// The body, unless memory is broken.
    pub(super) fn body(&self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(self.len);
        DeflateDecoder::new(self.body.as_slice()).take(self.len as u64 + 1).read_to_end(&mut out).ok()?;
        (out.len() == self.len).then(|| out.into())
    }

    /// The kept headers, with what the answer "unchanged" tells anew: the rate limit, above all.
    pub(super) fn headers(&self, fresh: &HeaderMap) -> HeaderMap {
        let mut headers = self.headers.clone();
        let about_the_body = [CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];
        for name in fresh.keys().filter(|name| !about_the_body.contains(name)) {
            headers.remove(name);
            for value in fresh.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        headers
    }

    fn weight(&self) -> u32 {
        let headers: usize = self.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 32).sum();
        u32::try_from(OVERHEAD + headers + self.body.len()).unwrap_or(u32::MAX)
    }

    /// Length of the head, head as JSON, body as it is kept.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let head = Head {
            status: self.status.as_u16(),
            validator: (self.validator.0.to_string(), text(&self.validator.1)?),
            headers: self
                .headers
                .iter()
                .filter(|(name, _)| *name != SET_COOKIE)
                .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
                .collect(),
            len: self.len,
        };
        let head = serde_json::to_vec(&head).ok()?;
        let mut bytes = u32::try_from(head.len()).ok()?.to_be_bytes().to_vec();
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.body);
        Some(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (head, body) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
        let validator = (name(&head.validator.0)?, HeaderValue::from_str(&head.validator.1).ok()?);
        if ![IF_NONE_MATCH, IF_MODIFIED_SINCE].contains(&validator.0) || head.len > MAX_BODY {
            return None;
        }
        let mut headers = HeaderMap::new();
        for (header, value) in &head.headers {
            headers.append(name(header)?, HeaderValue::from_str(value).ok()?);
        }
        let status = StatusCode::from_u16(head.status).ok().filter(StatusCode::is_success)?;
        let kept = Self { status, validator, headers, body: body.to_vec(), len: head.len };
        // An answer that does not unpack would be asked for twice.
        kept.body().is_some().then_some(kept)
    }
}

/// What is written of an answer beside its body.
#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    validator: (String, String),
    headers: Vec<(String, String)>,
    len: usize,
}

/// One source's kept answers, by digest of the URL and of who asks: what one may see is nothing to another.
pub(super) struct Store {
    cache: Cache<Digest, Arc<Kept>>,
    /// The fixed headers of its requests: another `Accept` is another answer.
    salt: Sha256,
    who: RwLock<Who>,
    listener: Listener,
}

impl Store {
    /// An empty one of at most `max_bytes`, for requests with these fixed headers.
    pub(super) fn new(max_bytes: u64, fixed: &[(&str, &str)], who: Who, listener: Listener) -> Self {
        let heard = listener.clone();
        let cache = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_: &Digest, kept: &Arc<Kept>| kept.weight())
            .eviction_listener(move |digest: Arc<Digest>, _, cause| {
                if cause == RemovalCause::Size {
                    heard.tell(&digest);
                }
            })
            .build();
        let mut salt = Sha256::new();
        for (name, value) in fixed {
            salt.update(format!("{name}: {value}\n"));
        }
        Self { cache, salt, who: RwLock::new(who), listener }
    }

    /// Somebody else asks from now on. What was kept for another is not found any more, and gives way in time.
    pub(super) fn whose(&self, who: Who) {
        *self.who.write().unwrap_or_else(PoisonError::into_inner) = who;
    }

    /// Under which an answer of this URL is kept.
    pub(super) fn name(&self, url: &Url) -> Digest {
        let who = *self.who.read().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = [0; 16];
        let digest = self.salt.clone().chain_update(who.bytes()).chain_update(url.as_str());
        bytes.copy_from_slice(&digest.finalize()[..16]);
        Digest(bytes)
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<Arc<Kept>> {
        self.cache.get(digest)
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.cache.iter().map(|(digest, _)| *digest)
    }

    /// Takes back what was written down, unless there is a newer one.
    pub(super) fn restore(&self, digest: Digest, kept: Kept) {
        self.cache.entry(digest).or_insert_with(|| Arc::new(kept));
    }

    /// Keeps an answer that has a validator; forgets the older one where it has none.
    pub(super) fn put(&self, name: &Digest, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let value = |header: HeaderName, of| headers.get(of).map(|v: &HeaderValue| (header, v.clone()));
        let validator = value(IF_NONE_MATCH, ETAG).or_else(|| value(IF_MODIFIED_SINCE, LAST_MODIFIED));
        let Some(validator) = validator else {
            self.forget(name);
            return;
        };
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let Ok(compressed) = encoder.write_all(body).and_then(|()| encoder.finish()) else { return };
        let kept = Kept { status, validator, headers: headers.clone(), body: compressed, len: body.len() };
        self.cache.insert(*name, Arc::new(kept));
        self.listener.tell(name);
    }

    pub(super) fn forget(&self, name: &Digest) {
        if self.cache.contains_key(name) {
            self.cache.invalidate(name);
            self.listener.tell(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answers::Answers;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn me() -> Who {
        Who::of(&["me"])
    }

    #[test]
    fn what_was_kept_for_one_is_not_found_for_another() {
        let store = Store::new(1 << 20, &[], me(), Listener::default());
        let at = url("http://h/a");
        store.put(&store.name(&at), StatusCode::OK, &headers(&[("etag", "1")]), b"mine");
        store.whose(Who::of(&["somebody", "else"]));
        assert!(store.find(&store.name(&at)).is_none());
        store.whose(me());
        assert!(store.find(&store.name(&at)).is_some());
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn condition(store: &Store, at: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        store.find(&store.name(&url(at))).unwrap().put_into(&mut headers);
        headers
    }

    #[test]
    fn what_has_a_validator_is_kept_under_its_url() {
        let store = Store::new(1 << 20, &[], me(), Listener::default());
        store.put(
            &store.name(&url("http://h/a?b=1")),
            StatusCode::OK,
            &headers(&[("etag", "W/\"1\""), ("last-modified", "x")]),
            b"one",
        );
        store.put(
            &store.name(&url("http://h/a?b=2")),
            StatusCode::OK,
            &headers(&[("last-modified", "y")]),
            b"",
        );
        store.put(&store.name(&url("http://h/a")), StatusCode::OK, &headers(&[]), b"three");
        assert_eq!(condition(&store, "http://h/a?b=1"), headers(&[("if-none-match", "W/\"1\"")]));
        assert_eq!(condition(&store, "http://h/a?b=2"), headers(&[("if-modified-since", "y")]));
        assert_eq!(store.find(&store.name(&url("http://h/a?b=1"))).unwrap().body().unwrap(), "one");
        assert_eq!(store.find(&store.name(&url("http://h/a?b=2"))).unwrap().body().unwrap(), "");
        assert!(store.find(&store.name(&url("http://h/a"))).is_none());
        store.put(&store.name(&url("http://h/a?b=1")), StatusCode::OK, &headers(&[]), b"without");
        assert!(
            store.find(&store.name(&url("http://h/a?b=1"))).is_none(),
            "a newer answer without one replaces it"
        );
    }

    #[test]
    fn the_fresh_rate_limit_stands_in_the_kept_headers() {
        let store = Store::new(1 << 20, &[], me(), Listener::default());
        let old =
            headers(&[("etag", "1"), ("content-type", "application/json"), ("r", "60"), ("link", "<x>")]);
        store.put(&store.name(&url("http://h/a")), StatusCode::OK, &old, b"{}");
        let fresh = headers(&[("r", "59"), ("content-type", "text/plain"), ("content-length", "0")]);
        let got = store.find(&store.name(&url("http://h/a"))).unwrap().headers(&fresh);
        let want =
            headers(&[("etag", "1"), ("content-type", "application/json"), ("r", "59"), ("link", "<x>")]);
        assert_eq!(got, want);
    }

    #[test]
    fn what_is_written_down_is_read_again_and_nothing_else() {
        let store = Arc::new(Store::new(1 << 20, &[("accept", "a")], me(), Listener::default()));
        let answers = Answers::new(&store, &Listener::default());
        let kept = headers(&[("etag", "W/\"1\""), ("link", "<x>"), ("set-cookie", "session=secret")]);
        store.put(&store.name(&url("http://h/a?private_token=secret")), StatusCode::OK, &kept, b"{\"a\": 1}");
        let [name] = answers.names().try_into().unwrap();
        let bytes = answers.get(&name).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("secret") && !name.contains("secret"));

        let fresh = Arc::new(Store::new(1 << 20, &[("accept", "a")], me(), Listener::default()));
        let back = Answers::new(&fresh, &Listener::default());
        assert!(back.put(&name, &bytes));
        let at = "http://h/a?private_token=secret";
        assert_eq!(condition(&fresh, at), headers(&[("if-none-match", "W/\"1\"")]));
        assert_eq!(fresh.find(&fresh.name(&url(at))).unwrap().body().unwrap(), "{\"a\": 1}");
        assert_eq!(
            fresh.find(&fresh.name(&url(at))).unwrap().headers(&HeaderMap::new()),
            headers(&[("etag", "W/\"1\""), ("link", "<x>")])
        );
        let other = Store::new(1 << 20, &[("accept", "b")], me(), Listener::default());
        assert!(other.find(&other.name(&url(at))).is_none() && other.name(&url(at)).to_text() != name);
        for broken in [&bytes[..3], &bytes[..20], &bytes[..bytes.len() - 1], b"\xff\xff\xff\xff", b""] {
            assert!(!back.put(&name, broken), "{broken:?}");
        }
        for none in ["", "..", &name[1..], &name.to_uppercase()] {
            assert!(!back.put(none, &bytes), "{none}");
        }
    }

    #[test]
    fn the_bound_in_bytes_holds() {
        let store = Store::new(100_000, &[], me(), Listener::default());
        // Not compressible.
        let mut state = 1_u64;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(9_000)
        .collect();
        for n in 0..100 {
            store.put(
                &store.name(&url(&format!("http://h/{n}"))),
                StatusCode::OK,
                &headers(&[("etag", "1")]),
                &body,
            );
            store.cache.run_pending_tasks();
            assert!(store.cache.weighted_size() <= 100_000, "{}", store.cache.weighted_size());
        }
        assert!((5..=10).contains(&store.cache.entry_count()), "{}", store.cache.entry_count());
        store.put(
            &store.name(&url("http://h/large")),
            StatusCode::OK,
            &headers(&[("etag", "1")]),
            &body.repeat(20),
        );
        store.cache.run_pending_tasks();
        assert!(store.find(&store.name(&url("http://h/large"))).is_none(), "larger than all of it");
    }
}
