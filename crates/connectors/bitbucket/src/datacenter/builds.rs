//! Builds on commits: which commits have any, which these are.

use std::collections::{BTreeMap, HashMap};

use connector::http::Post;
use connector::{Error, PipelineDetail, PipelineQuery, Pipelines, Result};
use domain::{Branch, Job, JobId, Pipeline, Project, RunId, Timestamp};

use super::{DataCenter, LIMIT, Listed, convert, wire};

const STATS: &str = "POST /rest/build-status/latest/commits/stats";
const STATUSES: &str = "GET /rest/build-status/latest/commits/:commit";
const BUILD: &str = "GET /rest/api/latest/projects/:key/repos/:slug/commits/:commit/builds";
pub(super) const COMMITS: &str = "GET /rest/api/latest/projects/:key/repos/:slug/commits";
/// Commits whose builds are counted in one question.
pub(super) const COMMITS_AT_ONCE: usize = 100;
/// Commits of a branch that are looked through for its runs.
const MAX_COMMITS: usize = 100;
/// Of these, commits whose builds are read, one request each.
const MAX_BUILT_COMMITS: usize = 30;

/// The two halves of a run's id.
///
/// # Errors
/// [`Error::NotFound`] when it is none of ours.
fn halves(run: &RunId) -> Result<(&str, &str)> {
    run.as_str().split_once(':').ok_or_else(|| {
        let shown = domain::text::line(run.as_str(), domain::text::MAX_TITLE);
        Error::NotFound(format!("{shown:?} is no build of Bitbucket Data Center's: expected COMMIT:KEY"))
    })
}

impl DataCenter {
    /// How the builds of these commits are; a commit without builds is not among them.
    pub(super) async fn stats(&self, commits: &[String]) -> Result<HashMap<String, wire::Stats>> {
        let mut all = HashMap::new();
        for some in commits.chunks(COMMITS_AT_ONCE) {
            let url = self.client.url(&["rest", "build-status", "latest", "commits", "stats"], &[]);
            let post = Post::json(&some)?.header("x-atlassian-token", "no-check")?.repeatable();
            let answer: HashMap<String, wire::Stats> = self.client.post(STATS, url, post).await?.json()?;
            all.extend(answer);
        }
        Ok(all)
    }

    /// The builds of a commit, the newest of each key.
    pub(super) async fn builds(&self, sha: &str) -> Result<Vec<wire::Build>> {
        let url = self.client.url(
            &["rest", "build-status", "latest", "commits", sha],
            &[("limit", LIMIT), ("orderBy", "NEWEST")],
        );
        let listed: Listed<wire::Build> = self.list(STATUSES, url).await?;
        if listed.values.items.is_empty() && listed.values.broken > 0 {
            let broken = listed.values.broken;
            return Err(Error::Garbage(format!(
                "Bitbucket Data Center: none of {broken} builds could be read"
            )));
        }
        let mut newest: BTreeMap<String, wire::Build> = BTreeMap::new();
        for row in listed.values.items {
            match newest.get(&row.key) {
                Some(known) if known.date_added >= row.date_added => {}
                _ => drop(newest.insert(row.key.clone(), row)),
            }
        }
        Ok(newest.into_values().collect())
    }

    /// The newest commits of a branch, in the order of its history.
    async fn commits(&self, project: &Project, branch: &str, limit: &str) -> Result<Vec<wire::Commit>> {
        let until = format!("refs/heads/{branch}");
        let url =
            self.below(project, &["commits"], &[("until", &until), ("limit", limit), ("start", "0")])?;
        Ok(self.list::<wire::Commit>(COMMITS, url).await?.values.items)
    }

    /// A branch by its name: its newest commit.
    pub(crate) async fn branch(&self, project: &Project, name: &str) -> Result<Branch> {
        let commits = self.commits(project, name, "1").await?;
        let commit = commits.first();
        if commit.is_none() {
            return Err(Error::NotFound(format!("Bitbucket Data Center: branch {name:?} has no commit")));
        }
        Ok(convert::branch_at(project, name, commit))
    }

    /// Nothing, when it is the branch alone that is not there.
    ///
    /// # Errors
    /// `error` when it says anything else, or the repository is not there either.
    async fn no_such_branch(&self, project: &Project, error: Error) -> Result<()> {
        match error {
            Error::NotFound(_) => self.project(project.key.id.as_str()).await.map(drop),
            error => Err(error),
        }
    }

    /// The builds of the newest commits of a branch, or of the default branch.
    pub(crate) async fn pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        let mut out = Pipelines::default();
        let branch = match query.branch.clone().or_else(|| project.default_branch.clone()) {
            Some(branch) if query.limit > 0 => branch,
            _ => return Ok(out),
        };
        let commits = match self.commits(project, &branch, &MAX_COMMITS.to_string()).await {
            Ok(commits) => commits,
            Err(e) => return self.no_such_branch(project, e).await.map(|()| out),
        };
        let shas: Vec<String> = commits.iter().filter_map(|c| c.id.clone()).collect();
        let stats = self.stats(&shas).await?;
        let built = commits.iter().filter(|c| c.id.as_ref().is_some_and(|sha| stats.contains_key(sha)));
        for commit in built.take(MAX_BUILT_COMMITS) {
            if out.items.len() >= query.limit {
                break;
            }
            let Some(sha) = commit.id.as_deref() else { continue };
            let at = convert::branch_at(project, &branch, Some(commit));
            match self.builds(sha).await {
                Ok(rows) => out.items.extend(rows.iter().map(|row| convert::run(sha, Some(&at), row))),
                Err(e) if out.items.is_empty() => return Err(e),
                Err(e) => {
                    out.problems.push(e.to_partial("older builds"));
                    break;
                }
            }
        }
        let since = |at: Timestamp| query.since.is_none_or(|since| at >= since);
        out.items.retain(|run| run.updated_at.max(run.created_at).is_none_or(since));
        out.items.retain(|run| !query.is_beyond(run));
        // A build that names another branch as the one that it ran for.
        out.items.retain(|run| query.branch.is_none() || run.branch == query.branch);
        out.items.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        out.items.truncate(query.limit);
        Ok(out)
    }

    pub(crate) async fn latest(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        let head = match self.branch(project, branch).await {
            Ok(head) => head,
            Err(e) => return self.no_such_branch(project, e).await.map(|()| None),
        };
        let Some(sha) = head.sha.as_deref() else { return Ok(None) };
        let rows = self.builds(sha).await?;
        let runs = rows.iter().map(|row| convert::run(sha, Some(&head), row));
        Ok(runs.filter(|run| run.branch.as_deref() == Some(branch)).max_by_key(Pipeline::age_key))
    }

    /// One build, which stands for its only job as well: what it did is known where it ran.
    pub(crate) async fn detail(&self, project: &Project, run: &RunId) -> Result<PipelineDetail> {
        let (sha, key) = halves(run)?;
        let url = self.below(project, &["commits", sha, "builds"], &[("key", key)])?;
        let row = match self.client.get(BUILD, url).await {
            Ok(response) => Some(response.json::<wire::Build>()?),
            // Servers before 7.14 do not know it, and it holds only what was posted since.
            Err(Error::NotFound(_)) => None,
            Err(e) => return Err(e),
        };
        let row = match row {
            Some(row) => row,
            None => self.builds(sha).await?.into_iter().find(|row| row.key == key).ok_or_else(|| {
                Error::NotFound("Bitbucket Data Center has no such build on this commit".to_owned())
            })?,
        };
        let mut pipeline = convert::run(sha, None, &row);
        pipeline.id = run.clone();
        let job = Job {
            failure_reason: pipeline.failure.clone(),
            started_at: pipeline.started_at,
            finished_at: pipeline.finished_at,
            duration: pipeline.duration,
            url: pipeline.url.clone(),
            ..Job::new(
                JobId::new(key),
                row.name.as_deref().unwrap_or(key),
                pipeline.status,
                pipeline.native_status.clone(),
            )
        };
        Ok(PipelineDetail { pipeline, jobs: vec![job], problems: Vec::new() })
    }
}
