//! The sources: whether each is reached, what its token may, how long it lasts, and whether the clocks agree.

use std::sync::Arc;
use std::time::Duration;

use config::{Settings, SourceSettings};
use connector::{Connector, Error, TokenFacts};
use domain::{Clock, Timestamp};
use tokio::time::{Instant, timeout};

use super::report::Report;
use super::service::Hidden;

/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A token that ends within this is spoken of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// Clocks may differ by this much: signed webhooks and an App's tokens are refused beyond some minutes.
const MAX_SKEW: Duration = Duration::from_secs(60);

/// Looks at all of them at once, and tells in the order of the configuration.
pub(super) async fn look(
    settings: &Settings,
    hidden: Hidden,
    clock: &Arc<impl Clock + 'static>,
    report: &mut Report,
) {
    if settings.sources.is_empty() && hidden.secrets {
        report.note("sources", "there is none that this shell knows".to_owned());
    } else if settings.sources.is_empty() {
        report.doubt(
            "sources",
            "there is none".to_owned(),
            "set GITHUB_TOKEN, GITLAB_TOKEN, …, or name sources in config.yaml (deploy/config.example.yaml)",
        );
    }
    let looks = settings.sources.iter().map(|source| async move {
        let mut found = Report::default();
        look_at(source, hidden, Arc::clone(clock) as Arc<dyn Clock>, &mut found).await;
        found
    });
    for found in futures::future::join_all(looks).await {
        report.extend(found);
    }
}

async fn look_at(source: &SourceSettings, hidden: Hidden, clock: Arc<dyn Clock>, report: &mut Report) {
    let what = format!("source {}", source.name);
    if let Some(why) = &source.disabled {
        if hidden.secrets {
            report.note(what, format!("not looked at from here: {why}"));
        } else {
            report.bad(what, why.clone(), "set what is missing, or take the source out");
        }
        return;
    }
    let Some(platform) = aggregator::platform(source.platform) else {
        let found = format!("this build has no connector for {}", source.platform);
        report.bad(what, found, "take the source out, or install a version that has one");
        return;
    };
    if source.insecure_skip_verify {
        let found = "accepts any certificate: whoever is in between reads the token".to_owned();
        report.doubt(
            what.clone(),
            found,
            "insecure_skip_verify: false, with ca_file: for a company's own authority",
        );
    }
    let connector = match (platform.build)(source, Arc::clone(&clock)) {
        Ok(connector) => connector,
        Err(error) => {
            report.bad(what, error.why, "correct the setting that it names");
            return;
        }
    };
    let begun = Instant::now();
    let Ok(reached) = timeout(PATIENCE, reach(connector.as_ref())).await else {
        let found = format!("no answer within {} s", PATIENCE.as_secs());
        report.bad(what, found, "is the address right, and does a proxy stand in between (proxy:)?");
        return;
    };
    match reached {
        Ok(facts) => {
            let millis = begun.elapsed().as_millis();
            let budget =
                connector.budget().map(|b| format!(", {} of {} requests left", b.remaining, b.limit));
            report.good(what.clone(), format!("answers in {millis} ms{}", budget.unwrap_or_default()));
            if let Some(facts) = facts {
                token(&what, &facts, platform.descriptor.scope, clock.now(), report);
            }
        }
        Err(error) => {
            let advice = advice(&error, platform.descriptor.scope);
            report.bad(what, error.to_string(), advice);
        }
    }
}

/// The token's facts where the platform tells them; otherwise whether anything can be read.
async fn reach(connector: &dyn Connector) -> connector::Result<Option<TokenFacts>> {
    if let Some(check) = connector.token_check() {
        return check.token_facts().await.map(Some);
    }
    connector.projects(None).await.map(|_| None)
}

fn token(what: &str, facts: &TokenFacts, scope: &str, now: Timestamp, report: &mut Report) {
    if !facts.writes.is_empty() {
        report.doubt(
            what,
            format!("its token can alter things: {}", facts.writes.join(", ")),
            format!("a dashboard only reads; make a token with {scope}"),
        );
    }
    if let Some(end) = facts.expires_at {
        let left = end.duration_since(now);
        if left.is_negative() {
            report.bad(what, format!("its token ended at {end}"), "make a new one");
        } else if left.unsigned_abs() <= SOON {
            let days = left.as_hours() / 24;
            let found = format!("its token ends in {days} days, at {end}");
            report.doubt(what, found, "make a new one; token_file: is read again within a minute");
        }
    }
    if let Some(theirs) = facts.platform_time {
        let skew = theirs.duration_since(now);
        if skew.unsigned_abs() > MAX_SKEW {
            let (seconds, side) =
                (skew.unsigned_abs().as_secs(), if skew.is_negative() { "ahead of" } else { "behind" });
            let found = format!("the clock here is {seconds} s {side} the platform's");
            report.doubt(what, found, "keep the clock right: timedatectl set-ntp true");
        }
    }
}

fn advice(error: &Error, scope: &str) -> String {
    match error {
        Error::Unauthorized(_) => format!("make a new token with {scope}"),
        Error::Forbidden(_) | Error::NotFound(_) => {
            format!("the token needs {scope}, and access to what the source names")
        }
        Error::RateLimited { .. } => "wait, or give this its own token".to_owned(),
        Error::Unreachable(_) => {
            "check url:, name resolution and the firewall; proxy: and ca_file: exist".to_owned()
        }
        Error::Redirect(_) => "set url: to where it leads, if that is yours".to_owned(),
        Error::Server(_) | Error::Garbage(_) | Error::Legal(_) | Error::Refused(_) => {
            "the platform has trouble, or url: leads to something else; see its own status page".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(facts: &TokenFacts, now: &str) -> String {
        let mut report = Report::default();
        token("source x", facts, "read_api", now.parse().unwrap(), &mut report);
        report.text()
    }

    #[test]
    fn a_token_is_spoken_of_when_it_writes_or_ends_soon() {
        let end = "2026-03-15T00:00:00Z";
        let facts = TokenFacts { expires_at: Some(end.parse().unwrap()), ..TokenFacts::default() };
        assert!(told(&facts, "2026-02-28T00:00:00Z").contains("All is well"), "fifteen days");
        assert!(told(&facts, "2026-03-01T00:00:00Z").contains("ends in 14 days"));
        assert!(told(&facts, "2026-03-15T00:00:01Z").starts_with("FAIL"));
        let facts = TokenFacts { writes: vec!["api".to_owned()], ..TokenFacts::default() };
        let text = told(&facts, end);
        assert!(text.contains("alter things: api") && text.contains("read_api"), "{text}");
    }

    #[test]
    fn clocks_that_differ_are_told() {
        let at = |theirs: &str| {
            let facts = TokenFacts { platform_time: Some(theirs.parse().unwrap()), ..TokenFacts::default() };
            told(&facts, "2026-03-01T12:00:00Z")
        };
        assert!(at("2026-03-01T12:00:59Z").contains("All is well"));
        assert!(at("2026-03-01T12:05:00Z").contains("300 s behind"));
        assert!(at("2026-03-01T11:55:00Z").contains("300 s ahead of"));
    }
}
