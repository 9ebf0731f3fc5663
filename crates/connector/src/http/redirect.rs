//! Where a redirect may lead. The token goes to the configured origin and nowhere else.

use std::net::IpAddr;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use url::{Host, Url};

use super::failure::{Failure, place};
use crate::Error;

/// Redirects that are followed for one request.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Whether a request with the token may go there: the same scheme, host and port as configured, or the same host by
/// HTTPS instead of HTTP where both are at their usual ports. Never with a user name of its own.
pub(super) fn may_carry_token(base: &Url, to: &Url) -> bool {
    let upgraded = base.scheme() == "http"
        && to.scheme() == "https"
        && base.host() == to.host()
        && base.port().is_none()
        && to.port().is_none();
    matches!(to.scheme(), "http" | "https")
        && (base.origin() == to.origin() || upgraded)
        && to.username().is_empty()
        && to.password().is_none()
}

/// Whether a request without anything of ours may go there, for a log. Not from HTTPS to HTTP; and a platform that is
/// elsewhere must not make us read from this machine or from a cloud's metadata service.
pub(super) fn may_be_read(base: &Url, to: &Url) -> bool {
    match to.scheme() {
        "https" => {}
        "http" if base.scheme() == "http" => {}
        _ => return false,
    }
    is_loopback(base) || !(is_loopback(to) || is_link_local(to))
}

/// Whether a URL is this machine's.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            let ip = ip.to_canonical();
            ip.is_loopback() || ip.is_unspecified()
        }
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

fn is_link_local(url: &Url) -> bool {
    let ip = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => ip.to_canonical(),
        _ => return false,
    };
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Where an answer redirects to; `None` when it does not.
///
/// # Errors
/// When it redirects to what is no URL.
pub(super) fn target(status: StatusCode, headers: &HeaderMap, from: &Url) -> Result<Option<Url>, Failure> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = headers.get(LOCATION).and_then(|v| v.to_str().ok()).and_then(|to| from.join(to).ok());
    match target {
        Some(mut to) => {
            to.set_fragment(None);
            Ok(Some(to))
        }
        None => Err(Failure::last(Error::Redirect(format!("{} redirects to nowhere", place(from))))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_token_stays_at_its_origin() {
        for (base, to, may) in [
            ("https://host/api", "https://host/elsewhere?x=1", true),
            ("https://host/api", "https://HOST:443/", true),
            ("https://host/api", "https://other/", false),
            ("https://host/api", "https://host.other/", false),
            ("https://host/api", "https://sub.host/", false),
            ("https://host/api", "https://host:8443/", false),
            ("https://host/api", "http://host/", false),
            ("http://host/api", "https://host/", true),
            ("http://host:8080/api", "https://host/", false),
            ("http://host/api", "https://host:8443/", false),
            ("https://host/api", "https://user@host/", false),
            ("https://host/api", "https://host@other/", false),
            ("https://host/api", "ftp://host/", false),
        ] {
            assert_eq!(may_carry_token(&url(base), &url(to)), may, "{base} → {to}");
        }
    }

    #[test]
    fn a_log_is_not_read_from_this_machine() {
        for (base, to, may) in [
            ("https://host", "https://storage.example.com/x?sig=1", true),
            ("https://host", "https://10.0.0.7/x", true),
            ("https://host", "http://storage.example.com/x", false),
            ("http://host", "http://storage/x", true),
            ("https://host", "https://127.0.0.1/x", false),
            ("http://host", "http://localhost:9464/metrics", false),
            ("http://host", "http://[::1]/x", false),
            ("http://host", "http://[::ffff:127.0.0.1]/x", false),
            ("http://host", "http://0.0.0.0/x", false),
            ("http://host", "http://169.254.169.254/latest/meta-data", false),
            ("http://127.0.0.1:1", "http://127.0.0.1:2/x", true),
            ("https://host", "file:///etc/passwd", false),
        ] {
            assert_eq!(may_be_read(&url(base), &url(to)), may, "{base} → {to}");
        }
    }

    #[test]
    fn a_redirect_leads_somewhere_or_is_refused() {
        let from = url("https://host/a/b?c=d");
        let to = |status: u16, location: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(location) = location {
                headers.insert(LOCATION, location.parse().unwrap());
            }
            target(StatusCode::from_u16(status).unwrap(), &headers, &from)
        };
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(to(status, Some("/x#y")).unwrap(), Some(url("https://host/x")));
            assert!(to(status, None).is_err());
            assert!(to(status, Some("https://")).is_err());
        }
        for status in [200, 300, 304, 305, 404] {
            assert_eq!(to(status, Some("/x")).unwrap(), None);
        }
    }
}
