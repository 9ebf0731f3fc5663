//! What is POSTed.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::{Error, Result};

/// A request that may change something, or a question too long for a URL.
#[derive(Clone, Default)]
pub struct Post {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) repeatable: bool,
    pub(super) resource: Option<&'static str>,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and body may hold a crumb or a token.
        f.debug_struct("Post")
            .field("bytes", &self.body.len())
            .field("repeatable", &self.repeatable)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl Post {
    /// Nothing but the URL.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A JSON body.
    ///
    /// # Errors
    /// [`Error::Refused`] when the value has no JSON form.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|e| Error::Refused(format!("no JSON: {e}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self { headers, body: body.into(), ..Self::default() })
    }

    /// Fields of a form.
    #[must_use]
    pub fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Self { headers, body: body.into(), ..Self::default() }
    }

    /// Changes nothing on the platform: it may be tried again like a GET.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Paid from a resource that the platform counts apart from ordinary requests: `graphql`.
    #[must_use]
    pub fn paid_from(mut self, resource: &'static str) -> Self {
        self.resource = Some(resource);
        self
    }

    /// With a further header.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is none: the value came from a platform.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let no_header = |_| Error::Refused(format!("{name:?}: no header"));
        let name = super::auth::header_name(name).map_err(Error::Refused)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| ()).map_err(no_header)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }
}
