//! Feeds that want to do harm.

use std::fmt::Write as _;

use connector::Error;
use domain::Status;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::server::Server;

const PROJECT: &str = r#"<Project name="p" activity="Sleeping" lastBuildStatus="Success"/>"#;

#[tokio::test]
async fn entities_do_not_grow() {
    let server = Server::start().await;
    let mut bomb = String::from("<?xml version=\"1.0\"?><!DOCTYPE Projects [<!ENTITY a0 \"ha\">");
    for n in 1..40 {
        let before = format!("&a{};", n - 1).repeat(10);
        let _ = write!(bomb, "<!ENTITY a{n} \"{before}\">");
    }
    let _ = write!(
        bomb,
        r#"]><Projects>&a39;<Project name="p&a39;" lastBuildStatus="&a39;">&a39;</Project>{PROJECT}</Projects>"#
    );
    server.body(bomb);
    let read = server.read().await.unwrap();
    assert_eq!(read["p"].1.pipelines[0].status, Status::Success);
    assert_eq!(read["p&a39;"].1.pipelines[0].status, Status::Unknown, "left as it is written");
}

#[tokio::test]
async fn entities_reach_for_nothing() {
    let secret = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("hush")).mount(&secret).await;
    let server = Server::start().await;
    server.body(format!(
        r#"<?xml version="1.0"?><!DOCTYPE Projects SYSTEM "{0}/x.dtd" [<!ENTITY f SYSTEM "file:///etc/passwd">
           <!ENTITY w SYSTEM "{0}/w"><!ENTITY % p SYSTEM "{0}/p"> %p;]>
           <Projects><Project name="&f;" lastBuildStatus="Success"/><Project name="&w;" lastBuildStatus="Success"/></Projects>"#,
        secret.uri()
    ));
    let read = server.read().await.unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["&f;", "&w;"]);
    assert_eq!(secret.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let server = Server::start().await;
    server.feed(&PROJECT.repeat(25 * 1024 * 1024 / PROJECT.len()));
    let error = server.refusal().await;
    assert!(matches!(&error, Error::Garbage(text) if text.contains("more than 16 MiB")), "{error:?}");
}

#[tokio::test]
async fn what_is_too_many_or_too_deep_has_a_bound() {
    let server = Server::start().await;
    let many: String =
        (0..21_000).map(|n| format!("<Project name=\"p{n}\" lastBuildStatus=\"Success\"/>")).collect();
    server.feed(&many);
    assert_eq!(server.source.projects(None).await.unwrap().items.len(), 20_000);

    server.feed(&"<a>".repeat(1_000_000));
    let error = server.refusal().await;
    assert!(matches!(&error, Error::Garbage(text) if text.contains("deep")), "{error:?}");

    let attributes: String = (0..200_000).map(|n| format!(" a{n}='x'")).collect();
    let messages = "<message text='x' kind='Breakers'/>".repeat(50_000);
    server.feed(&format!(
        "<Project name='p' lastBuildStatus='Failure'{attributes}><messages>{messages}</messages></Project>"
    ));
    assert_eq!(server.read().await.unwrap()["p"].1.pipelines[0].status, Status::Failed);
}

#[tokio::test]
async fn encodings_are_what_is_declared_and_nothing_panics_on_others() {
    let server = Server::start().await;
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let feed = |declared: &str, name: &[u8]| {
        let mut body =
            format!("<?xml version=\"1.0\" encoding=\"{declared}\"?><Projects><Project name=\"").into_bytes();
        body.extend_from_slice(name);
        body.extend_from_slice(b"\" lastBuildStatus=\"Success\"/></Projects>");
        body
    };
    let mut marked = vec![0xEF, 0xBB, 0xBF];
    marked.extend(feed("utf-8", "Grüße".as_bytes()));
    let mut wide = vec![0xFF, 0xFE];
    wide.extend(utf16("<?xml version=\"1.0\" encoding=\"UTF-16\"?><Projects><Project name=\"Grüße\" lastBuildStatus=\"Success\"/></Projects>"));
    for (body, name) in [
        (marked, "Grüße"),
        (wide, "Grüße"),
        (feed("ISO-8859-1", b"Gr\xFC\xDFe"), "Grüße"),
        (feed("shift_jis", b"\x83\x65\x83\x58\x83\x67"), "テスト"),
        (feed("utf-8", b"Gr\xFC\xDFe"), "Gr\u{FFFD}\u{FFFD}e"),
        (feed("EBCDIC-of-old", "Grüße".as_bytes()), "Grüße"),
    ] {
        server.body(body);
        assert_eq!(server.read().await.unwrap().keys().collect::<Vec<_>>(), [name]);
    }
    for body in [&b"\xFF\xFE"[..], b"\xFE\xFF\0", b"\xEF\xBB\xBF", b"\0\0\0\0", b"<\0P\0", &[0xFF; 4096]] {
        server.body(body);
        let error = server.refusal().await;
        assert!(
            matches!(&error, Error::Garbage(text) if text.starts_with("expected a cctray feed")),
            "{error:?}"
        );
    }
}
