//! Who may look: sign-in, sessions, tokens, proxies, and what is open to all.

use domain::{Clock as _, Timestamp};
use jiff::SignedDuration;
use serde_json::json;

use crate::house::{Ask, House, cookie_of, get, post, user};
use crate::kit::NOW;

const BASIC: &str = "auth: { mode: basic, users_file: users, tokens_file: tokens }\n";
/// The tests' own connections come from a proxy that is trusted: so they may come from anywhere.
const BEHIND_A_PROXY: &str = "server: { trusted_proxies: [127.0.0.1] }\n";
const API: &str = "/api/v1/projects";

async fn basic() -> House {
    with(BASIC).await
}

async fn with(yaml: &str) -> House {
    let users = user("ada", "right", "platform,on-call") + &user("bob", "other", "");
    House::open(yaml, &[("users", &users), ("tokens", "")]).await
}

/// From another machine, over HTTPS as far as the proxy.
fn from_afar(ask: Ask) -> Ask {
    ask.with("x-forwarded-for", "192.0.2.7").with("x-forwarded-proto", "https")
}

#[tokio::test]
async fn a_page_leads_to_the_form_and_the_form_back_to_the_page() {
    let house = basic().await;
    let page = house.ask(&get("/projects/gl/42?branch=a%20b")).await;
    assert_eq!(page.status, 303);
    let form = page.header("location").unwrap();
    assert_eq!(form, "/sign-in?next=/projects/gl/42%3Fbranch%3Da%2520b");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let form = house.ask(&get(form)).await;
    assert_eq!((form.status.as_u16(), form.header("cache-control")), (200, Some("no-store")));
    let html = form.text();
    assert!(html.contains("value=\"/projects/gl/42?branch=a%20b\""), "{html}");
    assert!(!html.contains("app.js") && !html.contains("merge"), "it names nothing and needs no script");

    let filled = "user=ada&password=right&next=/projects/gl/42%3Fbranch%3Da%2520b";
    let reply = house.ask(&post("/sign-in", filled)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (303, Some("/projects/gl/42?branch=a%20b"))
    );
    let set = reply.header("set-cookie").unwrap();
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=604800"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = cookie_of(&reply);
    let page = house.ask(&get("/").cookie(&cookie)).await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, Some("private, no-cache")));
    assert!(page.text().contains("Sign out"));
    let who = house.ask(&get("/api/v1/session").cookie(&cookie)).await.json();
    let in_a_week = NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(7 * 24);
    assert_eq!(
        who,
        json!({ "name": "ada", "groups": ["platform", "on-call"], "by": "session", "expires_at": in_a_week.to_string() })
    );
    // Who is in already is led on.
    let on = house.ask(&get("/sign-in?next=/issues").cookie(&cookie)).await;
    assert_eq!((on.status.as_u16(), on.header("location")), (303, Some("/issues")));
}

#[tokio::test]
async fn signing_out_ends_the_session_and_its_streams() {
    let house = basic().await;
    let cookie = house.sign_in("ada", "right").await;
    let other = house.sign_in("ada", "right").await;
    let mut events = house.begin(&get("/api/v1/events/stream").cookie(&cookie)).await;
    events.text_until("event: link").await;
    let reply = house.ask(&post("/sign-out", "").cookie(&cookie)).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, Some("/sign-in")));
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    events.text_until("event: bye").await;
    assert_eq!(house.ask(&get(API).cookie(&cookie)).await.status, 401);
    assert_eq!(house.ask(&get(API).cookie(&other)).await.status, 200, "another browser's stays");
}

#[tokio::test]
async fn other_settings_forget_nobody() {
    let mut house = basic().await;
    let (gone, stays) = (house.sign_in("ada", "right").await, house.sign_in("bob", "other").await);
    house.ask(&post("/sign-out", "").cookie(&gone)).await;
    for _ in 0..6 {
        house.ask(&post("/sign-in", "user=eve&password=x").with("x-forwarded-for", "192.0.2.1")).await;
        house.ask(&get(API).password("eve", "x")).await;
    }
    let bad = house.reload("auth: { mode: basic, users_file: none }").await.unwrap_err();
    assert!(bad.to_string().contains("auth.users_file"), "{bad}");
    assert_eq!(house.ask(&get(API).cookie(&stays)).await.status, 200, "the old ones stay in force");
    house.reload(&format!("{BASIC}ui: {{ title: Other }}\n")).await.unwrap();
    assert!(house.until(&get("/").cookie(&stays), 200).await.text().contains("Other"));
    assert_eq!(house.ask(&get(API).cookie(&gone)).await.status, 401, "signed out stays signed out");
    house.ask(&get(API).password("eve", "x")).await.problem(429);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike() {
    let house = basic().await;
    let ask = async |form: &str| house.ask(&post("/sign-in", form)).await;
    let wrong = ask("user=ada&password=wrong&next=/issues").await;
    let unknown = ask("user=eve&password=wrong&next=/issues").await;
    for reply in [&wrong, &unknown] {
        assert_eq!(reply.status, 401);
        assert!(
            reply.header("set-cookie").is_none() && reply.header("content-type").unwrap().contains("html")
        );
    }
    assert!(wrong.text().contains("value=\"ada\"") && wrong.text().contains("value=\"/issues\""));
    assert_eq!(wrong.text().replace("ada", "eve"), unknown.text());
    for form in ["user=&password=", "password=right", "user=%00&password=x"] {
        assert_eq!(ask(form).await.status, 401, "{form}");
    }
    let json = post("/sign-in", "{}").method("PUT");
    assert_eq!(house.ask(&json).await.status, 405);
}

#[tokio::test]
async fn the_sixth_failure_is_one_too_many() {
    let house = with(&format!("{BASIC}{BEHIND_A_PROXY}")).await;
    let try_as = async |user: &str, password: &str, from: &str| {
        let form = post("/sign-in", &format!("user={user}&password={password}"));
        house.ask(&form.with("x-forwarded-for", from).with("x-forwarded-proto", "https")).await
    };
    for n in 0..5 {
        assert_eq!(try_as("ada", "wrong", &format!("192.0.2.{n}")).await.status, 401);
    }
    let sixth = try_as("ada", "wrong", "192.0.2.9").await;
    assert_eq!(sixth.status, 429);
    let wait: u64 = sixth.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // Whoever it is: nobody learns that a password was right.
    assert_eq!(try_as("ada", "right", "192.0.2.10").await.status, 429);
    assert_eq!(try_as("bob", "other", "192.0.2.10").await.status, 303, "others are not concerned");
    let api = from_afar(get(API).password("ada", "right"));
    house.ask(&api).await.problem(429);
    // And by address, whoever is tried.
    for n in 0..5 {
        assert_eq!(try_as(&format!("u{n}"), "wrong", "198.51.100.1").await.status, 401);
    }
    assert_eq!(try_as("u5", "wrong", "198.51.100.1").await.status, 429);
    assert_eq!(try_as("bob", "other", "198.51.100.1").await.status, 429);
}

#[tokio::test]
async fn scripts_show_a_password_or_a_token_and_are_told_when_it_is_none() {
    let house = basic().await;
    let new = web::create_token("nightly", None).unwrap();
    let passing = web::create_token("passing", Some("2026-11-24T13:00:00Z".parse().unwrap())).unwrap();
    house.write("tokens", &format!("{}\n{}\n", new.line, passing.line));
    let nothing = house.ask(&get(API)).await;
    nothing.problem(401);
    let challenges: Vec<_> = nothing.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 2);
    // A browser's own prompt in the middle of a page is no help.
    let page = house.ask(&get(API).with("sec-fetch-site", "same-origin")).await;
    assert_eq!(page.header("www-authenticate"), Some("Bearer realm=\"CI Dashboard\""));

    let session = async |ask: Ask| house.ask(&ask).await.json();
    house.until(&get(API).token(&new.token), 200).await;
    let by_token = session(get("/api/v1/session").token(&new.token)).await;
    assert_eq!(by_token, json!({ "name": "token:nightly", "groups": [], "by": "token", "expires_at": null }));
    let by_password = session(get("/api/v1/session").password("bob", "other")).await;
    assert_eq!(by_password, json!({ "name": "bob", "groups": [], "by": "password", "expires_at": null }));
    for wrong in [
        get(API).token("cid_nonsense"),
        get(API).token(""),
        get(API).password("ada", "wrong"),
        get(API).with("authorization", "Basic ???"),
        get(API).with("authorization", "Bearer"),
        get(API).with("authorization", "Digest x"),
        get("/").token("cid_nonsense"),
    ] {
        let reply = house.ask(&wrong).await;
        assert!(reply.status == 401 && reply.header("www-authenticate").is_some(), "{wrong:?}");
    }
    assert_eq!(house.ask(&get(API).token(&passing.token)).await.status, 200);
    house.clock.advance(SignedDuration::from_hours(1));
    assert_eq!(house.ask(&get(API).token(&passing.token)).await.status, 401);
}

#[tokio::test]
async fn who_is_taken_out_of_the_file_is_out() {
    let house = basic().await;
    let token = web::create_token("t", None).unwrap();
    house.write("tokens", &token.line);
    house.until(&get(API).token(&token.token), 200).await;
    let (ada, bob) = (house.sign_in("ada", "right").await, house.sign_in("bob", "other").await);
    let mut events = Vec::new();
    for shown in [
        get("/api/v1/events/stream").cookie(&ada),
        get("/api/v1/events/stream").password("ada", "right"),
        get("/api/v1/events/stream").token(&token.token),
    ] {
        let mut stream = house.begin(&shown).await;
        stream.text_until("event: link").await;
        events.push(stream);
    }
    // Of a line that nobody can read the others go on; a password that changed is another one.
    house.write("users", &format!("nonsense\n{}", user("bob", "new", "")));
    house.write("tokens", "");
    for mut stream in events {
        stream.text_until("event: bye").await;
    }
    for gone in [get(API).cookie(&ada), get(API).password("ada", "right"), get(API).token(&token.token)] {
        assert_eq!(house.ask(&gone).await.status, 401, "{gone:?}");
    }
    assert_eq!(house.ask(&get(API).cookie(&bob)).await.status, 401, "it began with the old password");
    house.sign_in("bob", "new").await;
}

#[tokio::test]
async fn sessions_outlive_the_process_and_keys_rotate() {
    let house = basic().await;
    let cookie = house.sign_in("ada", "right").await;
    let key = house.dir().join(".local/state/ci-dashboard/session.key");
    let old = std::fs::read_to_string(&key).unwrap();
    let house = House::in_dir(house.close().await, BASIC).await;
    let page = house.ask(&get("/").cookie(&cookie)).await;
    assert!(page.status == 200 && page.header("set-cookie").is_none());

    std::fs::write(&key, format!("{}\n{old}", "n".repeat(44))).unwrap();
    let house = House::in_dir(house.close().await, BASIC).await;
    let page = house.ask(&get("/").cookie(&cookie)).await;
    assert_eq!(page.status, 200);
    let renewed = cookie_of(&page);
    std::fs::write(&key, "n".repeat(44)).unwrap();
    let house = House::in_dir(house.close().await, BASIC).await;
    assert_eq!(house.ask(&get("/").cookie(&cookie)).await.status, 303);
    assert_eq!(house.ask(&get("/").cookie(&renewed)).await.status, 200);
}

#[tokio::test]
async fn a_session_that_is_used_goes_on_and_one_that_is_not_ends() {
    let house = basic().await;
    let day = SignedDuration::from_hours(24);
    let cookie = house.sign_in("ada", "right").await;
    house.clock.advance(day * 3);
    assert!(house.ask(&get("/").cookie(&cookie)).await.header("set-cookie").is_none());
    house.clock.advance(day);
    let younger = cookie_of(&house.ask(&get("/").cookie(&cookie)).await);
    house.clock.advance(day * 4);
    assert_eq!(house.ask(&get(API).cookie(&cookie)).await.status, 401);
    assert_eq!(house.ask(&get(API).cookie(&younger)).await.status, 200);
    assert!(house.clock.now() > NOW.parse().unwrap());
}

#[tokio::test]
async fn a_cookie_that_was_not_sealed_here_is_none() {
    let house = basic().await;
    let cookie = house.sign_in("ada", "right").await;
    let (name, value) = cookie.split_once('=').unwrap();
    let mut altered = value.to_owned().into_bytes();
    altered[30] ^= 1;
    let altered = String::from_utf8_lossy(&altered).into_owned();
    for bad in [altered.as_str(), "", "e30", &value[4..], &"x".repeat(4000)] {
        assert_eq!(house.ask(&get(API).cookie(&format!("{name}={bad}"))).await.status, 401, "{bad}");
    }
    let among = format!("a=b; {cookie}; c");
    assert_eq!(house.ask(&get(API).cookie(&among)).await.status, 200);
}

#[tokio::test]
async fn passwords_are_not_taken_over_plain_http_from_elsewhere() {
    let house = with(&format!("{BASIC}{BEHIND_A_PROXY}")).await;
    let plain = |ask: Ask| ask.with("x-forwarded-for", "192.0.2.7").with("x-forwarded-proto", "http");
    let form = post("/sign-in", "user=ada&password=right");
    for refused in
        [plain(get("/sign-in")), plain(form.clone()), form.clone().with("x-forwarded-for", "192.0.2.7")]
    {
        let reply = house.ask(&refused).await;
        assert_eq!(reply.status, 403);
        let html = reply.text();
        assert!(
            html.contains("server.tls") && html.contains("trusted_proxies") && !html.contains("<input"),
            "{html}"
        );
    }
    let says = house.ask(&plain(get(API).password("ada", "right"))).await.problem(403);
    assert!(says.contains("https://"), "{says}");
    // Over HTTPS the cookie is for HTTPS alone.
    let reply = house.ask(&from_afar(form)).await;
    assert_eq!(reply.status, 303);
    let set = reply.header("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("__Host-") && set.contains("; Secure") && set.contains("; Path=/"), "{set}");
    assert!(reply.header("strict-transport-security").is_some());
    let cookie = cookie_of(&reply);
    assert_eq!(house.ask(&from_afar(get(API).cookie(&cookie))).await.status, 200);
    assert_eq!(house.ask(&plain(get(API).cookie(&cookie))).await.status, 401);
    // A proxy that nobody has told us of is none; what it says of the client is not believed.
    let house = basic().await;
    let through = post("/sign-in", "user=ada&password=right").with("x-forwarded-for", "127.0.0.1");
    assert_eq!(house.ask(&through.with("x-forwarded-proto", "https")).await.status, 403);
}

#[tokio::test]
async fn a_trusted_proxy_says_who_is_there() {
    let yaml = "auth: { mode: proxy, tokens_file: tokens, proxy: { groups_header: X-Groups } }\n";
    let yaml = format!("{yaml}{BEHIND_A_PROXY}");
    let token = web::create_token("t", None).unwrap();
    let house = House::open(&yaml, &[("tokens", &token.line)]).await;
    let named =
        get("/api/v1/session").with("x-forwarded-user", "ada@example.com").with("x-groups", "a, b,,c");
    assert_eq!(
        house.ask(&named).await.json(),
        json!({ "name": "ada@example.com", "groups": ["a", "b", "c"], "by": "proxy", "expires_at": null })
    );
    // The proxy's own password may come along.
    assert_eq!(house.ask(&named.clone().password("x", "y")).await.status, 200);
    house.ask(&named.with("x-forwarded-user", "root")).await.problem(403);
    house.ask(&get(API)).await.problem(401);
    let page = house.ask(&get("/")).await;
    assert!(
        page.status == 401 && page.text().contains("auth.proxy") && !page.text().contains("gl"),
        "no form"
    );
    assert_eq!(house.ask(&get("/sign-in")).await.status, 404);
    assert_eq!(house.ask(&get(API).token(&token.token)).await.status, 200);

    let yaml = "auth: { mode: proxy }\nserver: { trusted_proxies: [10.0.0.0/8] }\n";
    let house = House::open(yaml, &[]).await;
    house.ask(&get(API).with("x-forwarded-user", "ada")).await.problem(403);
    house.ask(&get(API)).await.problem(401);
}

#[tokio::test]
async fn what_is_open_names_nothing_and_the_rest_is_closed() {
    let house = basic().await;
    house.until(&get("/api/ready"), 200).await;
    let health = house.ask(&get("/api/health")).await.json();
    assert_eq!(health, json!({ "status": "ok", "aggregator": { "state": "connected" } }));
    let full = house.ask(&get("/api/health").password("ada", "right")).await.json();
    assert!(full["aggregator"]["address"].is_string() && full["version"].is_string());
    for open in ["/favicon.ico", "/static/x/app.css"] {
        assert!(house.ask(&get(open)).await.status.as_u16() < 400, "{open}");
    }
    // Not for want of a session: for want of a signature.
    assert_eq!(house.ask(&post("/webhooks/gl", "{}")).await.status, 202);
    for _ in 0..7 {
        let shown = post("/webhooks/gl", "{}").password("ada", "the platform's own");
        assert_eq!(house.ask(&shown).await.status, 202, "what it shows is not for us, and does not count");
    }
    for closed in ["/", "/issues", "/none", "/projects/gl/42"] {
        assert_eq!(house.ask(&get(closed)).await.status, 303, "{closed}");
    }
    for closed in [
        API,
        "/api/v1/sources",
        "/api/v1/openapi.json",
        "/api/none",
        "/metrics",
        "/badges/a/b.svg",
        "/feed.atom",
    ] {
        house.ask(&get(closed)).await.problem(401);
    }
    let streams = house.ask(&get("/api/v1/events/stream")).await;
    assert_eq!(streams.status, 401);
}

#[tokio::test]
async fn what_the_settings_open_is_open() {
    let house = with(&format!("{}\n", BASIC.trim_end().replace(" }", ", public: [feeds] }"))).await;
    assert_eq!(house.ask(&get("/feed.atom")).await.status.as_u16() / 100, 4);
    assert_ne!(house.ask(&get("/feed.atom")).await.status, 401);
    assert_eq!(house.ask(&get("/badges/a/b.svg")).await.status, 401);
    let house = with(&format!("{}\n", BASIC.trim_end().replace(" }", ", allow_anonymous: true }"))).await;
    assert_eq!(house.until(&get("/"), 200).await.status, 200);
    assert_eq!(house.ask(&get(API)).await.status, 200);
    assert_eq!(house.ask(&get("/metrics")).await.status, 401);
    assert_eq!(house.ask(&get(API).password("ada", "wrong")).await.status, 401);
}

#[tokio::test]
async fn a_page_that_all_the_world_may_see_says_so() {
    const SAYS: &str = "Nobody has to sign in here.";
    for (yaml, open) in [
        ("server: { host: 0.0.0.0 }", true),
        ("server: { host: 0.0.0.0 }\nauth: { allow_anonymous: true }", false),
        ("", false),
    ] {
        let house = House::open(yaml, &[]).await;
        assert_eq!(house.until(&get("/"), 200).await.text().contains(SAYS), open, "{yaml}");
    }
}

#[tokio::test]
async fn forms_of_other_sites_are_not_taken() {
    let house = basic().await;
    let form = || post("/sign-in", "user=ada&password=right");
    for foreign in [
        form().with("sec-fetch-site", "cross-site"),
        form().with("sec-fetch-site", "same-site"),
        form().with("origin", "https://evil.example"),
        form().with("origin", "null"),
        post("/sign-out", "").with("origin", "https://evil.example"),
    ] {
        let reply = house.ask(&foreign).await;
        assert!(reply.status == 403 && reply.header("set-cookie").is_none(), "{foreign:?}");
    }
    for own in
        [form().with("sec-fetch-site", "same-origin"), form().with("origin", "http://localhost"), form()]
    {
        assert_eq!(house.ask(&own).await.status, 303, "{own:?}");
    }
    let public = format!("{BASIC}server: {{ public_url: \"https://ci.example.org/\" }}\n");
    let house = with(&public).await;
    assert_eq!(house.ask(&form().with("origin", "https://ci.example.org")).await.status, 303);
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let house = basic().await;
    for next in [
        "//evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        "%2F%2Fevil.example",
        "/%0d%0aset-cookie:x",
    ] {
        let form = format!("user=ada&password=right&next={next}");
        let reply = house.ask(&post("/sign-in", &form)).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, Some("/")), "{next}");
    }
    let yaml = format!("{BASIC}server: {{ base_path: /ci }}\n");
    let house = with(&yaml).await;
    let page = house.ask(&get("/ci/issues")).await;
    assert_eq!(page.header("location"), Some("/ci/sign-in?next=/issues"));
    let reply = house.ask(&post("/ci/sign-in", "user=ada&password=right&next=/issues")).await;
    assert_eq!(reply.header("location"), Some("/ci/issues"));
}

#[tokio::test]
async fn listed_origins_may_ask_with_a_token_and_others_may_not() {
    let yaml = format!("{BASIC}server: {{ cors: [\"https://portal.example.com\"] }}\n");
    let house = with(&yaml).await;
    let preflight = |origin: &str| {
        let ask = get(API).method("OPTIONS").with("origin", origin);
        ask.with("access-control-request-method", "GET")
            .with("access-control-request-headers", "authorization")
    };
    let listed = house.ask(&preflight("https://portal.example.com")).await;
    assert_eq!(listed.status, 204);
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://portal.example.com"));
    assert!(listed.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert!(listed.header("access-control-allow-credentials").is_none(), "cookies stay at home");
    let other = house.ask(&preflight("https://evil.example")).await;
    assert!(other.header("access-control-allow-origin").is_none());
    let page = get("/").method("OPTIONS").with("origin", "https://portal.example.com");
    let page = house.ask(&page.with("access-control-request-method", "GET")).await;
    assert!(page.header("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn a_request_has_one_id_everywhere() {
    let house = House::open(BEHIND_A_PROXY, &[]).await;
    house.until(&get("/api/ready"), 200).await;
    let reply = house.ask(&get(&format!("{API}?q=x")).with("x-request-id", "from-the.proxy_1")).await;
    assert_eq!(reply.header("x-request-id"), Some("from-the.proxy_1"));
    assert!(house.aggregator.request_ids().contains(&"from-the.proxy_1".to_owned()));
    let problem = house.ask(&get("/api/none").with("x-request-id", "abc")).await;
    problem.problem(404);
    assert_eq!(problem.json()["request_id"], "abc");
    let page = house.ask(&get("/none").with("x-request-id", "abc")).await;
    assert!(page.text().contains("<code>abc</code>"));
    let odd = house.ask(&get("/none").with("x-request-id", "<script>")).await;
    assert!(!odd.text().contains("<script>") && odd.header("x-request-id") != Some("<script>"));

    let house = House::open("", &[]).await;
    let own = house.ask(&get("/api/health").with("x-request-id", "abc")).await;
    let again = house.ask(&get("/api/health")).await;
    assert!(
        own.header("x-request-id") != Some("abc")
            && own.header("x-request-id") != again.header("x-request-id")
    );
}
