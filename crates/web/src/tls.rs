//! `server.tls`: HTTPS without a proxy before us, with certificates that may be renewed while we run.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{FileProblem, Kind, Parsed, Watched};

/// However long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Protocols that are spoken, the better one first.
pub(crate) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Makes TLS connections with the certificate of this moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Watched<Arc<ServerConfig>>);

impl Tls {
    /// Reads certificate chain and key.
    pub(crate) fn open(files: &config::Tls) -> Result<Self, FileProblem> {
        let kind = Kind { key: "server.tls", parse, gone: None };
        Ok(Self(Watched::open(vec![files.cert.clone(), files.key.clone()], kind)?))
    }

    /// Looks for a renewed certificate, for ever.
    pub(crate) async fn keep(self) {
        self.0.keep().await;
    }

    /// The connection, once the client has shaken hands; nothing when it does not.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&*self.0.get()));
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            // Scanners, and clients that do not trust the certificate: their business.
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS handshake");
                None
            }
            Err(_) => None,
        }
    }
}

fn parse(texts: &[String]) -> Parsed<Arc<ServerConfig>> {
    match config(texts.first().map_or("", String::as_str), texts.get(1).map_or("", String::as_str)) {
        Ok(config) => Parsed { value: Some(Arc::new(config)), problems: Vec::new() },
        Err(why) => Parsed { value: None, problems: vec![why] },
    }
}

fn config(cert: &str, key: &str) -> Result<ServerConfig, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("cert is no PEM: {error}"))?;
    if chain.is_empty() {
        return Err("cert holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "key holds no private key (-----BEGIN PRIVATE KEY-----)".to_owned())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|error| format!("certificate and key do not go together: {error}"))?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told() {
        let made = |host: &str| rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        let (one, other) = (made("a.example"), made("b.example"));
        let key = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| made.signing_key.serialize_pem();
        assert!(config(&one.cert.pem(), &key(&one)).is_ok());
        for (cert, key, what) in [
            (String::new(), key(&one), "cert holds no certificate"),
            (one.cert.pem(), String::new(), "key holds no private key"),
            (one.cert.pem(), one.cert.pem(), "key holds no private key"),
            (one.cert.pem(), key(&other), "do not go together"),
        ] {
            let why = config(&cert, &key).unwrap_err();
            assert!(why.contains(what) && !why.contains("MII"), "{why}");
        }
    }
}
