//! The connection: TLS, certificates, proxy. It knows no credential; these go with single requests.

use std::fmt;

use reqwest::{Certificate, ClientBuilder, Proxy};
use url::Url;

use super::redirect::is_loopback;
use super::settings::{ClientSettings, Timeouts};

const USER_AGENT: &str = concat!("ci-dashboard/", env!("CARGO_PKG_VERSION"));
/// The largest file of certificates: the bundles of whole systems have a fifth of this.
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// Makes it. No I/O but reading the CA file and the system's roots.
///
/// # Errors
/// In words, when the CA file or the proxy cannot be used. Never with a password.
pub(super) fn build(settings: &ClientSettings, timeouts: Timeouts) -> Result<reqwest::Client, String> {
    // Whoever was first wins; all of ours bring the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = certificates(settings)?;
    if settings.insecure_skip_verify {
        tracing::warn!(
            source = %settings.source,
            "insecure_skip_verify: any certificate is accepted, so anybody in between can read the token"
        );
    }
    let roots = |builder: ClientBuilder| {
        if certificates.is_empty() { builder } else { builder.tls_certs_merge(certificates.clone()) }
    };
    let built = roots(builder(settings, timeouts)?).build();
    let built = match built {
        // A small container has no roots at all. Over plain HTTP none are needed.
        Err(_) if settings.base.scheme() == "http" => {
            builder(settings, timeouts)?.tls_certs_only(certificates.clone()).build()
        }
        other => other,
    };
    built.map_err(|e| format!("cannot set up the HTTP client: {}", innermost(&e.without_url())))
}

/// Schemes of proxies.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

fn builder(settings: &ClientSettings, timeouts: Timeouts) -> Result<ClientBuilder, String> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        // Both would carry what must stay here: redirects are followed by hand, and a referer tells our URLs.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Retries are ours; reqwest has some of its own for HTTP/2.
        .retry(reqwest::retry::never());
    if let Some(url) = &settings.proxy {
        let unusable =
            || format!("proxy {} cannot be used: it has to be one of {}", shown(url), PROXIES.join(", "));
        // One that is not understood would be left out, not refused.
        let known = PROXIES.contains(&url.scheme());
        let proxy = Proxy::all(url.as_str()).ok().filter(|_| known).ok_or_else(unusable)?;
        builder = builder.proxy(proxy);
    } else if is_loopback(&settings.base) {
        // A proxy of the environment's could not reach it.
        builder = builder.no_proxy();
    }
    if settings.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

fn certificates(settings: &ClientSettings) -> Result<Vec<Certificate>, String> {
    let Some(file) = &settings.ca_file else { return Ok(Vec::new()) };
    let named = |why: &dyn fmt::Display| format!("ca_file {}: {why}", file.display());
    let size = std::fs::metadata(file).map_err(|e| named(&e))?.len();
    if size > MAX_CA_BYTES {
        return Err(named(&format_args!("is larger than {} KiB", MAX_CA_BYTES / 1024)));
    }
    let pem = std::fs::read(file).map_err(|e| named(&e))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|_| named(&"is no file of certificates (PEM)"))?;
    if certificates.is_empty() {
        return Err(named(&"holds no certificate (PEM)"));
    }
    Ok(certificates)
}

/// Scheme, host and port: what may be told of a URL that has credentials.
fn shown(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or("?"))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
