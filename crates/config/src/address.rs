//! Addresses that daemons listen on and connect to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the aggregator is: `unix:/path`, a bare `/path`, `tcp://host:port` or `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Path of a Unix socket, absolute.
    Unix(PathBuf),
    /// TCP.
    Tcp {
        /// Host name or IP address, an IPv6 address without brackets.
        host: String,
        /// Port; 0 (listening only) lets the system choose.
        port: u16,
    },
}

impl Address {
    /// Whether nobody outside this machine can reach it. Of host names only `localhost` counts.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => is_loopback_host(host),
        }
    }
}

/// Whether `host` (no brackets) is `localhost` or a loopback address.
pub fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// Why a text is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not an address: unix:/path, /path, tcp://host:port or http://host:port")]
pub struct AddressError {
    /// What was probably meant.
    pub meant: Option<String>,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = match text.strip_prefix("unix:") {
            Some(rest) => Some(rest.strip_prefix("//").unwrap_or(rest)),
            None if text.starts_with('/') => Some(text),
            None => None,
        };
        if let Some(path) = path {
            if !path.starts_with('/') || path.len() == 1 {
                return Err(AddressError { meant: None });
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let Some(rest) = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) else {
            let meant = host_port(text).map(|(host, port)| Self::Tcp { host, port }.to_string());
            return Err(AddressError { meant });
        };
        match host_port(rest.strip_suffix('/').unwrap_or(rest)) {
            Some((host, port)) => Ok(Self::Tcp { host, port }),
            None => Err(AddressError { meant: None }),
        }
    }
}

/// Splits `host:port`; an IPv6 host has brackets.
fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((parse_host(host)?, port.parse().ok()?))
}

/// A host name or IP address, brackets of an IPv6 address taken off.
pub(crate) fn parse_host(text: &str) -> Option<String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => text,
    };
    if bare.parse::<IpAddr>().is_ok_and(|ip| text == bare || ip.is_ipv6()) {
        return Some(bare.to_owned());
    }
    let name = text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    // "1.2.3" or "300.1.1.1" is a mistyped address, not a name.
    (name && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')).then(|| text.to_owned())
}

/// A network: an IP address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether `ip` lies in the network. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                net.to_bits().checked_shr(shift).unwrap_or(0) == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                net.to_bits().checked_shr(shift).unwrap_or(0) == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is not an IP address or network such as 10.0.0.0/8";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse::<u8>().ok().filter(|p| *p <= bits).ok_or(WRONG)?,
            None => bits,
        };
        Ok(Self { address, prefix })
    }
}
