//! What GitLab tells about a token. <https://docs.gitlab.com/api/personal_access_tokens/#get-details-on-a-personal-access-token>

use async_trait::async_trait;
use connector::{Error, Result, TokenCheck, TokenFacts};
use domain::Timestamp;
use serde::Deserialize;

use crate::source::GitLab;

/// A token about itself.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    scopes: Vec<String>,
    /// A day: it stops to work with its beginning, UTC.
    expires_at: Option<String>,
}

#[async_trait]
impl TokenCheck for GitLab {
    async fn token_facts(&self) -> Result<TokenFacts> {
        let url = self.client.url(&["personal_access_tokens", "self"], &[]);
        match self.client.get("GET /personal_access_tokens/self", url).await {
            Ok(answer) => Ok(TokenFacts { platform_time: answer.date(), ..facts(answer.json()?) }),
            // Deploy and job tokens, and servers before 15.5, tell nothing.
            Err(Error::Forbidden(_) | Error::NotFound(_)) => Ok(TokenFacts::default()),
            Err(error) => Err(error),
        }
    }
}

fn facts(row: Row) -> TokenFacts {
    let expires_at = row.expires_at.and_then(|day| day.parse::<jiff::civil::Date>().ok()).and_then(midnight);
    let writes = row.scopes.iter().filter(|s| !s.starts_with("read_")).cloned().collect();
    TokenFacts { scopes: row.scopes, writes, expires_at, platform_time: None }
}

fn midnight(day: jiff::civil::Date) -> Option<Timestamp> {
    day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_reads_is_told_from_one_that_writes() {
        let row = |scopes: &[&str], end: Option<&str>| {
            let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
            facts(Row { scopes, expires_at: end.map(str::to_owned) })
        };
        let reads = row(&["read_api", "read_user"], Some("2026-12-31"));
        assert!(reads.writes.is_empty());
        assert_eq!(reads.expires_at, Some("2026-12-31T00:00:00Z".parse().unwrap()));
        let writes = row(&["read_user", "api"], None);
        assert_eq!((writes.writes, writes.expires_at), (vec!["api".to_owned()], None));
    }
}
