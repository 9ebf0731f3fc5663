//! Certificates.

use std::io::Write as _;
use std::sync::Arc;

use connector::Error;
use connector::http::{Client, ClientSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::kit::{self, ENDPOINT, Server, json};

/// A CA as a file, and a server with a certificate by it for `name`.
async fn server(name: &str) -> (Server, NamedTempFile) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(ca.pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let server = Server::start_tls(TlsAcceptor::from(Arc::new(config)), |_, _| json("{}")).await;
    (server, file)
}

async fn get(settings: ClientSettings) -> Result<(), Error> {
    let client = Client::with_limits(settings, kit::clock(), kit::limits()).unwrap();
    client.get(ENDPOINT, client.url(&["a"], &[])).await.map(drop)
}

fn words(outcome: Result<(), Error>) -> String {
    match outcome {
        Err(Error::Unreachable(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_ca_of_ones_own_is_trusted_when_it_is_named() {
    let (server, file) = server("127.0.0.1").await;
    let settings = || kit::settings(server.url("/api"));
    let text = words(get(settings()).await);
    let at = server.addr;
    assert!(
        text.starts_with(&format!("TLS: certificate of {at} not trusted: ")) && text.contains("ca_file"),
        "{text}"
    );
    assert_eq!(server.seen().len(), 0);
    assert_eq!(get(ClientSettings { ca_file: Some(file.path().into()), ..settings() }).await, Ok(()));
    assert_eq!(get(ClientSettings { insecure_skip_verify: true, ..settings() }).await, Ok(()));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let (server, file) = server("other.example").await;
    let settings = ClientSettings { ca_file: Some(file.path().into()), ..kit::settings(server.url("/api")) };
    let text = words(get(settings).await);
    assert!(text.ends_with("it is not one for 127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_server_without_tls_is_called_one() {
    let server = Server::always(json("{}")).await;
    let url = Url::parse(&format!("https://{}/api", server.addr)).unwrap();
    let text = words(get(kit::settings(url)).await);
    assert_eq!(text, format!("TLS: {} does not speak it; is it plain http?", server.addr));
}

#[tokio::test]
async fn a_file_that_holds_no_certificate_is_named() {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"-----BEGIN NONSENSE-----\n").unwrap();
    let settings = ClientSettings {
        ca_file: Some(file.path().into()),
        ..kit::settings(Url::parse("https://127.0.0.1:1").unwrap())
    };
    let error = Client::new(settings, kit::clock()).unwrap_err();
    assert!(error.contains("ca_file") && error.contains("certificate"), "{error}");
}
