//! Lists of builds. `builds` has the newest 100, `allBuilds` the rest, newest first; there is no total.

use std::collections::HashSet;

use connector::{Error, PipelineQuery, Pipelines, Result};
use domain::{Pipeline, Problem, ProblemKind, Project, Timestamp};

use crate::source::Jenkins;
use crate::wire::Kind;
use crate::{base, convert, tree};

/// Builds a page.
const PER_PAGE: usize = 100;
/// The most pages of one job's builds that one question reads.
const MAX_PAGES: usize = 50;
/// The most branches whose builds one question reads, when it names none.
const MAX_BRANCHES: usize = 100;

fn recent(run: &Pipeline, since: Option<Timestamp>) -> bool {
    match (since, run.updated_at.max(run.created_at)) {
        (Some(since), Some(at)) => at >= since,
        _ => true,
    }
}

impl Jenkins {
    /// Builds to the end of the list or to the limit, newest first.
    pub(crate) async fn list_builds(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        let mut out = Pipelines::default();
        if query.limit == 0 {
            return Ok(out);
        }
        match &query.branch {
            Some(branch) => {
                let child = match self.child_of(project, branch).await {
                    Ok(child) => child,
                    Err(Error::NotFound(_)) => return Ok(out),
                    Err(e) => return Err(e),
                };
                self.builds_of(project, Some(&child), query, &mut out).await?;
            }
            None => {
                let item = self.item(project.key.id.as_str(), tree::NAMES).await?;
                if item.kind() == Kind::Multibranch {
                    self.builds_of_all(project, &item, query, &mut out).await?;
                } else {
                    self.builds_of(project, None, query, &mut out).await?;
                }
            }
        }
        out.items.retain(|run| recent(run, query.since));
        out.items.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        out.items.truncate(query.limit);
        Ok(out)
    }

    async fn builds_of_all(
        &self,
        project: &Project,
        item: &crate::wire::Item,
        query: &PipelineQuery,
        out: &mut Pipelines,
    ) -> Result<()> {
        let names: Vec<&str> =
            item.jobs.iter().flat_map(|j| &j.items).filter_map(|i| i.name.as_deref()).collect();
        for (index, name) in names.iter().take(MAX_BRANCHES).enumerate() {
            match self.builds_of(project, Some(name), query, out).await {
                Ok(()) => {}
                Err(e) if e.concerns_source() => return Err(e),
                Err(e) if index == 0 && !matches!(e, Error::NotFound(_)) => return Err(e),
                Err(e) => out.problems.push(e.to_partial(&format!("builds of {}", base::display(name)))),
            }
        }
        if names.len() > MAX_BRANCHES {
            let text = format!("builds of {MAX_BRANCHES} of {} branches were read", names.len());
            out.problems.push(Problem::new(ProblemKind::Partial, text));
        }
        Ok(())
    }

    /// Builds of one job, page by page. A page that fails half-way keeps what came.
    async fn builds_of(
        &self,
        project: &Project,
        child: Option<&str>,
        query: &PipelineQuery,
        out: &mut Pipelines,
    ) -> Result<()> {
        let id = project.key.id.as_str();
        let job = child.map_or_else(|| id.to_owned(), |child| base::join(id, child));
        let of = self.of(project, child);
        let mut seen: HashSet<u64> = HashSet::new();
        let mut beyond = 0;
        for page in 0..query.max_pages(MAX_PAGES) {
            let count = PER_PAGE.min(query.limit.saturating_sub(seen.len() - beyond));
            let rows = match self.item(&job, &tree::all_builds(page * PER_PAGE, count)).await {
                Ok(item) => item.all_builds,
                Err(e) if page == 0 => return Err(e),
                Err(e) => {
                    out.problems.push(e.to_partial("older builds"));
                    break;
                }
            };
            out.problems.extend(rows.problem("builds"));
            let came = rows.items.len() + rows.broken;
            let before = out.items.len();
            for build in &rows.items {
                // The list shifts while new builds come: one may come twice.
                if build.number.is_some_and(|n| seen.insert(n)) {
                    let run = convert::build(build, &of);
                    beyond += usize::from(run.as_ref().is_some_and(|run| query.is_beyond(run)));
                    out.items.extend(run);
                }
            }
            let reached = out.items[before..].iter().any(|run| !recent(run, query.since));
            out.items.retain(|run| !query.is_beyond(run));
            if came < count || seen.len() - beyond >= query.limit || reached {
                break;
            }
        }
        Ok(())
    }

    /// The newest build of a branch; of a job without branches, the newest there is.
    pub(crate) async fn latest_build(&self, project: &Project, branch: &str) -> Result<Option<Pipeline>> {
        let id = project.key.id.as_str();
        let child = if branch.is_empty() {
            None
        } else {
            match self.child_of(project, branch).await {
                Ok(child) => Some(child),
                Err(Error::NotFound(_)) => return Ok(None),
                Err(e) => return Err(e),
            }
        };
        let job = child.as_deref().map_or_else(|| id.to_owned(), |child| base::join(id, child));
        let item = self.item(&job, &tree::builds(1)).await?;
        Ok(item.builds.items.first().and_then(|b| convert::build(b, &self.of(project, child.as_deref()))))
    }
}
