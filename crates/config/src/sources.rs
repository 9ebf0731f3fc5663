//! Reads the sources of every platform and matches the environment's tokens to them.
//!
//! Which source gets `GITLAB_TOKEN` (and its like):
//!
//! 1. No source of that platform in the file: the environment makes one, `gitlab-main`, at `GITLAB_URL` or the
//!    vendor's own address. A section that is there and empty (`gitlab: []`) says that there shall be none.
//! 2. Sources in the file, no `GITLAB_URL`: the one source without a token gets it; several are a mistake.
//! 3. Sources in the file and `GITLAB_URL`: the token is meant for that host. A source that names no `url` takes both.
//!    Otherwise the one source at that host which has no token gets it; when no source is at that host, the two make
//!    a source of their own, `gitlab-main`.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::address::is_loopback_host;
use crate::platforms::{ExtraKind, PlatformSpec, Platforms};
use crate::problem::quote;
use crate::secret::{Secret, SecretFrom, SecretUrl};
use crate::section::{Context, Lines, Section, secret_text};
use crate::settings::{Extra, LogAccess, SourceSettings};
use crate::tree::{Node, Origin, Value};
use crate::values::{base_url, boolean, choice, misfit, url_of};
use domain::Patterns;

/// Longest name of a source, in bytes.
pub const MAX_SOURCE_NAME_BYTES: usize = 64;
/// Most sources of a configuration.
pub const MAX_SOURCES: usize = 1000;

const LOG_ACCESS: &[(&str, LogAccess)] =
    &[("none", LogAccess::None), ("tail", LogAccess::Tail), ("full", LogAccess::Full)];

/// A source on its way.
struct Draft {
    source: SourceSettings,
    /// `gitlab[0]`, or the variable's name.
    path: String,
    origin: Option<Origin>,
    /// Whether it says how it signs in, be it in a way that fails.
    has_credential: bool,
    has_url: bool,
    /// Whether a variable that its user needs is missing.
    off: Vec<String>,
}

/// Reads the sections of all platforms, those that are not there included.
pub(crate) fn read(root: &mut Section<'_>, platforms: Platforms) -> Vec<SourceSettings> {
    let ctx = root.ctx;
    let mut drafts = Vec::new();
    for spec in platforms.iter() {
        let node = root.take(spec.id);
        let present = node.is_some();
        let mut own = node.map_or_else(Vec::new, |node| list(ctx, spec, node));
        let closed = present && own.is_empty();
        if !closed {
            from_environment(ctx, spec, &mut own);
        }
        for draft in &mut own {
            settle(ctx, spec, draft);
        }
        drafts.append(&mut own);
    }
    if let Some(draft) = drafts.get(MAX_SOURCES) {
        ctx.problem(&draft.path, draft.origin.as_ref(), format!("more than {MAX_SOURCES} sources"), None);
    }
    check_names(ctx, &drafts);
    drafts.into_iter().map(|draft| draft.source).collect()
}

fn list(ctx: &Context<'_>, spec: &'static PlatformSpec, node: Node) -> Vec<Draft> {
    let kind = node.kind();
    match node.value {
        Value::List(items) => {
            let alone = items.len() == 1;
            let items = items.into_iter().enumerate();
            items.map(|(at, item)| source(ctx, spec, item, at, alone)).collect()
        }
        _ => {
            let hint = format!("write {}: [ {{ name: …, url: … }} ]", spec.id);
            ctx.problem(
                spec.id,
                Some(&node.origin),
                format!("expected a list of sources, found {kind}"),
                Some(hint),
            );
            Vec::new()
        }
    }
}

fn source(ctx: &Context<'_>, spec: &'static PlatformSpec, node: Node, at: usize, alone: bool) -> Draft {
    let path = format!("{}[{at}]", spec.id);
    let mut s = Section::open_source(ctx, &path, node);
    let name = s.parse("name", |text| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if text.len() > MAX_SOURCE_NAME_BYTES {
            misfit(format!("is longer than {MAX_SOURCE_NAME_BYTES} characters"))
        } else if !text.bytes().all(fine) || text.bytes().all(|b| b == b'.') {
            misfit("is not a name for a source: letters, digits, dot, dash and underscore only")
        } else {
            Ok(text.to_owned())
        }
    });
    let before = s.missing_count();
    let url = s.leaf("url");
    let has_url = url.is_some() || s.missing_count() > before;
    let url = url.and_then(|leaf| match base_url(&leaf.text) {
        Ok(url) => Some(url),
        Err(misfit) => {
            s.misfit_hidden(&leaf, misfit);
            None
        }
    });
    let problem_url = has_url && url.is_none();
    let user = s.text("user");
    let before = s.missing_count();
    let given = (s.has("token"), s.has("token_file"));
    let token = s.secret("token", Lines::One);
    let token_expected = token.is_some() || s.missing_count() > before || given.1;
    let mut extra = BTreeMap::new();
    let mut other_credential = false;
    for key in spec.extra {
        let value = match key.kind {
            ExtraKind::Text => s.text(key.name).map(Extra::Text),
            ExtraKind::Secret => s.secret(key.name, Lines::One).map(Extra::Secret),
            ExtraKind::SecretText => {
                let secret = s.secret(key.name, Lines::Many).map(Extra::Secret);
                other_credential |= secret.is_some();
                secret
            }
        };
        if let Some(value) = value {
            extra.insert(key.name, value);
        }
    }
    let source = SourceSettings {
        platform: spec.id,
        name: name.unwrap_or_else(|| default_name(spec, at, alone)),
        disabled: None,
        url,
        user,
        token,
        webhook_secret: s.secret("webhook_secret", Lines::One),
        logs: s.parse("logs", choice(LOG_ACCESS)).unwrap_or(LogAccess::Tail),
        branches: globs(&mut s, "branches"),
        workflows: globs(&mut s, "workflows"),
        events: globs(&mut s, "events"),
        include: globs(&mut s, "include"),
        exclude: globs(&mut s, "exclude"),
        groups: s.texts("groups"),
        organizations: s.texts("organizations"),
        workspaces: s.texts("workspaces"),
        folders: s.texts("folders"),
        ca_file: s.path("ca_file"),
        proxy: s
            .parse_hidden("proxy", |text| url_of(text, &["http", "https", "socks5", "socks5h"]))
            .as_ref()
            .map(SecretUrl::new),
        insecure_skip_verify: s.parse("insecure_skip_verify", boolean).unwrap_or(false),
        extra,
    };
    let origin = s.origin.clone();
    let mut draft = Draft {
        source,
        path,
        origin,
        has_credential: token_expected || other_credential,
        has_url,
        off: s.finish(),
    };
    if problem_url && draft.off.is_empty() {
        // Told already; what follows shall not stumble over it.
        draft.off.push("its url is wrong".to_owned());
    }
    draft
}

fn default_name(spec: &PlatformSpec, at: usize, alone: bool) -> String {
    if alone { format!("{}-main", spec.id) } else { format!("{}-{}", spec.id, at + 1) }
}

/// A list of globs.
pub(crate) fn globs(s: &mut Section<'_>, key: &str) -> Patterns {
    let leaves = s.list(key);
    let mut fine = Vec::new();
    for leaf in leaves {
        match Patterns::check(&leaf.text) {
            Ok(()) => fine.push(leaf.text),
            Err(e) => s.misfit(
                &leaf,
                crate::values::Misfit { what: format!("is not a glob: {}", e.why), suggestion: None },
            ),
        }
    }
    // One by one they are fine; together they may still be too large.
    Patterns::new(fine).unwrap_or_else(|e| {
        s.ctx.problem(&format!("{}.{key}", s.path), s.origin.as_ref(), e.why, None);
        Patterns::default()
    })
}

/// The variables of one platform.
struct Given<'e> {
    token: Option<&'e str>,
    token_name: String,
    url: Option<Url>,
    url_name: String,
}

fn from_environment(ctx: &Context<'_>, spec: &'static PlatformSpec, own: &mut Vec<Draft>) {
    let name_of = |what: &str| format!("{}_{what}", spec.env_prefix);
    let (token_name, url_name, user_name) = (name_of("TOKEN"), name_of("URL"), name_of("USER"));
    let url = ctx.env.get(&url_name).and_then(|text| match base_url(text) {
        Ok(url) => Some(url),
        Err(misfit) => {
            let path = own
                .first()
                .map_or_else(|| format!("{}[0].url", spec.id), |draft| format!("{}.url", draft.path));
            let message = format!("the value {}", misfit.what);
            ctx.problem(&path, Some(&Origin::Env(url_name.clone())), message, misfit.suggestion);
            None
        }
    });
    if url.is_none() && ctx.env.get(&url_name).is_some() {
        return;
    }
    let given = Given { token: ctx.env.get(&token_name), token_name, url, url_name };
    if own.is_empty() {
        if given.token.is_some() || given.url.is_some() {
            make(ctx, spec, &given, own);
        }
    } else if given.url.is_some() {
        fill_at_url(ctx, spec, &given, own);
    } else if given.token.is_some() {
        fill(ctx, spec, &given, own, |_| true);
    }
    if let Some(user) = ctx.env.get(&user_name).filter(|_| spec.takes_user) {
        let mut without = own.iter_mut().filter(|d| d.source.user.is_none() && d.source.token.is_some());
        match (without.next(), without.next()) {
            (Some(one), None) => one.source.user = Some(user.to_owned()),
            (Some(one), Some(other)) => {
                let message = format!("could go to {}, {} or more", one.source.name, other.source.name);
                ctx.problem(
                    spec.id,
                    Some(&Origin::Env(user_name)),
                    message,
                    Some("write user into each of them".to_owned()),
                );
            }
            (None, _) => {}
        }
    }
}

/// A source that only the environment knows.
fn make(ctx: &Context<'_>, spec: &'static PlatformSpec, given: &Given<'_>, own: &mut Vec<Draft>) {
    let default_url = spec.default_url.and_then(|url| Url::parse(url).ok());
    if given.url.is_none() && default_url.is_none() {
        // Left over from something else, most likely: no reason to refuse to run.
        let message = format!("makes no source: {} is not set", given.url_name);
        ctx.warn(spec.id, Some(&Origin::Env(given.token_name.clone())), message);
        return;
    }
    let by = if given.token.is_some() { &given.token_name } else { &given.url_name };
    if ctx.file.is_some() {
        let message = format!("makes the source {}-main beside those of the file", spec.id);
        ctx.warn(spec.id, Some(&Origin::Env(by.clone())), message);
    }
    let origin = Origin::Env(by.clone());
    let empty = Node { origin, value: Value::Map(Vec::new()) };
    let mut draft = source(ctx, spec, empty, 0, true);
    draft.source.url = given.url.clone().or(default_url);
    draft.has_url = true;
    give_token(ctx, given, &mut draft);
    own.push(draft);
}

fn give_token(ctx: &Context<'_>, given: &Given<'_>, draft: &mut Draft) {
    let Some(token) = given.token else { return };
    draft.has_credential = true;
    match secret_text(token, Lines::One) {
        Ok(token) => {
            draft.source.token = Some(Secret::new(token, SecretFrom::Environment(given.token_name.clone())))
        }
        Err(misfit) => {
            let origin = Origin::Env(given.token_name.clone());
            ctx.problem(
                &format!("{}.token", draft.path),
                Some(&origin),
                format!("the value {}", misfit.what),
                None,
            );
        }
    }
}

/// Gives the token to the one source without, among those that `fits` names.
fn fill(
    ctx: &Context<'_>,
    spec: &PlatformSpec,
    given: &Given<'_>,
    own: &mut [Draft],
    fits: impl Fn(&Draft) -> bool,
) {
    let mut without: Vec<&mut Draft> = own.iter_mut().filter(|d| !d.has_credential && fits(d)).collect();
    match without.as_mut_slice() {
        [] => {}
        [one] => give_token(ctx, given, one),
        several => ambiguous(ctx, spec, &given.token_name, "token", several),
    }
}

fn ambiguous(ctx: &Context<'_>, spec: &PlatformSpec, variable: &str, key: &str, several: &[&mut Draft]) {
    let names: Vec<&str> = several.iter().map(|draft| draft.source.name.as_str()).collect();
    let message = format!("could be the {key} of any of {}", names.join(", "));
    let hint =
        format!("write {key}: ${{{variable}}} into the one it is meant for, and a {key} into the others");
    ctx.problem(spec.id, Some(&Origin::Env(variable.to_owned())), message, Some(hint));
}

/// Sources in the file, and a host that the environment's token is meant for.
fn fill_at_url(ctx: &Context<'_>, spec: &'static PlatformSpec, given: &Given<'_>, own: &mut Vec<Draft>) {
    let Some(url) = &given.url else { return };
    let mut without: Vec<&mut Draft> = own.iter_mut().filter(|draft| !draft.has_url).collect();
    match without.as_mut_slice() {
        [one] => {
            one.source.url = Some(url.clone());
            one.has_url = true;
            if !one.has_credential {
                give_token(ctx, given, one);
            }
            return;
        }
        [] => {}
        several => return ambiguous(ctx, spec, &given.url_name, "url", several),
    }
    let at_host = |draft: &Draft| draft.source.url.as_ref().is_some_and(|own| own.origin() == url.origin());
    if own.iter().any(at_host) {
        if given.token.is_some() {
            fill(ctx, spec, given, own, at_host);
        }
        return;
    }
    let name = default_name(spec, 0, true);
    if own.iter().any(|draft| draft.source.name == name) {
        let message =
            format!("not used: {name} and the other {} sources of the file are at other hosts", spec.id);
        ctx.warn(spec.id, Some(&Origin::Env(given.url_name.clone())), message);
    } else if given.token.is_some() {
        make(ctx, spec, given, own);
    } else {
        let message = format!("not used: every {} source of the file has its own url", spec.id);
        ctx.warn(spec.id, Some(&Origin::Env(given.url_name.clone())), message);
    }
}

/// Defaults, and what a source cannot do without.
fn settle(ctx: &Context<'_>, spec: &PlatformSpec, draft: &mut Draft) {
    let source = &mut draft.source;
    if source.url.is_none() && !draft.has_url {
        match spec.default_url.and_then(|url| Url::parse(url).ok()) {
            Some(url) => source.url = Some(url),
            None => {
                let hint = format!("write url, or set {}_URL", spec.env_prefix);
                let message = format!("a {} source needs a url", spec.id);
                ctx.problem(&format!("{}.url", draft.path), draft.origin.as_ref(), message, Some(hint));
            }
        }
    }
    if spec.token_required && !draft.has_credential && draft.off.is_empty() {
        draft.off.push(format!("it has no token: write token, or set {}_TOKEN", spec.env_prefix));
    }
    if !draft.off.is_empty() {
        source.disabled = Some(draft.off.join("; "));
    }
    if source.insecure_skip_verify {
        let message =
            format!("source {} accepts any certificate: whoever is between can read its token", source.name);
        ctx.warn(&format!("{}.insecure_skip_verify", draft.path), draft.origin.as_ref(), message);
    }
    let plain = source.url.as_ref().filter(|url| url.scheme() == "http");
    let host = plain.and_then(Url::host_str).map(|host| host.trim_matches(['[', ']']));
    if host.is_some_and(|host| !is_loopback_host(host)) && source.token.is_some() {
        let message = format!("source {} sends its token over http, for all between to read", source.name);
        ctx.warn(&format!("{}.url", draft.path), draft.origin.as_ref(), message);
    }
}

fn check_names(ctx: &Context<'_>, drafts: &[Draft]) {
    let mut seen: BTreeMap<&str, &Draft> = BTreeMap::new();
    let all: BTreeSet<&str> = drafts.iter().map(|draft| draft.source.name.as_str()).collect();
    for draft in drafts {
        let name = draft.source.name.as_str();
        let Some(first) = seen.get(name) else {
            seen.insert(name, draft);
            continue;
        };
        let line = match &first.origin {
            Some(Origin::Line(line)) => format!(" (line {line})"),
            _ => String::new(),
        };
        let free = (2..).map(|n| format!("{name}-{n}")).find(|other| !all.contains(other.as_str()));
        let message = format!(
            "{} is the name of {}{line} already: names are unique over all platforms",
            quote(name),
            first.path
        );
        let path = format!("{}.name", draft.path);
        ctx.problem(
            &path,
            draft.origin.as_ref(),
            message,
            free.map(|free| format!("take another, such as {free:?}")),
        );
    }
}
