//! The settings as YAML, secrets masked.

use std::fmt::Write as _;
use std::path::Path;

use crate::expand::escape;
use crate::secret::{MASK, Secret};
use crate::settings::*;
use crate::values::format_duration;
use domain::Patterns;

impl Settings {
    /// The settings as `check-config` prints them: every key, defaults included; secrets as [`MASK`]; a source that is
    /// off with a comment that says why. It is YAML and loads again.
    pub fn effective_yaml(&self) -> String {
        let mut out = Yaml(String::new());
        self.render_server(&mut out);
        self.render_own(&mut out);
        if self.role != Role::Web {
            self.render_backend(&mut out);
        }
        out.0
    }

    fn render_server(&self, out: &mut Yaml) {
        let server = &self.server;
        out.section("server");
        out.text(1, "host", &server.host);
        out.raw(1, "port", server.port);
        out.text(1, "base_path", &server.base_path);
        out.maybe(1, "public_url", server.public_url.as_ref().map(|url| url.as_str()));
        out.list(1, "allowed_hosts", &server.allowed_hosts);
        let proxies: Vec<String> = server.trusted_proxies.iter().map(ToString::to_string).collect();
        out.list(1, "trusted_proxies", &proxies);
        out.list(1, "cors", &server.cors);
        match &server.tls {
            Some(tls) => {
                out.section_at(1, "tls");
                out.path(2, "cert", Some(&tls.cert));
                out.path(2, "key", Some(&tls.key));
            }
            None => out.raw(1, "tls", "null"),
        }
    }

    fn render_own(&self, out: &mut Yaml) {
        out.section("aggregator");
        out.text(1, "listen", &self.aggregator.listen.to_string());
        out.text(1, "address", &self.aggregator.address.to_string());
        out.text(
            1,
            "metrics",
            &self.aggregator.metrics.map_or_else(|| "none".to_owned(), |addr| addr.to_string()),
        );
        out.raw(1, "metrics_pipelines", self.aggregator.metrics_pipelines);
        out.section("auth");
        out.text(
            1,
            "mode",
            match self.auth.mode {
                AuthMode::None => "none",
                AuthMode::Basic => "basic",
                AuthMode::Proxy => "proxy",
                AuthMode::Oidc => "oidc",
            },
        );
        out.raw(1, "allow_anonymous", self.auth.allow_anonymous);
        out.path(1, "users_file", self.auth.users_file.as_deref());
        out.path(1, "tokens_file", self.auth.tokens_file.as_deref());
        out.path(1, "session_key_file", self.auth.session_key_file.as_deref());
        out.text(1, "session_ttl", &format_duration(self.auth.session_ttl));
        let public: Vec<String> = self.auth.public.iter().map(|p| p.as_str().to_owned()).collect();
        out.list(1, "public", &public);
        out.section_at(1, "proxy");
        out.text(2, "user_header", &self.auth.proxy.user);
        out.text(2, "groups_header", &self.auth.proxy.groups);
        out.section("ui");
        out.text(1, "title", &self.ui.title);
        out.text(1, "refresh_interval", &format_duration(self.ui.refresh_interval));
        out.raw(1, "show_people", self.ui.show_people);
        out.section("logging");
        out.text(1, "level", self.logging.level.as_str());
        out.text(
            1,
            "format",
            match self.logging.format {
                LogFormat::Json => "json",
                LogFormat::Pretty => "pretty",
            },
        );
    }

    fn render_backend(&self, out: &mut Yaml) {
        out.section("cache");
        out.text(
            1,
            "type",
            match self.cache.kind {
                CacheKind::Memory => "memory",
                CacheKind::Redis => "redis",
            },
        );
        out.text(1, "redis_url", self.cache.redis_url.masked());
        out.text(1, "prefix", &self.cache.prefix);
        if self.cache.ca_file.is_some() {
            out.path(1, "ca_file", self.cache.ca_file.as_deref());
        }
        out.text(1, "ttl", &format_duration(self.cache.ttl));
        out.text(1, "stale_ttl", &format_duration(self.cache.stale_ttl));
        out.text(1, "refresh_interval", &format_duration(self.cache.refresh_interval));
        out.section("database");
        match &self.database.url {
            DatabaseUrl::None => out.text(1, "url", "none"),
            DatabaseUrl::Sqlite(path) => out.text(1, "url", &format!("sqlite:{}", path.display())),
            DatabaseUrl::Postgres(url) => out.text(1, "url", url.masked()),
        }
        out.text(
            1,
            "retention",
            &self.database.retention.map_or_else(|| "forever".to_owned(), format_duration),
        );
        out.text(1, "backfill", &format_duration(self.database.backfill));
        out.text(1, "pool_size", &self.database.pool_size.to_string());
        out.text(1, "connect_timeout", &format_duration(self.database.connect_timeout));
        out.text(1, "statement_timeout", &format_duration(self.database.statement_timeout));
        out.section("filters");
        out.list(1, "watched_repos", &self.filters.watched_repos);
        out.list(1, "deployments", self.filters.deployments.texts());
        let mut platform = "";
        for source in &self.sources {
            if source.platform != platform {
                platform = source.platform;
                out.section(platform);
            }
            render_source(source, out);
        }
    }
}

fn render_source(source: &SourceSettings, out: &mut Yaml) {
    let _ = writeln!(out.0, "  - name: {}", scalar(&source.name));
    if let Some(reason) = &source.disabled {
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(out.0, "    # off: {reason}");
    }
    if let Some(url) = &source.url {
        out.text(2, "url", url.as_str());
    }
    if let Some(user) = &source.user {
        out.text(2, "user", user);
    }
    out.secret("token", source.token.as_ref());
    out.secret("webhook_secret", source.webhook_secret.as_ref());
    for (key, value) in &source.extra {
        match value {
            Extra::Text(text) => out.text(2, key, text),
            Extra::Secret(secret) => out.secret(key, Some(secret)),
        }
    }
    out.text(
        2,
        "logs",
        match source.logs {
            LogAccess::None => "none",
            LogAccess::Tail => "tail",
            LogAccess::Full => "full",
        },
    );
    let globs: [(&str, &Patterns); 5] = [
        ("branches", &source.branches),
        ("workflows", &source.workflows),
        ("events", &source.events),
        ("include", &source.include),
        ("exclude", &source.exclude),
    ];
    for (key, globs) in globs {
        out.list(2, key, globs.texts());
    }
    let lists: [(&str, &[String]); 4] = [
        ("groups", &source.groups),
        ("organizations", &source.organizations),
        ("workspaces", &source.workspaces),
        ("folders", &source.folders),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        out.list(2, key, list);
    }
    if source.ca_file.is_some() {
        out.path(2, "ca_file", source.ca_file.as_deref());
    }
    if let Some(proxy) = &source.proxy {
        out.text(2, "proxy", proxy.masked());
    }
    out.raw(2, "insecure_skip_verify", source.insecure_skip_verify);
}

struct Yaml(String);

impl Yaml {
    fn section(&mut self, name: &str) {
        self.section_at(0, name);
    }

    fn section_at(&mut self, depth: usize, name: &str) {
        let _ = writeln!(self.0, "{:1$}{name}:", "", depth * 2);
    }

    fn raw(&mut self, depth: usize, key: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{:1$}{key}: {value}", "", depth * 2);
    }

    fn text(&mut self, depth: usize, key: &str, value: &str) {
        self.raw(depth, key, scalar(value));
    }

    fn maybe(&mut self, depth: usize, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(depth, key, value),
            None => self.raw(depth, key, "null"),
        }
    }

    fn path(&mut self, depth: usize, key: &str, value: Option<&Path>) {
        let shown = value.map(|path| path.display().to_string());
        self.maybe(depth, key, shown.as_deref());
    }

    fn list(&mut self, depth: usize, key: &str, items: &[String]) {
        let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
        self.raw(depth, key, format_args!("[{}]", items.join(", ")));
    }

    fn secret(&mut self, key: &str, secret: Option<&Secret>) {
        if let Some(secret) = secret {
            let _ = writeln!(self.0, "    {key}: \"{MASK}\" # from {}", comment(&secret.from().to_string()));
        }
    }
}

fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A scalar that YAML reads as the same text, with or without quotes.
fn scalar(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/')
        // The last six are truth values to readers of YAML 1.1.
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in escape(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control()
                || ('\u{2028}'..='\u{202E}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
                || c == '\u{FEFF}' =>
            {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
