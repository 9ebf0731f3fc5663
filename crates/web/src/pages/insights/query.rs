//! What the insights are about: the parameters of their URLs, read and written back.

use api::v1;
use domain::ProjectKey;

use crate::pages::query::Pairs;

/// The window that is shown unless it is told, in days.
pub(super) const DEFAULT_DAYS: u32 = 30;

/// Which days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// The last so many, today included.
    Days(u32),
    /// From one to another, as `2026-11-24`; where one is missing, 30 days from or to the other.
    Between(Option<String>, Option<String>),
}

impl Default for Span {
    fn default() -> Self {
        Self::Days(DEFAULT_DAYS)
    }
}

/// What is asked about. `Default` is everything, over the last 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatsQuery {
    /// Source names, empty for all.
    pub sources: Vec<String>,
    /// Platform ids, empty for all.
    pub platforms: Vec<String>,
    /// One project.
    pub project: Option<ProjectKey>,
    /// A branch name, in whatever project.
    pub branch: Option<String>,
    /// Which days.
    pub span: Span,
}

impl StatsQuery {
    /// About one project, over the last 30 days.
    #[must_use]
    pub fn of_project(project: ProjectKey) -> Self {
        Self { project: Some(project), ..Self::default() }
    }

    fn pairs(&self) -> Pairs {
        let mut out = Pairs::default();
        match &self.span {
            Span::Days(DEFAULT_DAYS) => {}
            Span::Days(days) => out.add("window", &format!("{days}d")),
            Span::Between(from, to) => {
                for (key, day) in [("from", from), ("to", to)] {
                    if let Some(day) = day {
                        out.add(key, day);
                    }
                }
            }
        }
        for (key, values) in [("source", &self.sources), ("platform", &self.platforms)] {
            for value in values {
                out.add(key, value);
            }
        }
        if let Some(project) = &self.project {
            out.add("project", &project.to_string());
        }
        if let Some(branch) = &self.branch {
            out.add("branch", branch);
        }
        out
    }

    /// This query as the part of a URL from `?` on; empty when everything is as it is by itself.
    #[must_use]
    pub fn to_url(&self) -> String {
        self.pairs().0
    }

    /// The same with more parameters after it.
    #[must_use]
    pub fn to_url_with(&self, more: &[(&str, &str)]) -> String {
        let mut out = self.pairs();
        for (key, value) in more {
            out.add(key, value);
        }
        out.0
    }

    /// [`Self::to_url`] after a change.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = self.clone();
        change(&mut other);
        other.to_url()
    }

    /// Whether anything but time is narrowed.
    #[must_use]
    pub const fn narrows(&self) -> bool {
        !self.sources.is_empty()
            || !self.platforms.is_empty()
            || self.project.is_some()
            || self.branch.is_some()
    }
}

/// Which figure the runs are behind. `Default` is all first attempts of the window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BehindQuery {
    /// What the figure is about.
    pub scope: StatsQuery,
    /// Words of the runs' status, empty for all.
    pub statuses: Vec<String>,
    /// Of one day, as `2026-11-24`.
    pub day: Option<String>,
    /// Of one hour of the week, Monday 0:00 UTC being 0.
    pub hour: Option<u32>,
    /// Of one workflow, by the platform's id of it.
    pub lane: Option<String>,
    /// With a failed job of this name.
    pub job: Option<String>,
    /// That failed for this reason.
    pub reason: Option<String>,
    /// With a job of this name, whatever came of it.
    pub ran_job: Option<String>,
    /// With `job`: that failed without a reason.
    pub no_reason: bool,
    /// From 1; 0 is 1.
    pub page: u32,
    /// 1 to 100; 0 is 50.
    pub per_page: u32,
}

impl BehindQuery {
    /// All runs behind what `scope` asks about.
    #[must_use]
    pub fn of(scope: &StatsQuery) -> Self {
        Self { scope: scope.clone(), ..Self::default() }
    }

    /// The runs of a group of failures.
    pub(crate) fn of_failures(scope: &StatsQuery, group: &v1::FailureGroup) -> Self {
        let bare = group.job.is_none() && group.reason.is_none();
        Self {
            job: group.job.clone(),
            reason: group.reason.clone(),
            no_reason: group.job.is_some() && group.reason.is_none(),
            statuses: if bare { vec!["failed".into()] } else { Vec::new() },
            ..Self::of(scope)
        }
    }

    /// This query as the part of a URL from `?` on.
    #[must_use]
    pub fn to_url(&self) -> String {
        let mut out = self.scope.pairs();
        for status in &self.statuses {
            out.add("status", status);
        }
        let texts = [
            ("day", &self.day),
            ("workflow", &self.lane),
            ("job", &self.job),
            ("reason", &self.reason),
            ("ran_job", &self.ran_job),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                out.add(key, text);
            }
        }
        if self.no_reason {
            out.add("no_reason", "1");
        }
        if let Some(hour) = self.hour {
            out.add("hour", &hour.to_string());
        }
        if self.per_page != 0 && self.per_page != super::super::DEFAULT_PER_PAGE {
            out.add("per_page", &self.per_page.to_string());
        }
        if self.page > 1 {
            out.add("page", &self.page.to_string());
        }
        out.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_it_is_by_itself_is_not_said() {
        assert_eq!(StatsQuery::default().to_url(), "");
        assert_eq!(BehindQuery { page: 1, per_page: 50, ..BehindQuery::default() }.to_url(), "");
    }

    #[test]
    fn everything_is_in_the_url() {
        let scope = StatsQuery {
            sources: vec!["a".into()],
            project: Some("a:x/y z:1".parse().unwrap()),
            branch: Some("main".into()),
            span: Span::Between(Some("2026-11-01".into()), None),
            ..StatsQuery::default()
        };
        let url = "?from=2026-11-01&source=a&project=a:x/y%20z:1&branch=main";
        assert_eq!(scope.to_url(), url);
        assert_eq!(
            scope.with(|q| q.span = Span::Days(7)),
            "?window=7d&source=a&project=a:x/y%20z:1&branch=main"
        );
        let behind = BehindQuery {
            statuses: vec!["failed".into()],
            hour: Some(3),
            reason: Some("step \"x\" & y".into()),
            page: 2,
            ..BehindQuery::of(&scope)
        };
        assert_eq!(
            behind.to_url(),
            format!("{url}&status=failed&reason=step%20%22x%22%20%26%20y&hour=3&page=2")
        );
        let of_jobs = BehindQuery {
            job: Some("a".into()),
            ran_job: Some("b".into()),
            no_reason: true,
            ..BehindQuery::default()
        };
        assert_eq!(of_jobs.to_url(), "?job=a&ran_job=b&no_reason=1");
    }
}
