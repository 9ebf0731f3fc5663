//! What GitHub tells about a token, in the headers of any answer.

use async_trait::async_trait;
use connector::http::Response;
use connector::{Result, TokenCheck, TokenFacts};
use domain::Timestamp;

use crate::github::GitHub;

/// Of a classic token. <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps>
const SCOPES: &str = "x-oauth-scopes";
/// Of every token that ends some day: `2026-12-31 23:59:59 UTC`.
const EXPIRATION: &str = "github-authentication-token-expiration";

#[async_trait]
impl TokenCheck for GitHub {
    async fn token_facts(&self) -> Result<TokenFacts> {
        // Costs nothing of the limit. An Enterprise Server without a limit has no such page, and tells all the same where
        // it is asked for itself.
        let limit = self.client.get("GET /rate_limit", self.client.url(&["rate_limit"], &[])).await;
        let answer = match limit {
            Err(connector::Error::NotFound(_)) => {
                self.client.get("GET /meta", self.client.url(&["meta"], &[])).await?
            }
            other => other?,
        };
        Ok(facts(&answer))
    }
}

fn facts(answer: &Response) -> TokenFacts {
    let scopes: Vec<String> = answer.header(SCOPES).map(list).unwrap_or_default();
    TokenFacts {
        writes: scopes.iter().filter(|s| writes(s)).cloned().collect(),
        scopes,
        expires_at: answer.header(EXPIRATION).and_then(expiration),
        platform_time: answer.date(),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// Classic scopes allow to alter what they allow to see, unless their name says otherwise.
fn writes(scope: &str) -> bool {
    let reads = scope.starts_with("read:") || scope.starts_with("user:") || scope == "repo:status";
    !reads
}

fn expiration(text: &str) -> Option<Timestamp> {
    // Fine-grained tokens: `2026-12-31 23:59:59 UTC`; with an offset: `2026-12-31 23:59:59 +0200`.
    let text = text.trim().replace(" UTC", " +0000");
    jiff::Zoned::strptime("%Y-%m-%d %H:%M:%S %z", &text).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_alter_something_is_told() {
        for scope in ["repo", "public_repo", "workflow", "admin:org", "write:packages", "delete_repo", "gist"]
        {
            assert!(writes(scope), "{scope}");
        }
        for scope in ["read:org", "read:user", "user:email", "repo:status"] {
            assert!(!writes(scope), "{scope}");
        }
        assert_eq!(list("repo, read:org"), ["repo", "read:org"]);
        assert!(list("").is_empty());
    }

    #[test]
    fn the_end_of_a_token_is_read_in_both_forms() {
        let at: Timestamp = "2026-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(expiration("2026-12-31 23:59:59 UTC"), Some(at));
        assert_eq!(expiration("2027-01-01 01:59:59 +0200"), Some(at));
        assert_eq!(expiration("soon"), None);
    }
}
