//! Under which names the server may be asked for.
//!
//! A web page may point a name of its own at this machine ("DNS rebinding"), and its scripts then read whatever answers
//! there as if it were theirs. Their requests show that name as their Host.

use std::net::IpAddr;

/// The names that a request's Host may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// Whatever it says: other machines know this one by names that it cannot tell.
    Any,
    /// Those of `server.allowed_hosts`.
    Listed(Vec<String>),
    /// Addresses, and the names that this machine has for itself.
    Own(Vec<String>),
}

impl Hosts {
    /// What `server` says. Where it lists none, and only this machine can reach it, the names of this machine, one of which
    /// is `machine`; a proxy that is trusted asks under the names that it goes by.
    pub(crate) fn of(server: &config::Server, machine: Option<&str>) -> Self {
        if !server.allowed_hosts.is_empty() {
            return Self::Listed(server.allowed_hosts.clone());
        }
        if !config::is_loopback_host(&server.host) || !server.trusted_proxies.is_empty() {
            return Self::Any;
        }
        let public = server.public_url.as_ref().and_then(|url| url.host_str());
        let short = machine.and_then(|name| name.split('.').next());
        let names = [Some(server.host.as_str()), public, machine, short];
        Self::Own(names.into_iter().flatten().filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Whether a request with this Host, if any, is answered.
    pub(crate) fn admit(&self, host: Option<&str>) -> bool {
        let (names, own) = match self {
            Self::Any => return true,
            Self::Listed(names) => (names, false),
            Self::Own(names) => (names, true),
        };
        // A browser always says it.
        let Some(host) = host.map(bare) else { return own };
        names.iter().any(|name| name.eq_ignore_ascii_case(host)) || own && is_of_any_machine(host)
    }
}

/// Addresses, and the names that every machine has for itself: nobody can point them elsewhere.
fn is_of_any_machine(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// Without the port, an IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::settings;

    #[test]
    fn hosts_are_compared_without_their_port() {
        for (host, name) in [
            ("a.b:80", "a.b"),
            ("a.b", "a.b"),
            ("a.b.:80", "a.b"),
            ("[::1]:80", "::1"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(bare(host), name);
        }
    }

    #[test]
    fn who_is_asked_by_this_machine_alone_answers_to_its_names() {
        let mut server = settings().server;
        let of = |server: &config::Server| Hosts::of(server, Some("desk.lan"));
        server.public_url = Some("https://ci.example.com/ci".parse().unwrap());
        let own = of(&server);
        for host in [
            "desk.lan:8080",
            "DESK",
            "ci.example.com",
            "localhost",
            "ci.localhost:1",
            "10.0.0.1",
            "[::1]:8080",
        ] {
            assert!(own.admit(Some(host)), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "desk.evil.example", ""]
        {
            assert!(!own.admit(Some(host)), "{host}");
        }
        assert!(own.admit(None));
        server.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert_eq!(of(&server), Hosts::Any);
        server.trusted_proxies.clear();
        server.host = "0.0.0.0".to_owned();
        assert_eq!(of(&server), Hosts::Any);
        server.allowed_hosts = vec!["ci.example.com".to_owned()];
        let listed = of(&server);
        assert!(listed.admit(Some("ci.example.com:8443")));
        assert!(!listed.admit(Some("localhost")) && !listed.admit(None));
    }
}
