//! What a platform says was deployed where.

use crate::text::{MAX_NAME, line};
use crate::{RunId, Status, Timestamp, WebUrl};

/// Parts of an environment's name that say that it is what people use …
const LIVE: [&str; 3] = ["prod", "production", "live"];
/// … unless one of these stands beside it: `pre-prod`, `production-test`.
const NOT_LIVE: [&str; 12] =
    ["pre", "non", "no", "not", "test", "testing", "stage", "staging", "dev", "preview", "review", "demo"];

/// A deployment as its platform marks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The platform's id, unique within the project.
    pub id: String,
    /// The environment's name.
    pub environment: String,
    /// Whether that is what people use, as far as the platform says: see [`Deployment::is_production`].
    pub production: Option<bool>,
    /// The commit.
    pub sha: Option<String>,
    /// Branch or tag.
    pub branch: Option<String>,
    /// Ours.
    pub status: Status,
    /// The platform's own word.
    pub native_status: String,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// When the platform last touched it.
    pub updated_at: Option<Timestamp>,
    /// The run that it came from, where the platform says so.
    pub run: Option<RunId>,
    /// Its page, or that of the job that made it.
    pub url: Option<WebUrl>,
}

impl Deployment {
    /// One of which only where and how it is are known.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        environment: impl Into<String>,
        status: Status,
        native_status: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            environment: environment.into(),
            production: None,
            sha: None,
            branch: None,
            status,
            native_status: native_status.into(),
            created_at: None,
            finished_at: None,
            updated_at: None,
            run: None,
            url: None,
        }
    }

    /// Whether it is of an environment that people use: as the platform says, else by the environment's name.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.production.unwrap_or_else(|| sounds_like_production(&self.environment))
    }

    /// The same, bounded and harmless: see [`crate::text`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let name = |t: Option<String>| t.map(|t| line(&t, MAX_NAME)).filter(|t| !t.is_empty());
        self.id = line(&self.id, MAX_NAME);
        self.environment = line(&self.environment, MAX_NAME);
        self.native_status = line(&self.native_status, MAX_NAME);
        self.sha = name(self.sha);
        self.branch = name(self.branch);
        self
    }
}

/// Whether an environment's name has one of the words for what people use, and none that takes it back.
fn sounds_like_production(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has =
        |words: &[&str]| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| words.contains(&part));
    has(&LIVE) && !has(&NOT_LIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_what_the_platform_says_else_what_it_is_called() {
        let of = |name: &str| Deployment::new("1", name, Status::Success, "success");
        for yes in ["production", "Prod", "live", "prod-eu", "production/eu-1", "eu.live", "shop prod"] {
            assert!(of(yes).is_production(), "{yes}");
        }
        for no in
            ["staging", "pre-prod", "production-test", "review/live", "product", "delivery", "olive", ""]
        {
            assert!(!of(no).is_production(), "{no}");
        }
        assert!(Deployment { production: Some(true), ..of("eu-1") }.is_production());
        assert!(!Deployment { production: Some(false), ..of("production") }.is_production());
    }
}
