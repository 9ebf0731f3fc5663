//! Answers kept for conditional requests: the platform says "unchanged" and the body is ours already.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use http::HeaderMap;
use moka::sync::Cache;

/// What all kept answers of one source may weigh, compressed: some 1,000 pages of 100 GitHub runs.
const MAX_BYTES: u64 = 48 * 1024 * 1024;
/// What an entry weighs beside its body.
const OVERHEAD: usize = 2 * 1024;

/// A kept answer. Its body is compressed: lists of runs shrink to a fifteenth.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
    len: usize,
}

impl Kept {
    /// The body, unless memory is broken.
    pub(super) fn body(&self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(self.len);
        DeflateDecoder::new(self.body.as_slice()).take(self.len as u64 + 1).read_to_end(&mut out).ok()?;
        (out.len() == self.len).then(|| out.into())
    }
}

/// One source's kept answers, by URL. The token is the source's one token, so it is no part of the key.
#[derive(Debug)]
pub(super) struct Store(Cache<String, Arc<Kept>>);

impl Default for Store {
    fn default() -> Self {
        let weigh = |url: &String, kept: &Arc<Kept>| {
            u32::try_from(url.len() + kept.body.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigh).build())
    }
}

impl Store {
    pub(super) fn get(&self, url: &str) -> Option<Arc<Kept>> {
        self.0.get(url)
    }

    /// Keeps an answer that has a validator; forgets the older one where it has none.
    pub(super) fn put(&self, url: &str, headers: &HeaderMap, body: &[u8]) {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (etag, last_modified) = (text(http::header::ETAG), text(http::header::LAST_MODIFIED));
        if etag.is_none() && last_modified.is_none() {
            self.0.invalidate(url);
            return;
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let Ok(compressed) = encoder.write_all(body).and_then(|()| encoder.finish()) else { return };
        let kept = Kept { etag, last_modified, headers: headers.clone(), body: compressed, len: body.len() };
        self.0.insert(url.to_owned(), Arc::new(kept));
    }

    pub(super) fn forget(&self, url: &str) {
        self.0.invalidate(url);
    }
}
