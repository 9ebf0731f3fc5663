//! Every kind of mistake is told, with its place and what to do about it.

use crate::support::Case;

#[test]
fn all_at_once_with_lines() {
    let text = "\
server:
  prot: 80
  port: 99999
cache: { type: reddis, ttl: soon }

logging:
  level: warning
githb: []
";
    assert_eq!(
        Case::yaml(text).bad(),
        [
            r#"config.yaml:2: server.prot: unknown key; did you mean "port"?"#,
            r#"config.yaml:3: server.port: "99999" is not a port (0 to 65535)"#,
            r#"config.yaml:4: cache.type: "reddis" is not one of memory, redis; did you mean "redis"?"#,
            r#"config.yaml:4: cache.ttl: "soon" is not a duration such as 500ms, 90s, 5m, 24h, 30d or 1h30m"#,
            r#"config.yaml:7: logging.level: "warning" is not one of off, error, warn, info, debug, trace; did you mean "warn"?"#,
            r#"config.yaml:8: githb: unknown key; did you mean "github"?"#,
        ]
    );
}

/// Text of the file, how many mistakes, and a piece of the first.
#[test]
fn every_kind() {
    let cases: &[(&str, &str)] = &[
        // shape
        ("server: 5", "config.yaml:1: server: expected keys and values, found a single value"),
        ("server: [a]", "server: expected keys and values, found a list"),
        ("- a", "config.yaml:1: expected sections, found a list"),
        ("just text", "expected sections, found a single value"),
        ("server:\n  port: [1]", "config.yaml:2: server.port: expected a single value, found a list"),
        (
            "filters: { watched_repos: a/b }",
            r#"filters.watched_repos: expected a list, found a single value; write ["a/b"]"#,
        ),
        ("gitlab: { name: x }", "gitlab: expected a list of sources, found a mapping; write gitlab: ["),
        ("gitlab: [ x ]", "gitlab[0]: expected keys and values, found a single value"),
        // YAML
        ("server: {", "not YAML"),
        ("a: b: c", "config.yaml:1: not YAML"),
        ("server:\n\tport: 1", "config.yaml:2: not YAML"),
        ("ui: { title: *nope }", "a value that starts with * is an alias"),
        ("ui: { title: a }\n\nui: { title: b }", "config.yaml:3: ui: the key is there already, at line 1"),
        ("ui:\n  title: a\n  title: b", "config.yaml:3: ui.title: the key is there already, at line 2"),
        ("a: 1\n---\nb: 2", "a second document"),
        (
            "github: [ { name: a, events: [!schedule] } ]",
            "github[0].events[0]: YAML tags (!word) mean nothing here; quote",
        ),
        ("{ [a]: b }", "a key has to be a word"),
        ("ui: &a { title: *a }", "alias"),
        ("ui:\n  title: x\u{FDD0}", "config.yaml:2: a character that is not allowed"),
        // values
        ("server: { host: 300.1.1.1 }", r#"server.host: "300.1.1.1" is not an IP address or host name"#),
        ("server: { port: eighty }", r#""eighty" is not a port"#),
        ("server: { port: -1 }", r#""-1" is not a port"#),
        ("server: { base_path: /a b }", "server.base_path"),
        ("server: { base_path: /../x }", "server.base_path"),
        (
            "server: { public_url: ftp://x }",
            "server.public_url: the value is not a URL of the right kind; it has to start with https:// or http://",
        ),
        ("server: { public_url: example.com }", "is not a URL; it has to start with"),
        ("server: { allowed_hosts: [\"http://x\"] }", "server.allowed_hosts[0]"),
        ("server: { trusted_proxies: [10.0.0.0/33] }", "is not an IP address or network"),
        ("server: { cors: [\"https://a/b\"] }", "is not an origin"),
        ("server: { tls: { cert: a } }", "config.yaml:1: server.tls: key is missing"),
        ("server: { tls: { cret: a } }", r#"server.tls.cret: unknown key; did you mean "cert"?"#),
        (
            "aggregator: { listen: \"localhost:1\" }",
            r#"aggregator.listen: the value is not an address: unix:/path, /path, tcp://host:port or http://host:port; did you mean "tcp://localhost:1"?"#,
        ),
        ("aggregator: { listen: \"unix:relative\" }", "aggregator.listen"),
        (
            "aggregator: { listen: \"tcp://0.0.0.0:1\" }",
            r#""tcp://0.0.0.0:1" can be reached from other machines"#,
        ),
        ("aggregator: { metrics: here }", "aggregator.metrics"),
        ("aggregator: { metrics_pipelines: all }", "is not a number from 0 to 100000"),
        ("cache: { ttl: 300 }", r#"did you mean "300s"?"#),
        ("cache: { ttl: 2h, stale_ttl: 1h }", r#"cache.stale_ttl: "1h" is shorter than cache.ttl (2h)"#),
        ("cache: { refresh_interval: 0s }", "is shorter than 100ms"),
        ("cache: { redis_url: http://x }", "cache.redis_url: the value is not a URL of the right kind"),
        ("database: { url: mysql://x }", "database.url: the value names no database"),
        (
            "database: { url: none, postgres_url: postgres://h/d }",
            "database.postgres_url: database.url names another",
        ),
        ("database: { retention: for ever }", r#"did you mean "forever"?"#),
        ("database: { pool_size: 1 }", r#"database.pool_size: "1" is not a number from 2 to 100"#),
        ("database: { pool_size: many }", r#""many" is not a number from 2 to 100"#),
        ("database: { connect_timeout: 10ms }", r#"database.connect_timeout: "10ms" is shorter than 100ms"#),
        ("database: { connect_timeout: 5 }", r#"did you mean "5s"?"#),
        ("database: { connect_timeout: 2m }", r#"database.connect_timeout: "2m" is longer than 1m"#),
        ("database: { statement_timeout: 0s }", r#"database.statement_timeout: "0s" is shorter than 100ms"#),
        ("database: { statement_timeout: 2h }", r#"database.statement_timeout: "2h" is longer than 1h"#),
        ("auth: { mode: basik }", r#"did you mean "basic"?"#),
        ("auth: { mode: basic }", "auth.users_file: is missing: auth.mode is basic"),
        ("auth: { mode: proxy }", "server.trusted_proxies: is missing: auth.mode is proxy"),
        ("auth: { session_ttl: 10s }", r#"auth.session_ttl: "10s" is shorter than a minute"#),
        ("auth: { public: [metric] }", r#"did you mean "metrics"?"#),
        (
            "auth: { proxy: { user_header: \"a b\" } }",
            r#"auth.proxy.user_header: "a b" is no name of a header"#,
        ),
        ("auth: { allow_anonymous: yes }", r#""yes" is not true or false; did you mean true?"#),
        ("logging: { format: jsn }", r#"did you mean "json"?"#),
        ("filters: { watched_repos: [\"a[\"] }", "filters.watched_repos[0]: \"a[\" is not a glob"),
        ("filters: { deployments: [\"a[\"] }", "filters.deployments[0]: \"a[\" is not a glob"),
        ("filters: { watched_repos: [\"!a\"] }", "use exclude of the source"),
        // sources
        (
            "gitlab: [ { name: a, token: x, tokn: y } ]",
            r#"gitlab[0].tokn: unknown key; did you mean "token"?"#,
        ),
        (
            "gitlab:\n- name: a\n  token: x\n  url: gitlab.com",
            "config.yaml:4: gitlab[0].url: the value is not a URL",
        ),
        ("gitlab: [ { name: a, token: x, url: \"https://u:p@h\" } ]", "holds a user name or password"),
        ("gitlab: [ { name: a, token: x, url: \"https://\" } ]", "gitlab[0].url"),
        ("gitlab: [ { name: \"a b\", token: x } ]", "is not a name for a source"),
        ("gitlab: [ { name: \"a:b\", token: x } ]", "is not a name for a source"),
        ("gitlab: [ { name: a/b, token: x } ]", "is not a name for a source"),
        ("gitlab: [ { name: .., token: x } ]", "is not a name for a source"),
        (
            "gitlab:\n- { name: a, token: x }\ngithub:\n- { name: b }\n- { name: a }",
            "config.yaml:5: github[1].name: \"a\" is the name of gitlab[0] (line 2) already: names are unique over all platforms; take another, such as \"a-2\"",
        ),
        (
            "gitlab: [ { name: a, token: x, token_file: y } ]",
            "gitlab[0].token_file: both token and token_file are given; keep one",
        ),
        ("gitlab:\n- name: a\n  token_file: no/such", "config.yaml:3: gitlab[0].token_file: cannot read"),
        ("gitlab: [ { name: a, token: \"x\\ny\" } ]", "gitlab[0].token: the value holds a line break"),
        (
            "gitlab: [ { name: a, token: x, logs: head } ]",
            "gitlab[0].logs: \"head\" is not one of none, tail, full",
        ),
        (
            "gitlab: [ { name: a, token: x, branches: [\"{a\"] } ]",
            "gitlab[0].branches[0]: \"{a\" is not a glob",
        ),
        (
            "gitlab: [ { name: a, token: x, proxy: \"ftp://x\" } ]",
            "gitlab[0].proxy: the value is not a URL of the right kind",
        ),
        ("gitlab: [ { name: a, token: x, app_id: 1 } ]", "gitlab[0].app_id: unknown key"),
        (
            "jenkins: [ { name: a } ]",
            "jenkins[0].url: a jenkins source needs a url; write url, or set JENKINS_URL",
        ),
        // expansion
        (
            "server: { host: ${NOPE} }",
            "server.host: environment variable NOPE is not set; set it, or give a default: ${NOPE:-…}",
        ),
        ("ui: { title: \"${\" }", "ui.title: holds a ${ that names no variable; write ${NAME}"),
        ("ui: { title: \"${a b}\" }", "ui.title: holds a ${"),
        (
            "filters: { watched_repos: [ok, \"${NOPE}\"] }",
            "filters.watched_repos[1]: environment variable NOPE is not set",
        ),
    ];
    for (text, piece) in cases {
        let told = Case::yaml(text).bad();
        assert!(told[0].contains(piece), "{text}\n  told {told:?}\n  want {piece}");
        assert_eq!(told.len(), 1, "{text}\n  told {told:?}");
    }
}

#[test]
fn file_as_a_whole() {
    let mut case = Case::new();
    case.inputs.file = Some("nope.yaml".into());
    assert_eq!(case.bad(), ["nope.yaml: no such file"]);

    let mut case = Case::new();
    case.inputs.file = Some(case.dir.path().to_owned());
    assert!(case.bad()[0].contains("cannot be read"));

    assert!(Case::yaml(&"#".repeat(1024 * 1024 + 1)).bad()[0].contains("larger than 1 MiB"));

    let case = Case::new();
    std::fs::write(case.path("config.yaml"), b"ui:\n  title: \xff\n").unwrap();
    assert_eq!(case.bad(), ["config.yaml: not UTF-8 text (line 2)"]);
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (one, next) in [('a', 'b'), ('b', 'c'), ('c', 'd'), ('d', 'e'), ('e', 'f')] {
        laughs.push_str(&format!("{next}: &{next} [*{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}]\n"));
    }
    assert!(Case::yaml(&laughs).bad().iter().any(|told| told.contains("more than 50000 values")));
    for deep in
        ["[".repeat(100_000), format!("a: {}1{}", "{b: ".repeat(5000), "}".repeat(5000)), "- ".repeat(50_000)]
    {
        assert!(!Case::yaml(&deep).bad().is_empty());
    }
    let wide = format!("filters: {{ watched_repos: [{}] }}", "a,".repeat(60_000));
    assert!(Case::yaml(&wide).bad()[0].contains("more than 50000 values"));
}

#[test]
fn environment_and_flags_are_named() {
    let case = Case::new().env(&[
        ("PORT", "many"),
        ("CI_DASHBOARD__SERVER__PROT", "1"),
        ("CI_DASHBOARD__SEVER__PORT", "1"),
        ("CI_DASHBOARD__SERVER", "1"),
        ("CI_DASHBOARD__", "1"),
        ("CI_DASHBOARD__GITLAB__TOKEN", "canary"),
        ("CI_DASHBOARD__GITLAB__5__TOKEN", "canary"),
        ("GITHUB_URL", "canary.example.com"),
    ]);
    let mut told = case.bad();
    told.sort();
    assert_eq!(
        told,
        [
            "environment CI_DASHBOARD__: names no key; write CI_DASHBOARD__SECTION__KEY",
            "environment CI_DASHBOARD__GITLAB__5__TOKEN: gitlab: there is no such gitlab source; name it by its position from 0, or by its name with _ for - and .",
            "environment CI_DASHBOARD__GITLAB__TOKEN: gitlab: names no key of a source; write CI_DASHBOARD__GITLAB__0__KEY for its first source",
            "environment CI_DASHBOARD__SERVER: server: names a section, not a key",
            "environment CI_DASHBOARD__SERVER__PROT: server.prot: unknown key; did you mean \"port\"?",
            "environment CI_DASHBOARD__SEVER__PORT: sever: unknown section; did you mean \"server\"?",
            "environment GITHUB_URL: github[0].url: the value is not a URL; it has to start with https:// or http:// and name a host",
            "environment PORT: server.port: \"many\" is not a port (0 to 65535)",
        ]
    );
    let flags = config::Overrides { host: Some("a b".to_owned()), ..Default::default() };
    assert_eq!(
        Case::new().flags(flags).bad(),
        ["--host: server.host: \"a b\" is not an IP address or host name"]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever stands in the file, loading answers.
    #[test]
    fn never_panics(text in "([a-z]{1,3}|server|gitlab|name|token|url|[:\\[\\]{},&*!|>'\"#$ \n-]){0,40}") {
        let _ = Case::yaml(&text).load().map(|loaded| loaded.settings.effective_yaml());
    }
}
