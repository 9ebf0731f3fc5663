//! `server.tls`: the certificate that is shown, its renewal, and HTTP/2 over it.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::{Ask, House, get, post, user};

const HOST: &str = "ci.example.com";
const YAML: &str = "server: { public_url: \"https://ci.example.com\", tls: { cert: cert.pem, key: key.pem } }\nauth: { mode: basic, users_file: users, tokens_file: tokens }\n";

type Made = rcgen::CertifiedKey<rcgen::KeyPair>;

fn certificate() -> Made {
    rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap()
}

async fn house(made: &Made) -> House {
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let users = user("ada", "right", "");
    House::open(YAML, &[("cert.pem", &cert), ("key.pem", &key), ("users", &users), ("tokens", "")]).await
}

/// A connection that trusts this certificate alone.
async fn connect(house: &House, made: &Made, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    let stream = TcpStream::connect(house.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(HOST.try_into().unwrap(), stream).await
}

#[tokio::test]
async fn http_2_and_1_over_tls() {
    let made = certificate();
    let house = house(&made).await;
    let stream = connect(&house, &made, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    let over_2 = |ask: Ask| {
        let mut request = ask.request();
        *request.uri_mut() = format!("https://{HOST}{}", request.uri()).parse().unwrap();
        request.headers_mut().remove("host");
        request
    };
    let signed_in = send.send_request(over_2(post("/sign-in", "user=ada&password=right"))).await.unwrap();
    assert_eq!(signed_in.status(), 303);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let answer = send.send_request(over_2(get("/api/v1/session").cookie(cookie))).await.unwrap();
    assert!(answer.headers().contains_key("strict-transport-security"));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(br#"{"name":"ada""#) || String::from_utf8_lossy(&body).contains("\"ada\""));

    let mut stream = connect(&house, &made, &[]).await.unwrap();
    let ask = format!("GET /api/health HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // What is open ends with the process.
    drop(send);
    drop(tasks);
    house.close().await;
}

#[tokio::test]
async fn who_asks_from_within_whether_it_is_well_does_so_over_tls() {
    let made = certificate();
    let house = house(&made).await;
    let mut server = house.settings(YAML).server;
    (server.host, server.port) = ("127.0.0.1".to_owned(), house.address.port());
    let check = |server: &config::Server| {
        let server = server.clone();
        tokio::task::spawn_blocking(move || web::check_health(&server))
    };
    assert_eq!(check(&server).await.unwrap(), Ok(()));
    // Somebody else's server on that port is not ours.
    let other = certificate();
    house.write("other.pem", &other.cert.pem());
    server.tls = Some(config::Tls { cert: house.dir().join("other.pem"), key: house.dir().join("key.pem") });
    let why = check(&server).await.unwrap().unwrap_err();
    assert!(why.contains("not the one of server.tls"), "{why}");
}

#[tokio::test]
async fn plain_http_is_no_way_in() {
    let house = house(&certificate()).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(b"GET /api/health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let (old, new) = (certificate(), certificate());
    let house = house(&old).await;
    assert!(connect(&house, &old, &[]).await.is_ok());
    assert!(connect(&house, &new, &[]).await.is_err());
    house.write("cert.pem", &new.cert.pem());
    house.write("key.pem", &new.signing_key.serialize_pem());
    let renewed = async {
        while connect(&house, &new, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
    // The key of another: what was good goes on. (The tokens file, looked at as often, tells that this was seen.)
    house.write("key.pem", &old.signing_key.serialize_pem());
    let seen = tokio::time::timeout(Duration::from_secs(60), looked_again(&house, &new));
    assert!(seen.await.unwrap().is_ok());
}

/// Makes a token, and then another, and waits until each is taken.
async fn looked_again(house: &House, made: &Made) -> std::io::Result<()> {
    for name in ["one", "two"] {
        let token = web::create_token(name, None).unwrap();
        house.write("tokens", &token.line);
        let ask = format!(
            "GET /api/v1/session HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            token.token
        );
        loop {
            let mut stream = connect(house, made, &[]).await?;
            stream.write_all(ask.as_bytes()).await?;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            if answer.starts_with("HTTP/1.1 200") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
