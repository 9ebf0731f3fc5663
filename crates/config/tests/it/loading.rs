//! Defaults, precedence, places, roles, and the way back from effective YAML.

use std::path::PathBuf;
use std::time::Duration;

use config::{
    Address, AuthMode, CacheKind, DatabaseUrl, Inputs, Loaded, LogFormat, LogLevel, Overrides, Public, Role,
};

use crate::support::Case;

const ARCHITECTURE: &str = include_str!("../fixtures/architecture.yaml");
const FIRST_RELEASE: &str = include_str!("../fixtures/first-release.yaml");
const EXAMPLE: &str = include_str!("../../../../deploy/config.example.yaml");

fn unix(path: &str) -> Address {
    Address::Unix(path.into())
}

#[test]
fn defaults() {
    let Loaded { settings, warnings, file } = Case::new().good();
    assert_eq!((file, warnings), (None, Vec::new()));
    assert_eq!((settings.server.host.as_str(), settings.server.port), ("127.0.0.1", 8080));
    assert_eq!(settings.server.base_path, "/");
    assert_eq!(settings.aggregator.listen, unix("/run/ci-dashboard/aggregator.sock"));
    assert_eq!(settings.aggregator.address, settings.aggregator.listen);
    assert_eq!(settings.aggregator.metrics, None);
    assert_eq!(settings.cache.kind, CacheKind::Memory);
    assert_eq!(settings.cache.ttl, Duration::from_secs(300));
    assert_eq!(settings.cache.stale_ttl, Duration::from_secs(86400));
    assert_eq!(settings.sqlite_path(), Some("/home/me/.local/state/ci-dashboard/ci-dashboard.db".as_ref()));
    assert_eq!(settings.database.retention, None);
    assert_eq!(settings.database.backfill, Duration::from_secs(30 * 86400));
    assert_eq!(settings.database.pool_size, 5);
    assert_eq!(settings.database.connect_timeout, Duration::from_secs(5));
    assert_eq!(settings.database.statement_timeout, Duration::from_secs(30));
    assert_eq!(settings.auth.mode, AuthMode::None);
    assert_eq!((settings.ui.title.as_str(), settings.ui.show_people), ("CI/CD Dashboard", true));
    assert_eq!((settings.logging.level, settings.logging.format), (LogLevel::Info, LogFormat::Json));
    assert!(settings.filters.watched_repos.is_empty() && settings.sources.is_empty());
}

#[test]
fn how_many_connections_goes_by_the_database() {
    let pool = |text: &str| {
        let database = Case::yaml(text).good().settings.database;
        (database.pool_size, database.connect_timeout.as_millis(), database.statement_timeout.as_secs())
    };
    assert_eq!(pool("database: { url: postgres://h/d }"), (8, 5_000, 30));
    assert_eq!(pool("database: { url: none }"), (5, 5_000, 30));
    let set = "pool_size: 100, connect_timeout: 500ms, statement_timeout: 1h";
    assert_eq!(pool(&format!("database: {{ url: \"sqlite:\", {set} }}")), (100, 500, 3_600));
    assert_eq!(pool(&format!("database: {{ url: postgres://h/d, {set} }}")), (100, 500, 3_600));
}

#[test]
fn the_example_of_the_contract() {
    let case = Case::yaml(ARCHITECTURE).env(&[("GITHUB_TOKEN", "t"), ("XDG_RUNTIME_DIR", "/run/user/7")]);
    let settings = case.good().settings;
    assert_eq!(settings.aggregator.listen, unix("/run/user/7/ci-dashboard/aggregator.sock"));
    assert_eq!(settings.aggregator.metrics, "127.0.0.1:9464".parse().ok());
    let state: Vec<_> =
        settings.sources.iter().map(|s| (s.platform, s.name.as_str(), s.disabled.as_deref())).collect();
    let off = |path: &str, name: &str| format!("environment variable {name} is not set ({path})");
    assert_eq!(
        state,
        [
            ("gitlab", "gitlab-main", Some(off("gitlab[0].token", "GITLAB_TOKEN").as_str())),
            ("github", "github-main", None),
            ("jenkins", "jenkins-prod", Some(off("jenkins[0].token", "JENKINS_TOKEN").as_str())),
            ("bitbucket", "bitbucket-main", Some(off("bitbucket[0].token", "BITBUCKET_TOKEN").as_str())),
        ]
    );
    assert_eq!(settings.enabled_sources().count(), 1);
    assert_eq!(settings.sources[1].token.as_ref().map(|t| t.expose()), Some("t"));
    assert_eq!(settings.filters.watched_repos, ["123", "owner/repo", "job-name"]);
    // And in no environment at all.
    assert_eq!(Case::yaml(ARCHITECTURE).good().settings.enabled_sources().count(), 0);
}

#[test]
fn the_first_releases_file() {
    let loaded = Case::yaml(FIRST_RELEASE).good();
    assert_eq!(loaded.settings.server.host, "0.0.0.0");
    assert_eq!(loaded.settings.sources.len(), 6);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let warning = loaded.warnings[0].to_string();
    assert!(
        warning.starts_with("config.yaml:3: server.host: 0.0.0.0") && warning.contains("auth.mode is none")
    );
}

#[test]
fn who_says_that_everybody_may_look_is_not_warned() {
    let warnings = |auth: &str| {
        let case = Case::yaml(&format!("server: {{ host: 0.0.0.0 }}\nauth: {{ {auth} }}\n"));
        let loaded = case.good();
        assert_eq!(loaded.settings.is_open_to_the_world(), !loaded.warnings.is_empty());
        loaded.warnings.len()
    };
    assert_eq!(warnings(""), 1);
    assert_eq!(warnings("allow_anonymous: true"), 0);
    assert_eq!(warnings("mode: basic, users_file: users.txt"), 0);
}

#[test]
fn who_signs_in_and_how() {
    let defaults = Case::new().good().settings.auth;
    assert_eq!(
        defaults.session_key_file,
        Some(PathBuf::from("/home/me/.local/state/ci-dashboard/session.key"))
    );
    assert_eq!((defaults.session_ttl, defaults.tokens_file), (Duration::from_secs(7 * 86400), None));
    assert!(defaults.public.is_empty());
    assert_eq!(
        (defaults.proxy.user.as_str(), defaults.proxy.groups.as_str()),
        ("X-Forwarded-User", "X-Forwarded-Groups")
    );
    let case = Case::yaml(
        "server: { trusted_proxies: [10.0.0.1] }\n\
         auth: { mode: proxy, tokens_file: t, session_ttl: 1h, public: [badges, metrics], proxy: { user_header: X-Me } }\n",
    );
    let auth = case.good().settings.auth;
    assert_eq!(auth.tokens_file, Some(case.path("t")));
    assert_eq!(auth.public, [Public::Badges, Public::Metrics]);
    assert_eq!((auth.session_ttl.as_secs(), auth.proxy.user.as_str()), (3600, "X-Me"));
    let mut homeless = Case::yaml("auth: { mode: basic, users_file: u }");
    homeless.inputs.env = std::iter::empty::<(&str, &str)>().collect();
    assert!(homeless.bad().iter().any(|line| line.contains("auth.session_key_file: is missing")));
}

#[test]
fn the_example_file_shows_every_key() {
    let settings = Case::yaml(EXAMPLE).env(&[("GITLAB_TOKEN", "t")]).good().settings;
    assert_eq!(settings.sources.len(), 8);
    let events = &settings.sources[0].events;
    assert!(events.lets_in("push") && !events.lets_in("schedule") && !events.lets_in("web"));
    // Its values are the defaults, as it says.
    let head = EXAMPLE.split("# Sources:").next().unwrap();
    assert_eq!(
        Case::yaml(head).good().settings.effective_yaml(),
        Case::new().good().settings.effective_yaml()
    );
    // Every key of the effective settings is in it.
    for line in settings.effective_yaml().lines().filter(|line| !line.trim_start().starts_with('#')) {
        let key = line.trim_start().trim_start_matches("- ").split(':').next().unwrap();
        assert!(EXAMPLE.contains(&format!("{key}:")), "{key}");
    }
}

#[test]
fn defaults_then_file_then_environment_then_flags() {
    let port = |case: Case| case.good().settings.server.port;
    let file = "server: { port: 1 }";
    let env = [("PORT", "2")];
    let long = [("PORT", "2"), ("CI_DASHBOARD__SERVER__PORT", "3")];
    let flags = || Overrides { port: Some(4), ..Overrides::default() };
    assert_eq!(port(Case::new()), 8080);
    assert_eq!(port(Case::yaml(file)), 1);
    assert_eq!(port(Case::yaml(file).env(&env)), 2);
    assert_eq!(port(Case::yaml(file).env(&long)), 3);
    assert_eq!(port(Case::yaml(file).env(&long).flags(flags())), 4);
    // What is overridden is not expanded either.
    assert_eq!(port(Case::yaml("server: { port: ${NOPE} }").flags(flags())), 4);
    // Set to nothing is not set.
    assert_eq!(port(Case::yaml(file).env(&[("PORT", "")])), 1);
}

#[test]
fn every_short_name_and_flag() {
    let case = Case::new()
        .env(&[
            ("HOST", "::1"),
            ("CACHE_TYPE", "redis"),
            ("REDIS_URL", "rediss://r:6380/1"),
            ("POSTGRES_URL", "postgres://u:pw@h/d"),
            ("AGGREGATOR_URL", "http://127.0.0.1:50051"),
            ("LOG_LEVEL", "DEBUG"),
            ("LOG_FORMAT", "pretty"),
        ])
        .flags(Overrides { listen: Some("/tmp/s".to_owned()), ..Overrides::default() });
    let settings = case.good().settings;
    assert_eq!(settings.server.host, "::1");
    assert_eq!(settings.cache.kind, CacheKind::Redis);
    assert_eq!(settings.cache.redis_url.expose(), "rediss://r:6380/1");
    let DatabaseUrl::Postgres(url) = &settings.database.url else { panic!("{:?}", settings.database.url) };
    assert_eq!((url.expose(), url.masked()), ("postgres://u:pw@h/d", "postgres://u:********@h/d"));
    assert_eq!(settings.aggregator.listen, unix("/tmp/s"));
    assert_eq!(settings.aggregator.address, Address::Tcp { host: "127.0.0.1".to_owned(), port: 50051 });
    assert_eq!((settings.logging.level, settings.logging.format), (LogLevel::Debug, LogFormat::Pretty));
    let both = Case::yaml("database: { postgres_url: postgres://file/d }").env(&[("DATABASE_URL", "none")]);
    assert!(matches!(both.good().settings.database.url, DatabaseUrl::None));
}

#[test]
fn every_other_key_by_its_long_name() {
    let case = Case::yaml("gitlab: [ { name: gitlab-main, token: a }, { name: b.c, token: b } ]").env(&[
        ("CI_DASHBOARD__SERVER__TLS__CERT", "/c"),
        ("CI_DASHBOARD__SERVER__TLS__KEY", "k"),
        ("CI_DASHBOARD__FILTERS__WATCHED_REPOS", "a/b, c/*"),
        ("CI_DASHBOARD__FILTERS__DEPLOYMENTS", "deploy*,!*-preview"),
        ("CI_DASHBOARD__SERVER__ALLOWED_HOSTS", "[a, \"b\"]"),
        ("CI_DASHBOARD__UI__TITLE", "costs ${NOTHING}"),
        ("CI_DASHBOARD__UI__SHOW_PEOPLE", "false"),
        ("CI_DASHBOARD__GITLAB__0__LOGS", "none"),
        ("CI_DASHBOARD__GITLAB__B_C__EVENTS", "push,!schedule"),
        ("CI_DASHBOARD__GITLAB__2__NAME", "third"),
        ("CI_DASHBOARD__GITLAB__2__TOKEN", "t3"),
        ("CI_DASHBOARD__AZURE_DEVOPS__0__TOKEN", "az"),
    ]);
    let settings = case.good().settings;
    let tls = settings.server.tls.unwrap();
    assert_eq!((tls.cert, tls.key), (PathBuf::from("/c"), case.path("k")));
    assert_eq!(settings.filters.watched_repos, ["a/b", "c/*"]);
    assert!(settings.filters.deployments.lets_in("Deploy production"));
    assert!(!settings.filters.deployments.lets_in("deploy-preview"));
    assert_eq!(settings.server.allowed_hosts, ["a", "b"]);
    assert_eq!(settings.ui.title, "costs ${NOTHING}");
    assert!(!settings.ui.show_people);
    let names: Vec<&str> = settings.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["gitlab-main", "b.c", "third", "azure-devops-main"]);
    assert_eq!(settings.sources[0].logs, config::LogAccess::None);
    assert_eq!(settings.sources[1].events.texts(), ["push", "!schedule"]);
}

#[test]
fn expansion_works_on_leaves_quoted_or_not() {
    let text = "ui: { title: ${A:-x, [y]: z #}, refresh_interval: \"${I}\" }\nserver:\n  port: ${P}\n  host: ${H:-localhost} # ${NOT}\n  base_path: '/${B}'\n";
    let env = [("I", "7s"), ("P", "99"), ("B", "ci")];
    let settings = Case::yaml(text).env(&env).good().settings;
    assert_eq!(settings.ui.title, "x, [y]: z #");
    assert_eq!(settings.ui.refresh_interval, Duration::from_secs(7));
    assert_eq!((settings.server.port, settings.server.host.as_str()), (99, "localhost"));
    assert_eq!(settings.server.base_path, "/ci");
    // What a variable holds is text, never structure.
    let hostile = "x\", evil: true }\nserver: { port: 1 }\n${B}";
    let settings = Case::yaml("ui: { title: \"${T}\" }").env(&[("T", hostile)]).good().settings;
    assert_eq!((settings.ui.title.as_str(), settings.server.port), (hostile, 8080));
    let settings = Case::yaml("ui: { title: \"$${HOME} $5\" }").good().settings;
    assert_eq!(settings.ui.title, "${HOME} $5");
}

#[test]
fn anchors_and_comments_and_emptiness() {
    let text = "\u{feff}# head\ngitlab:\n  - &base { name: a, token: t, branches: [main] }\n  - { name: b, token: t, branches: [main] }\ngithub:\nserver:\n  host:\n  port: ~\ncache: {}\nui: { title: '' }\n";
    let settings = Case::yaml(text).good().settings;
    assert_eq!(settings.sources.len(), 2);
    assert_eq!((settings.server.port, settings.ui.title.as_str()), (8080, "CI/CD Dashboard"));
    assert!(Case::yaml("").good().file.is_some());
    let aliased = "filters: { watched_repos: &w [a, b] }\ngithub: [ { include: *w } ]\n";
    assert_eq!(Case::yaml(aliased).good().settings.sources[0].include.texts(), ["a", "b"]);
}

#[test]
fn places_are_tried_in_order() {
    let title = |title: &str| format!("ui: {{ title: {title} }}");
    let mut case = Case::new().file("etc/config.yaml", &title("etc"));
    let found = |case: &Case| case.good().settings.ui.title;
    assert_eq!(found(&case), "etc");
    let home = case.path("home");
    case = case.file("home/.config/ci-dashboard/config.yaml", &title("home"));
    case = case.env(&[("HOME", home.to_str().unwrap())]);
    assert_eq!(found(&case), "home");
    let xdg = case.path("xdg");
    case = case.file("xdg/ci-dashboard/config.yaml", &title("xdg"));
    case = case.env(&[("XDG_CONFIG_HOME", xdg.to_str().unwrap())]);
    assert_eq!(found(&case), "xdg");
    case = case.file("config/config.yaml", &title("folder"));
    assert_eq!(found(&case), "folder");
    assert_eq!(case.good().file, Some("config/config.yaml".into()));
    case = case.file("config.yaml", &title("here"));
    assert_eq!(found(&case), "here");
    case = case.file("named.yaml", &title("named"));
    case.inputs.file = Some("named.yaml".into());
    assert_eq!(found(&case), "named");
}

#[test]
fn sockets_and_databases_without_a_word() {
    let socket = |case: &Case| case.good().settings.aggregator.listen;
    let mut case = Case::new().env(&[("XDG_RUNTIME_DIR", "/run/user/7")]);
    assert_eq!(socket(&case), unix("/run/user/7/ci-dashboard/aggregator.sock"));
    case.inputs.machine.run_dir_writable = true;
    assert_eq!(socket(&case), unix("/run/ci-dashboard/aggregator.sock"));
    case.inputs.machine.run_dir_writable = false;
    case.inputs.machine.is_root = true;
    assert_eq!(socket(&case), unix("/run/ci-dashboard/aggregator.sock"));
    // The web daemon finds the aggregator where the same file makes it listen.
    let case = Case::yaml("aggregator: { listen: \"tcp://[::1]:7\" }").role(Role::Web);
    assert_eq!(case.good().settings.aggregator.address, Address::Tcp { host: "::1".to_owned(), port: 7 });

    let database = |env: &[(&str, &str)], text: &str| {
        Case::yaml(text).env(env).good().settings.sqlite_path().map(PathBuf::from)
    };
    assert_eq!(database(&[("XDG_STATE_HOME", "/s")], ""), Some("/s/ci-dashboard/ci-dashboard.db".into()));
    let systemd = [("STATE_DIRECTORY", "/var/lib/x:/y"), ("XDG_STATE_HOME", "/s")];
    assert_eq!(
        database(&systemd, "database: { url: \"sqlite:\" }"),
        Some("/var/lib/x/ci-dashboard.db".into())
    );
    assert_eq!(database(&[], "database: { url: \"sqlite:/p/f.db\" }"), Some("/p/f.db".into()));
    assert_eq!(database(&[], "database: { url: \"none\" }"), None);
    let mut homeless = Case::new();
    homeless.inputs.env = config::Environment::default();
    assert!(homeless.good().warnings[0].message.contains("history is not kept"));
}

#[test]
fn the_web_daemon_reads_its_own_sections_only() {
    let text = "\
server: { port: 5 }
cache: { redis_url: \"${NOPE}\", ttl: soon, wrong: 1 }
database: 7
filters: [ ${NOPE} ]
gitlab: [ { name: a, token_file: /no/such, tokn: 1 }, { name: a } ]
jenkins: { }
";
    assert!(Case::yaml(text).bad().len() > 5);
    let env = [
        ("GITLAB_TOKEN", "canary"),
        ("REDIS_URL", "redis://:canary@h"),
        ("CI_DASHBOARD__CACHE__TTL", "x"),
        ("CI_DASHBOARD__GITLAB__9__X", "x"),
    ];
    let loaded = Case::yaml(text).env(&env).role(Role::Web).good();
    assert_eq!(loaded.settings.server.port, 5);
    assert!(loaded.settings.sources.is_empty() && loaded.warnings.is_empty());
    let shown = format!("{loaded:?}{}", loaded.settings.effective_yaml());
    assert!(!shown.contains("canary"));
    assert!(!loaded.settings.effective_yaml().contains("cache:"));
    // Its own mistakes, and a section that nobody knows, are told all the same.
    assert_eq!(Case::yaml("gitlb: []\nui: { titel: x }").role(Role::Web).bad().len(), 2);
}

#[test]
fn effective_yaml_loads_again_as_the_same() {
    let env = [("GITLAB_TOKEN", "t"), ("JENKINS_TOKEN", "j"), ("REDIS_URL", "redis://:pw@h:1/2")];
    for text in
        [ARCHITECTURE, FIRST_RELEASE, EXAMPLE, "ui: { title: \"a \\\"q\\\" $${X} \\\\ \\u202e ü\" }", ""]
    {
        let first = Case::yaml(text).env(&env).good().settings.effective_yaml();
        let second = Case::yaml(&first).good().settings.effective_yaml();
        assert_eq!(without_comments(&second), without_comments(&first));
    }
}

/// Comments tell where a secret is from and why a source is off: not what holds.
fn without_comments(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| line.split_once(" # from").map_or(line, |(value, _)| value)).collect()
}

#[test]
fn a_process_can_be_asked() {
    let inputs = Inputs::from_process(Role::All, None).unwrap();
    assert!(inputs.cwd.is_absolute());
    assert!(inputs.env.get("PATH").is_some());
}

#[test]
fn platforms_without_a_connector_load() {
    let text = "woodpecker: [ { url: https://w, token: t } ]\ngithub: [ { } ]";
    let settings = Case::yaml(text).good().settings;
    let without = settings.without_connector(|platform| platform == "github");
    assert_eq!(without.len(), 1);
    assert_eq!(without[0].1, "source woodpecker-main: this build has no connector for woodpecker");
}

proptest::proptest! {
    /// Any title survives the way through effective YAML.
    #[test]
    fn text_round_trips(title in "(\\PC|[$\\{\\}\"\n\t\u{85}\u{2028}]){1,30}") {
        let case = Case::new().env(&[("CI_DASHBOARD__UI__TITLE", &title)]);
        let first = case.good().settings;
        let second = Case::yaml(&first.effective_yaml()).good().settings;
        proptest::prop_assert_eq!(&second.ui.title, &title);
    }
}
