use std::time::Duration;

use domain::ManualClock;
use lifecycle::{Lifecycle, Stopped};
use tokio::time::{Instant, timeout};

use super::*;

const OLD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const NEW: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A door with these settings in `dir`.
fn doorman(dir: &tempfile::TempDir, yaml: &str) -> Doorman {
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    let inputs =
        config::Inputs::isolated(config::Role::Web, Some(file), [("HOME", dir.path().to_str().unwrap())]);
    let auth = config::load(&inputs).unwrap().settings.auth;
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    Doorman::new(&auth, Memory::new().unwrap(), clock).unwrap()
}

fn from_here(by_trusted_proxy: bool) -> Client {
    Client {
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        secure: false,
        local: true,
        by_trusted_proxy,
    }
}

/// Long after every look at the files.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_the_key_that_sealed_it_and_not_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("users", &format!("ada:{}:\n", hash_password("right").unwrap()));
    write("keys", OLD);
    let yaml = "auth: { mode: basic, users_file: users, session_key_file: keys }";
    let (doorman, life, client) = (doorman(&dir, yaml), Lifecycle::new(), from_here(false));
    doorman.keep(&life.tasks());
    let identity = doorman.by_password("ada", "right", &client).await.unwrap();
    let cookie = doorman.begin_session(&identity, &client).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, cookie.to_str().unwrap().split(';').next().unwrap().parse().unwrap());
    let (visitor, _) = doorman.visitor(&headers, &client).await.unwrap();
    assert_eq!(visitor.identity().unwrap().how(), "session");
    // A new key on top: the old one still counts.
    write("keys", &format!("{NEW}\n{OLD}\n"));
    assert!(timeout(LONG, doorman.until_gone(&visitor)).await.is_err());
    let (renewed, cookie) = doorman.visitor(&headers, &client).await.unwrap();
    assert!(renewed.identity().is_some() && cookie.is_some());
    write("keys", NEW);
    timeout(LONG, doorman.until_gone(&visitor)).await.unwrap();
    assert!(doorman.visitor(&headers, &client).await.unwrap().0.identity().is_none());
    assert_eq!(life.stop().await, Stopped::Clean);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_is_asked_again_and_again_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = "auth: { mode: proxy }\nserver: { trusted_proxies: [127.0.0.1] }";
    let (doorman, begun) = (doorman(&dir, yaml), Instant::now());
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-user", "ada".parse().unwrap());
    let (visitor, _) = doorman.visitor(&headers, &from_here(true)).await.unwrap();
    assert_eq!(doorman.expires(visitor.identity().unwrap()), None);
    doorman.until_gone(&visitor).await;
    assert_eq!(begun.elapsed().as_secs(), 55);
}

#[test]
fn every_path_has_its_area() {
    for (path, area) in [
        ("/", Area::Page),
        ("/projects/a/b", Area::Page),
        ("/none", Area::Page),
        ("/sign-in", Area::Open),
        ("/sign-in/x", Area::Page),
        ("/static/x/app.css", Area::Open),
        ("/webhooks/gl", Area::Open),
        ("/api/health", Area::Open),
        ("/api/health/x", Area::Api),
        ("/api", Area::Api),
        ("/api/v1/projects", Area::Api),
        ("/apical", Area::Page),
        ("/metrics", Area::Public(Public::Metrics)),
        ("/badges/a/b.svg", Area::Public(Public::Badges)),
        ("/feed.atom", Area::Public(Public::Feeds)),
        ("/cctray.xml", Area::Public(Public::Feeds)),
    ] {
        assert_eq!(Area::of(path), area, "{path}");
    }
}
