//! Pull requests, issues, and whose token it is, on Cloud.

use connector::{Error, Issue, MergeRequest, MergeRequestState, Page, PageToken, Result};
use domain::{Person, Project, Status};

use super::runs::same_commit;
use super::{Cloud, Listed, PAGELEN, convert, page_url, status, token, wire};

const PULLS: &str = "GET /repositories/:workspace/:repo_slug/pullrequests";
const STATUSES: &str = "GET /repositories/:workspace/:repo_slug/commit/:commit/statuses";
const ISSUES: &str = "GET /repositories/:workspace/:repo_slug/issues";
/// The largest page of pull requests and issues; more is refused.
const PAGELEN_OF_TALK: &str = "50";
/// Pull requests of one page whose builds are asked for by themselves, because no recent pipeline is of their commit.
const MAX_STATUSES: usize = 5;

impl Cloud {
    /// Open pull requests with how their newest commit was built: from the newest pipelines, and of a few others from the
    /// builds that somebody else's CI reported.
    pub(crate) async fn pull_requests(
        &self,
        project: &Project,
        page: Option<PageToken>,
    ) -> Result<Page<MergeRequest>> {
        let fields = wire::of_list(&wire::PULL);
        let query = [
            ("state", "OPEN"),
            ("sort", "-updated_on"),
            ("pagelen", PAGELEN_OF_TALK),
            ("fields", fields.as_str()),
        ];
        let url = page_url(page, || self.below(project, &["pullrequests"], &query))?;
        let listed: Listed<wire::Pull> = self.list(PULLS, url).await?;
        let next = token(listed.next()?);
        let mut items: Vec<_> = listed.values.items.into_iter().map(convert::pull).collect();
        items.retain(|pull| pull.state == MergeRequestState::Open);
        if !items.is_empty() {
            self.built(project, &mut items).await;
        }
        Ok(Page { items, next })
    }

    /// What cannot be read is left out: it only adds a colour.
    async fn built(&self, project: &Project, pulls: &mut [MergeRequest]) {
        let runs = match self.newest_runs(project, None, PAGELEN) {
            Ok(url) => self.runs(url).await.map(|listed| listed.values.items).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let runs: Vec<_> = runs.iter().map(|row| convert::run(project, row)).collect();
        let mut asked = 0;
        for pull in pulls {
            let Some(short) = pull.sha.clone() else { continue };
            let run = runs.iter().find(|run| run.sha.as_deref().is_some_and(|sha| same_commit(&short, sha)));
            if let Some(run) = run {
                // The board knows runs by their whole hash.
                pull.sha.clone_from(&run.sha);
                pull.head_status = Some(run.status);
            } else if asked < MAX_STATUSES {
                asked += 1;
                let (status, sha) = self.statuses(project, &short).await.unwrap_or_default();
                pull.head_status = status;
                pull.sha = sha.filter(|sha| same_commit(&short, sha)).or(Some(short));
            }
        }
    }

    /// The worst of what is reported of a commit, and its whole hash; nothing when nothing is.
    async fn statuses(&self, project: &Project, sha: &str) -> Result<(Option<Status>, Option<String>)> {
        let query = [("pagelen", PAGELEN), ("fields", "values.state,values.commit.hash,next")];
        let url = self.below(project, &["commit", sha, "statuses"], &query)?;
        let listed: Listed<wire::CommitStatus> = self.list(STATUSES, url).await?;
        let rows = &listed.values.items;
        let whole = rows.iter().find_map(|row| row.commit.as_ref()?.hash.clone());
        Ok((worst(rows.iter().filter_map(|row| row.state.as_deref()).map(status::status)), whole))
    }

    /// Open issues, of a repository that has any.
    pub(crate) async fn issues(&self, project: &Project, page: Option<PageToken>) -> Result<Page<Issue>> {
        let none = || Ok(Page { items: Vec::new(), next: None });
        if self.has_issues(project) == Some(false) {
            return none();
        }
        let fields = wire::of_list(&wire::ISSUE);
        let query = [
            ("q", r#"state="new" OR state="open""#),
            ("sort", "-updated_on"),
            ("pagelen", PAGELEN_OF_TALK),
            ("fields", fields.as_str()),
        ];
        let url = page_url(page, || self.below(project, &["issues"], &query))?;
        let listed: Listed<wire::Issue> = match self.list(ISSUES, url).await {
            Ok(listed) => listed,
            // It has no issues, which the repository says, or it is not there.
            Err(Error::NotFound(why)) => {
                self.project(project.key.id.as_str()).await?;
                return if self.has_issues(project) == Some(true) {
                    Err(Error::NotFound(why))
                } else {
                    none()
                };
            }
            Err(e) => return Err(e),
        };
        let next = token(listed.next()?);
        let mut items: Vec<_> = listed.values.items.into_iter().map(convert::issue).collect();
        items.retain(|issue| issue.open);
        Ok(Page { items, next })
    }

    /// An access token belongs to nobody: Cloud refuses it here, with 401 as if it were wrong. Whether it is shows where
    /// it may read.
    pub(crate) async fn current_user(&self) -> Result<Option<Person>> {
        let query = [("fields", "display_name,nickname,links.avatar.href")];
        let refused = match self.get("GET /user", self.client.url(&["user"], &query)).await {
            Ok(answer) => return Ok(convert::account(&answer.json()?)),
            Err(Error::Forbidden(_) | Error::NotFound(_)) => return Ok(None),
            Err(e @ Error::Unauthorized(_)) => e,
            Err(e) => return Err(e),
        };
        let Some(workspace) = self.workspaces.first().filter(|_| self.of_nobody) else { return Err(refused) };
        let url = self.client.url(&["repositories", workspace], &[("pagelen", "1"), ("fields", "size")]);
        self.get("GET /repositories/:workspace", url).await.map(|_| None).map_err(|_| refused)
    }
}

/// What goes on decides before what has ended, and of that the worst.
pub(crate) fn worst(all: impl Iterator<Item = Status>) -> Option<Status> {
    const WORST_LAST: [Status; 6] = [
        Status::Skipped,
        Status::Unknown,
        Status::Success,
        Status::Canceled,
        Status::Failed,
        Status::Running,
    ];
    all.max_by_key(|status| WORST_LAST.iter().position(|w| w == status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_builds_counts() {
        use Status::{Canceled, Failed, Running, Success};
        assert_eq!(worst([Success, Failed, Canceled].into_iter()), Some(Failed));
        assert_eq!(worst([Failed, Running].into_iter()), Some(Running));
        assert_eq!(worst([Success].into_iter()), Some(Success));
        assert_eq!(worst([].into_iter()), None);
    }
}
