//! From a kept answer to an HTTP response: validators, packing, and the marks of age.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::kept::{Kind, Served};

/// From when an answer is that the aggregator could not confirm.
const AS_OF: HeaderName = HeaderName::from_static("as-of");

/// The response to a request with `headers`.
pub(crate) fn respond(headers: &HeaderMap, kind: Kind, served: &Served) -> Response {
    let rendered = &served.rendered;
    let mut response = Response::default();
    let out = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&rendered.etag) {
        out.insert(header::ETAG, etag);
    }
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(at) = served.as_of {
        let age = served.now.duration_since(at).as_secs().max(0);
        out.insert(header::AGE, HeaderValue::from(age));
        out.insert(header::WARNING, HeaderValue::from_static("110 ci-dashboard \"Response is Stale\""));
        if let Ok(at) = HeaderValue::from_str(&at.to_string()) {
            out.insert(AS_OF, at);
        }
    }
    if names(headers, &rendered.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    out.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(match kind {
            Kind::Html => "text/html; charset=utf-8",
            Kind::Json => "application/json",
            Kind::Csv => "text/csv; charset=utf-8",
        }),
    );
    let body = match takes_gzip(headers).then(|| rendered.packed()).flatten() {
        Some(packed) => {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            packed
        }
        None => rendered.body.clone(),
    };
    *response.body_mut() = Body::from(body);
    response
}

/// Whether `If-None-Match` names the tag; weak comparison, as for every GET.
fn names(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = bare(etag);
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || bare(tag) == wanted)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let refused =
                |q: &str| q.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0));
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(refused)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn tags_compare_weakly() {
        for (value, is) in [
            ("W/\"1.2-a\"", true),
            ("\"1.2-a\"", true),
            ("\"x\", W/\"1.2-a\"", true),
            ("*", true),
            ("W/\"1.3-a\"", false),
            ("", false),
        ] {
            assert_eq!(names(&with(header::IF_NONE_MATCH, value), "W/\"1.2-a\""), is, "{value}");
        }
        assert!(!names(&HeaderMap::new(), "W/\"1.2-a\""));
    }

    #[test]
    fn gzip_only_for_who_takes_it() {
        for (value, is) in
            [("gzip, br", true), ("br;q=1, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            assert_eq!(takes_gzip(&with(header::ACCEPT_ENCODING, value)), is, "{value}");
        }
    }
}
