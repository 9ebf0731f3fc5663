//! Who asks, as far as the connection and the proxies before it tell.
//!
//! Headers of proxies are believed when the connection comes from `server.trusted_proxies`. The client is the rightmost
//! address that is not such a proxy's: everything further left is what the client says of itself.

use std::net::{IpAddr, SocketAddr};

use config::Cidr;
use http::{HeaderMap, HeaderName, header};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Hops that are looked at.
const MAX_HOPS: usize = 32;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// It speaks TLS with us.
    pub(crate) tls: bool,
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address, where one is known.
    pub(crate) address: Option<IpAddr>,
    /// Nobody on the way can read or alter what is said: TLS to here, or to a trusted proxy that says so.
    pub(crate) secure: bool,
    /// It is on this machine.
    pub(crate) local: bool,
    /// The connection comes from a trusted proxy.
    pub(crate) by_trusted_proxy: bool,
}

impl Client {
    /// The client of a request with `headers` over a connection from `peer`; nothing is known of one without.
    pub(crate) fn of(peer: Option<Peer>, headers: &HeaderMap, trusted: &[Cidr]) -> Self {
        let Some(peer) = peer else {
            return Self { address: None, secure: false, local: false, by_trusted_proxy: false };
        };
        let from = peer.address.to_canonical();
        let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(ip));
        if !is_trusted(from) {
            // A proxy on this machine that nobody has told us of: its clients may be anywhere.
            let proxied = headers.contains_key(header::FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
            return Self {
                address: Some(from),
                secure: peer.tls,
                local: from.is_loopback() && !proxied,
                by_trusted_proxy: false,
            };
        }
        let common = headers.get_all(X_FORWARDED_FOR).iter();
        let common: Vec<_> = common.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
        let common = client_of(common.into_iter().map(|hop| (hop_address(hop), None)), is_trusted);
        let standard = headers.get_all(header::FORWARDED).iter();
        let standard: Vec<_> = standard.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
        let standard = client_of(standard.into_iter().map(forwarded), is_trusted);
        let (address, known) = match (&common, &standard) {
            // A proxy sets one of the two and may let the client's own other one pass: who says two things is not believed,
            // nor taken for the proxy, which may be on this machine.
            (Some(a), Some(b)) if a.address != b.address => (Some(from), false),
            (Some(hop), _) | (None, Some(hop)) => (hop.address, true),
            (None, None) => (Some(from), true),
        };
        let proto = headers.get_all(X_FORWARDED_PROTO).iter().next_back().and_then(|v| v.to_str().ok());
        let proto =
            proto.and_then(|v| v.rsplit(',').next()).map(|word| word.trim().eq_ignore_ascii_case("https"));
        let says = [proto, standard.and_then(|hop| hop.https)];
        let https = says.contains(&Some(true)) && !says.contains(&Some(false));
        Self {
            address,
            secure: peer.tls || https,
            local: known && address.is_some_and(|ip| ip.is_loopback()),
            by_trusted_proxy: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hop {
    /// Unknown when the proxy hides it.
    address: Option<IpAddr>,
    https: Option<bool>,
}

/// The last hop that is no trusted proxy, else the first one; nothing where there is none at all.
fn client_of<'a>(
    hops: impl DoubleEndedIterator<Item = (Option<IpAddr>, Option<bool>)>,
    is_trusted: impl Fn(IpAddr) -> bool + 'a,
) -> Option<Hop> {
    let mut found = None;
    for (address, https) in hops.rev().take(MAX_HOPS) {
        found = Some(Hop { address, https });
        if !address.is_some_and(&is_trusted) {
            break;
        }
    }
    found
}

/// `for=192.0.2.1;proto=https`
fn forwarded(element: &str) -> (Option<IpAddr>, Option<bool>) {
    let pairs = || element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let value =
        |name: &str| pairs().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim_matches('"'));
    (value("for").and_then(hop_address), value("proto").map(|proto| proto.eq_ignore_ascii_case("https")))
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`
fn hop_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().ok();
    alone.or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        );
        let trusted: Vec<Cidr> =
            ["10.0.0.0/8", "fd00::/8", "127.0.0.1"].map(|net| net.parse().unwrap()).into();
        Client::of(Some(Peer { address: peer.parse().unwrap(), tls: false }), &headers, &trusted)
    }

    #[test]
    fn the_client_is_the_last_one_that_no_proxy_of_ours_is() {
        for (peer, headers, want) in [
            ("192.0.2.9", &[][..], "192.0.2.9"),
            // Who is no proxy of ours says what he likes.
            ("192.0.2.9", &[("x-forwarded-for", "198.51.100.7")], "192.0.2.9"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, 198.51.100.7, 10.0.0.2")], "198.51.100.7"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.7")],
                "198.51.100.7",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (
                "10.0.0.1",
                &[("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]:80\";proto=https")],
                "2001:db8::1",
            ),
            (
                "10.0.0.1",
                &[("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "198.51.100.7")],
                "198.51.100.7",
            ),
            // One of the two was the client's own.
            ("10.0.0.1", &[("forwarded", "for=127.0.0.1"), ("x-forwarded-for", "198.51.100.7")], "10.0.0.1"),
            ("::ffff:10.0.0.1", &[("x-forwarded-for", "198.51.100.7:4711")], "198.51.100.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, headers).address, Some(want.parse().unwrap()), "{peer} {headers:?}");
        }
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown")]).address, None);
    }

    #[test]
    fn only_a_trusted_proxy_says_https() {
        let secure = |peer, headers| client(peer, headers).secure;
        assert!(!secure("192.0.2.9", &[("x-forwarded-proto", "https")]));
        assert!(secure("10.0.0.1", &[("x-forwarded-proto", "https")]));
        assert!(secure("10.0.0.1", &[("forwarded", "for=1.1.1.1;proto=HTTPS")]));
        assert!(!secure("10.0.0.1", &[("x-forwarded-proto", "http")]));
        assert!(!secure("10.0.0.1", &[("x-forwarded-proto", "https, http")]));
        // The client's own word beside the proxy's.
        assert!(!secure(
            "10.0.0.1",
            &[("x-forwarded-proto", "http"), ("forwarded", "for=1.1.1.1;proto=https")]
        ));
        let tls = Peer { address: "192.0.2.9".parse().unwrap(), tls: true };
        assert!(Client::of(Some(tls), &HeaderMap::new(), &[]).secure);
    }

    #[test]
    fn local_is_who_comes_from_here_and_not_through_an_unknown_proxy() {
        assert!(client("127.0.0.1", &[]).local && client("::1", &[]).local);
        assert!(!client("192.0.2.9", &[]).local);
        assert!(!client("::1", &[("x-forwarded-for", "127.0.0.1")]).local, "no proxy of ours");
        assert!(!client("127.0.0.1", &[("x-forwarded-for", "198.51.100.7")]).local);
        assert!(
            client("127.0.0.1", &[("forwarded", "for=127.0.0.1"), ("x-forwarded-for", "127.0.0.1")]).local
        );
        // A proxy on this machine, and a client that names itself beside it.
        let two = [("forwarded", "for=127.0.0.1"), ("x-forwarded-for", "198.51.100.7")];
        assert!(!client("127.0.0.1", &two).local);
        assert!(!Client::of(None, &HeaderMap::new(), &[]).local);
    }
}
