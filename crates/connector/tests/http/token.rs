//! The token goes to the configured origin and is told to nobody.

use connector::Error;
use connector::http::{Auth, Client, ClientSettings};
use secrecy::SecretString;
use url::Url;

use crate::kit::{self, CANARY, ENDPOINT, Server, both, client, json, redirect, status};

#[tokio::test]
async fn a_redirect_elsewhere_is_refused() {
    let thief = Server::always(json("{}")).await;
    for to in [
        thief.foreign("/take"),
        format!("http://{}/take", thief.addr),
        format!("//{}/take", thief.addr),
        format!("https://127.0.0.1:{}/take", thief.addr.port()),
        "file:///etc/passwd".to_owned(),
    ] {
        let (server, client) = both(redirect(&to)).await;
        let error = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap_err();
        assert!(matches!(&error, Error::Redirect(words) if !words.contains("take")), "{to}: {error}");
        assert_eq!(server.seen().len(), 1);
    }
    assert_eq!(thief.seen().len(), 0);
}

#[tokio::test]
async fn a_url_from_elsewhere_is_not_asked() {
    let thief = Server::always(json("{}")).await;
    let (_server, client) = both(json("{}")).await;
    for url in [thief.url("/a"), Url::parse(&thief.foreign("/a")).unwrap(), Url::parse("data:,x").unwrap()] {
        assert!(matches!(client.get(ENDPOINT, url.clone()).await, Err(Error::Redirect(_))));
        assert!(matches!(client.get_tail(ENDPOINT, url, 10).await, Err(Error::Redirect(_))));
    }
    assert_eq!(thief.seen().len(), 0);
}

#[tokio::test]
async fn a_next_page_elsewhere_is_refused() {
    for (link, refused) in [
        ("<https://evil.example/next>; rel=next", true),
        ("<http://127.0.0.1:1/next>; rel=next", true),
        ("</api/a?page=2>; rel=next", false),
        ("<https://evil.example/last>; rel=last", false),
    ] {
        let (server, client) = both(json("[]").header("link", link)).await;
        let answer = client.get(ENDPOINT, server.url("/api/a")).await.unwrap();
        match answer.next_link() {
            Err(Error::Redirect(words)) => assert!(refused && !words.contains("/next"), "{words}"),
            other => assert!(!refused, "{link}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_way_to_sign_in_is_one_header() {
    let secret = || SecretString::from(CANARY);
    for (auth, name, want) in [
        (Auth::Bearer(secret()), "authorization", Some(format!("Bearer {CANARY}"))),
        (
            Auth::Basic { user: "ci".into(), password: secret() },
            "authorization",
            Some("Basic Y2k6Y2FuYXJ5LTRmMWQ3YQ==".to_owned()),
        ),
        (Auth::Header { name: "PRIVATE-TOKEN", value: secret() }, "private-token", Some(CANARY.to_owned())),
        (Auth::Anonymous, "authorization", None),
    ] {
        let server = Server::always(json("{}")).await;
        let settings = ClientSettings { auth, ..kit::settings(server.url("/api")) };
        let client = Client::with_limits(settings, kit::clock(), kit::limits()).unwrap();
        client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
        assert_eq!(server.seen()[0].header(name).map(str::to_owned), want);
    }
}

#[tokio::test]
async fn nothing_prints_a_secret() {
    let (server, client) = both(json("[]").header("set-cookie", CANARY)).await;
    let mut settings = kit::settings(server.url("/api"));
    settings.proxy = Url::parse(&format!("http://user:{CANARY}@proxy.example:3128")).ok();
    let answer = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
    let mut printed = format!("{settings:?}{client:?}{answer:?}{:?}", client.traffic());
    let secret = || SecretString::from(CANARY);
    for auth in [
        Auth::Bearer(secret()),
        Auth::Basic { user: "ci".into(), password: secret() },
        Auth::Header { name: "x", value: secret() },
    ] {
        printed.push_str(&format!("{auth:?}"));
    }
    assert!(!printed.contains(CANARY), "{printed}");
}

#[tokio::test]
async fn no_error_tells_the_token_even_if_the_platform_does() {
    let echo = format!(r#"{{"message":"no such token: {CANARY}"}}"#);
    for code in [400, 401, 403, 404, 409, 422, 451, 500, 503] {
        let (_server, client) = both(status(code).body(echo.clone())).await;
        let error = client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap_err();
        assert!(!format!("{error}{error:?}").contains(CANARY), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_client_says_so_without_its_secrets() {
    let base = || Url::parse("http://127.0.0.1:1/api").unwrap();
    let build = |settings| Client::new(settings, kit::clock()).unwrap_err();
    let value = SecretString::from(format!("{CANARY}\n"));
    let mut wrong = vec![build(ClientSettings { auth: Auth::Bearer(value), ..kit::settings(base()) })];
    let with_user = Url::parse(&format!("http://user:{CANARY}@127.0.0.1:1/api")).unwrap();
    wrong.push(build(kit::settings(with_user)));
    let proxy = Url::parse(&format!("ftp://user:{CANARY}@proxy.example")).ok();
    wrong.push(build(ClientSettings { proxy, ..kit::settings(base()) }));
    let missing = "/nonexistent/ca.pem".into();
    wrong.push(build(ClientSettings { ca_file: Some(missing), ..kit::settings(base()) }));
    assert!(
        wrong[0].contains("token") && wrong[1].contains("url") && wrong[3].contains("ca.pem"),
        "{wrong:?}"
    );
    assert!(wrong.iter().all(|words| !words.contains(CANARY)), "{wrong:?}");
}

#[tokio::test]
async fn another_platforms_client_is_another_client() {
    // What one source was told to keep, another does not send.
    let (server, first) = both(json("{}").header("etag", "\"1\"")).await;
    let second = client(server.url("/api"));
    for client in [&first, &second, &first] {
        client.get(ENDPOINT, client.url(&["a"], &[])).await.unwrap();
    }
    let conditions: Vec<_> = server.seen().iter().map(|s| s.header("if-none-match").is_some()).collect();
    assert_eq!(conditions, [false, false, true]);
}
