//! No secret is ever shown.

use config::{Extra, SecretFrom};

use crate::support::Case;

#[test]
fn a_secret_may_be_a_file() {
    let file = "\
gitlab:
  - { name: a, token_file: secrets/t, webhook_secret_file: secrets/w, signing_token_file: secrets/t }
github:
  - { name: b, private_key_file: secrets/pem }
cache: { redis_url_file: secrets/redis }
database: { url_file: secrets/pg }
";
    let case = Case::new()
        .file("conf/c.yaml", file)
        .file("conf/secrets/t", "canary-t\r\n")
        .file("conf/secrets/w", "canary-w\n")
        .file("conf/secrets/pem", "-----BEGIN-----\ncanary-p\n-----END-----\n")
        .file("conf/secrets/redis", "redis://:canary-r@h:1\n")
        .file("conf/secrets/pg", "postgres://u:canary-d@h/d\n");
    let mut case = case;
    case.inputs.file = Some("conf/c.yaml".into());
    let loaded = case.good();
    let [a, b] = loaded.settings.sources.as_slice() else { panic!("{:?}", loaded.settings.sources) };
    let token = a.token.as_ref().unwrap();
    assert_eq!(token.expose(), "canary-t");
    assert_eq!(token.from(), &SecretFrom::File(case.path("conf/secrets/t")));
    assert_eq!(a.webhook_secret.as_ref().unwrap().expose(), "canary-w");
    assert_eq!(a.extra_secret("signing_token").unwrap().expose(), "canary-t");
    assert_eq!(b.extra_secret("private_key").unwrap().expose(), "-----BEGIN-----\ncanary-p\n-----END-----");
    assert!(matches!(b.extra.get("private_key"), Some(Extra::Secret(_))));
    assert_eq!(loaded.settings.cache.redis_url.expose(), "redis://:canary-r@h:1");
    hidden(&format!("{loaded:?} {:#?} {}", loaded.settings, loaded.settings.effective_yaml()));
}

#[track_caller]
fn hidden(text: &str) {
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn good_settings_show_none() {
    let file = "\
gitlab: [ { name: a, token: canary-1, webhook_secret: canary-2, signing_token: canary-3, proxy: \"http://canary-4:canary-5@p:1\" } ]
github: [ { name: b, token: ${TOKEN}, proxy: \"http://canary-6@p:1\", private_key: canary-7 } ]
cache: { redis_url: \"redis://:canary-8@h:6379/0?password=canary-9\" }
database: { postgres_url: \"postgres://u@h/d?user=u&password=canary-10#canary-11\" }
";
    let case = Case::yaml(file).env(&[("TOKEN", "canary-12"), ("BITBUCKET_TOKEN", "canary-13")]);
    let loaded = case.good();
    let yaml = loaded.settings.effective_yaml();
    hidden(
        &format!("{loaded:?} {:#?} {yaml} {:?}", loaded.settings, case.inputs)
            .replace("http://canary-4:", "http://u:"),
    );
    // The user name beside a password is no secret; a name alone may well be a token.
    assert!(yaml.contains("http://canary-4:********@p:1"), "{yaml}");
    assert!(yaml.contains("http://********@p:1"), "{yaml}");
    assert!(yaml.contains("token: \"********\" # from environment BITBUCKET_TOKEN"), "{yaml}");
    for source in &loaded.settings.sources {
        hidden(&format!("{} {:?}", source.token.as_ref().unwrap(), source.token));
    }
}

/// Mistakes made with secrets in hand.
#[test]
fn problems_show_none() {
    let cases = [
        "server: { host: \"${C} x\", port: ${C}, public_url: \"https://x:canary@h\", base_path: \"/${C} \" }",
        "aggregator: { listen: \"${C}:1\", address: \"http://u:canary@h:1\" }",
        "cache: { type: ${C}, ttl: ${C}, redis_url: \"http://:canary@h\" }",
        "cache: { redis_url: canary }",
        "database: { url: \"mysql://canary@h\" }",
        "database: { url: canary-a, postgres_url: canary-b }",
        "gitlab: [ { name: a, token: canary, token_file: canary-but-no-secret } ]"
            .replace("canary-but", "x-but")
            .leak(),
        "gitlab: [ { name: a, token: \"canary\\n1\" } ]",
        "gitlab: [ { name: a, token: [canary] } ]",
        "gitlab: [ { name: a, token: { canary-x: canary } } ]",
        "gitlab: [ { name: a, token: x, url: \"https://u:canary@h\" } ]",
        "gitlab: [ { name: a, token: x, url: \"canary@h\" } ]",
        "gitlab: [ { name: a, token: x, proxy: \"canary:canary@h\" } ]",
        "gitlab: [ { name: ${C}/, token: x } ]",
        "gitlab: [ { name: a, token: *canary } ]",
        "gitlab: [ { name: a, token: !canary x } ]",
        "gitlab: [ { name: a, token: @canary } ]",
        "gitlab: [ { name: a, token: %canary } ]",
        "gitlab: [ { name: a, token: `canary } ]",
        "gitlab: [ { name: a, token: \"canary } ]",
        "gitlab: [ { name: a, token: \"\\canary\" } ]",
        "gitlab: [ { name: a, token: 'x'canary } ]",
        "gitlab:\n- name: a\n  token: canary: x",
        "gitlab:\n- name: a\n  token: |canary\n",
        "gitlab:\n- name: a\n  token: &canary\n  x",
        "filters: { watched_repos: \"${C}\" }",
        "ui: { title: \"${C} ${\" }",
    ];
    for text in cases {
        for told in Case::yaml(text).env(&[("C", "canary")]).load().err().iter().flat_map(|p| p.iter()) {
            hidden(&format!("{told} {told:?}"));
        }
    }
    for variable in [
        "GITLAB_TOKEN",
        "GITHUB_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "AGGREGATOR_URL",
        "CI_DASHBOARD__GITLAB__0__TOKEN",
    ] {
        for value in ["canary\nx", "canary", "x://u:canary@h", "http://u:canary@h\u{1}"] {
            for told in Case::new().env(&[(variable, value)]).load().err().iter().flat_map(|p| p.iter()) {
                hidden(&format!("{told} {told:?}"));
            }
        }
    }
}

#[test]
fn a_secret_file_is_bounded_and_named() {
    let case = Case::yaml("gitlab: [ { name: a, token_file: big } ]").file("big", &"x".repeat(65 * 1024));
    assert!(case.bad()[0].contains("big: larger than 65536 bytes"));
    let case = Case::yaml("gitlab: [ { name: a, token_file: empty } ]").file("empty", "\n");
    assert!(case.bad()[0].contains("empty: it is empty"));
}
