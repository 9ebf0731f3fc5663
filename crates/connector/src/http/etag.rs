//! Answers kept for conditional requests: the platform says "unchanged", and the body is ours already.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use moka::sync::Cache;
use url::Url;

/// What an entry weighs beside its body and headers, in bytes.
const OVERHEAD: usize = 512;

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

    fn weight(&self, url: &str) -> u32 {
        let headers: usize = self.headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 32).sum();
        u32::try_from(OVERHEAD + url.len() + headers + self.body.len()).unwrap_or(u32::MAX)
    }
}

/// One source's kept answers, by URL. A source has one token and one `Accept`, so these are no part of the key.
pub(super) struct Store(Cache<String, Arc<Kept>>);

impl Store {
    /// An empty one of at most `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|url: &String, kept: &Arc<Kept>| kept.weight(url))
                .build(),
        )
    }

    pub(super) fn get(&self, url: &Url) -> Option<Arc<Kept>> {
        self.0.get(url.as_str())
    }

    /// Keeps an answer that has a validator; forgets the older one where it has none.
    pub(super) fn put(&self, url: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let value = |name: HeaderName, of| headers.get(of).map(|v: &HeaderValue| (name, v.clone()));
        let validator = value(IF_NONE_MATCH, ETAG).or_else(|| value(IF_MODIFIED_SINCE, LAST_MODIFIED));
        let Some(validator) = validator else {
            self.forget(url);
            return;
        };
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let Ok(compressed) = encoder.write_all(body).and_then(|()| encoder.finish()) else { return };
        let kept = Kept { status, validator, headers: headers.clone(), body: compressed, len: body.len() };
        self.0.insert(url.as_str().to_owned(), Arc::new(kept));
    }

    pub(super) fn forget(&self, url: &Url) {
        self.0.invalidate(url.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    fn condition(store: &Store, at: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        store.get(&url(at)).unwrap().put_into(&mut headers);
        headers
    }

    #[test]
    fn what_has_a_validator_is_kept_under_its_url() {
        let store = Store::new(1 << 20);
        store.put(
            &url("http://h/a?b=1"),
            StatusCode::OK,
            &headers(&[("etag", "W/\"1\""), ("last-modified", "x")]),
            b"one",
        );
        store.put(&url("http://h/a?b=2"), StatusCode::OK, &headers(&[("last-modified", "y")]), b"");
        store.put(&url("http://h/a"), StatusCode::OK, &headers(&[]), b"three");
        assert_eq!(condition(&store, "http://h/a?b=1"), headers(&[("if-none-match", "W/\"1\"")]));
        assert_eq!(condition(&store, "http://h/a?b=2"), headers(&[("if-modified-since", "y")]));
        assert_eq!(store.get(&url("http://h/a?b=1")).unwrap().body().unwrap(), "one");
        assert_eq!(store.get(&url("http://h/a?b=2")).unwrap().body().unwrap(), "");
        assert!(store.get(&url("http://h/a")).is_none());
        store.put(&url("http://h/a?b=1"), StatusCode::OK, &headers(&[]), b"without");
        assert!(store.get(&url("http://h/a?b=1")).is_none(), "a newer answer without one replaces it");
    }

    #[test]
    fn the_fresh_rate_limit_stands_in_the_kept_headers() {
        let store = Store::new(1 << 20);
        let old =
            headers(&[("etag", "1"), ("content-type", "application/json"), ("r", "60"), ("link", "<x>")]);
        store.put(&url("http://h/a"), StatusCode::OK, &old, b"{}");
        let fresh = headers(&[("r", "59"), ("content-type", "text/plain"), ("content-length", "0")]);
        let got = store.get(&url("http://h/a")).unwrap().headers(&fresh);
        let want =
            headers(&[("etag", "1"), ("content-type", "application/json"), ("r", "59"), ("link", "<x>")]);
        assert_eq!(got, want);
    }

    #[test]
    fn the_bound_in_bytes_holds() {
        let store = Store::new(100_000);
        // Not compressible.
        let mut state = 1_u64;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(9_000)
        .collect();
        for n in 0..100 {
            store.put(&url(&format!("http://h/{n}")), StatusCode::OK, &headers(&[("etag", "1")]), &body);
            store.0.run_pending_tasks();
            assert!(store.0.weighted_size() <= 100_000, "{}", store.0.weighted_size());
        }
        assert!((5..=10).contains(&store.0.entry_count()), "{}", store.0.entry_count());
        store.put(&url("http://h/large"), StatusCode::OK, &headers(&[("etag", "1")]), &body.repeat(20));
        store.0.run_pending_tasks();
        assert!(store.get(&url("http://h/large")).is_none(), "larger than all of it");
    }
}
