//! Lists of projects and of pipelines.

use std::collections::HashSet;

use connector::{Error, Moved, PageToken, PipelineQuery, Pipelines, ProjectPage, Result};
use domain::{Pipeline, Problem, ProblemKind, Project, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::paging::{Listed, PER_PAGE, PER_PAGE_TEXT, list, page_url};
use crate::source::{GitLab, broken_rows};
use crate::{convert, wire};

/// The most pages of pipelines that one question reads: 5,000 pipelines.
const MAX_PIPELINE_PAGES: usize = 50;
const PROJECTS: &str = "GET /projects";
const GROUP_PROJECTS: &str = "GET /groups/:id/projects";
const PIPELINES: &str = "GET /projects/:id/pipelines";

/// GitLab writes down a project's last activity at most this often.
const ACTIVITY_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Pages of a listing that are read for what moved; beyond, all of it is to be listed.
const MAX_MOVED_PAGES: usize = 3;

/// Where in the listing of several groups one is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct AtGroup {
    /// Which group.
    group: usize,
    /// Its page; `None` for the first.
    page: Option<String>,
    /// Groups that could not be read. They are told at the end, so that they keep no other group from being read.
    failed: Vec<String>,
    /// Nothing but telling them is left.
    done: bool,
}

impl AtGroup {
    fn token(&self) -> Result<PageToken> {
        let text = serde_json::to_string(self).map_err(|e| Error::Garbage(format!("page token: {e}")))?;
        Ok(PageToken(text))
    }
}

impl GitLab {
    /// Projects: of the groups in the settings, else those that the token's owner is a member of. Archived ones too.
    pub(crate) async fn list_projects(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        if !self.groups.is_empty() {
            return self.list_of_groups(page).await;
        }
        if self.anonymous {
            // `/projects` would list every public project of the instance.
            return Err(Error::Forbidden(
                "without a token there is no list of projects: name projects in filters.watched_repos or \
                 groups in the source's settings, or give the source a token"
                    .into(),
            ));
        }
        // Not `simple=true`: that leaves out `archived`, `visibility` and whether CI is on. Keyset, because offsets
        // are capped and slow on large instances.
        let query = [
            ("membership", "true"),
            ("pagination", "keyset"),
            ("order_by", "id"),
            ("sort", "asc"),
            ("per_page", PER_PAGE_TEXT),
        ];
        let url = page_url(&self.client, &["projects"], &query, page.as_ref().map(|t| t.0.as_str()));
        let answer = list(&self.client, PROJECTS, url).await;
        let listed: Listed<wire::Project> = answer.map_err(|e| e.of_a_stranger("GitLab's API"))?;
        Ok(self.projects_of(&listed, listed.token()))
    }

    fn projects_of(&self, listed: &Listed<wire::Project>, next: Option<PageToken>) -> ProjectPage {
        if listed.broken > 0 {
            tracing::warn!(source = %self.name, rows = listed.broken, "projects that could not be read are left out");
        }
        let items = listed.items.iter().map(|row| convert::project(&self.name, row)).collect();
        ProjectPage { items, next, ..ProjectPage::default() }
    }

    async fn list_of_groups(&self, page: Option<PageToken>) -> Result<ProjectPage> {
        let mut at: AtGroup = match page {
            None => AtGroup::default(),
            Some(token) => serde_json::from_str(&token.0)
                .map_err(|e| Error::Garbage(format!("no page of this list: {e}")))?,
        };
        if at.done {
            return Err(Error::NotFound(format!("groups that could not be read: {}", at.failed.join("; "))));
        }
        while let Some(group) = self.groups.get(at.group) {
            let query = [
                ("include_subgroups", "true"),
                ("with_shared", "false"),
                ("order_by", "id"),
                ("sort", "asc"),
                ("per_page", PER_PAGE_TEXT),
            ];
            let url = page_url(&self.client, &["groups", group, "projects"], &query, at.page.as_deref());
            match list::<wire::Project>(&self.client, GROUP_PROJECTS, url).await {
                Ok(listed) => {
                    at.page.clone_from(&listed.next);
                    if at.page.is_none() {
                        at.group += 1;
                    }
                    let more = at.group < self.groups.len();
                    at.done = !more && !at.failed.is_empty();
                    let next = if more || at.done { Some(at.token()?) } else { None };
                    return Ok(self.projects_of(&listed, next));
                }
                Err(e) if e.concerns_source() || self.groups.len() == 1 => return Err(e),
                Err(e) => {
                    at.failed.push(format!("{group}: {e}"));
                    at.group += 1;
                    at.page = None;
                }
            }
        }
        Err(Error::NotFound(format!("groups that could not be read: {}", at.failed.join("; "))))
    }

    /// What was touched since then, from the listing by last activity.
    pub(crate) async fn list_moved(&self, since: Timestamp) -> Result<Option<Moved>> {
        if self.groups.is_empty() && self.anonymous {
            return Ok(None);
        }
        let since = since.saturating_sub(ACTIVITY_EVERY).unwrap_or(since);
        let order = [("order_by", "last_activity_at"), ("sort", "desc"), ("per_page", PER_PAGE_TEXT)];
        let after = since.to_string();
        let mut lists = Vec::new();
        if self.groups.is_empty() {
            let mut query = vec![("membership", "true"), ("last_activity_after", after.as_str())];
            query.extend(order);
            lists.push((PROJECTS, vec!["projects"], query));
        }
        for group in &self.groups {
            let mut query = vec![("include_subgroups", "true"), ("with_shared", "false")];
            query.extend(order);
            lists.push((GROUP_PROJECTS, vec!["groups", group, "projects"], query));
        }
        let mut moved = Moved { complete: true, ..Moved::default() };
        for (endpoint, segments, query) in lists {
            let mut page: Option<String> = None;
            for number in 0..=MAX_MOVED_PAGES {
                if number == MAX_MOVED_PAGES {
                    moved.complete = false;
                    break;
                }
                let url = page_url(&self.client, &segments, &query, page.as_deref());
                let listed: Listed<wire::Project> = list(&self.client, endpoint, url).await?;
                let projects: Vec<_> =
                    listed.items.iter().map(|row| convert::project(&self.name, row)).collect();
                let recent = |project: &Project| project.last_activity_at.is_none_or(|at| at >= since);
                page = listed.next.filter(|_| projects.iter().all(recent));
                moved.items.extend(projects.into_iter().filter(recent));
                if page.is_none() {
                    break;
                }
            }
        }
        moved.items.sort_by_key(|project| std::cmp::Reverse(project.last_activity_at));
        Ok(Some(moved))
    }

    /// From a header, which GitLab leaves out above 10,000 projects.
    pub(crate) async fn count_projects(&self) -> Result<Option<u64>> {
        let (endpoint, url) = match self.groups.as_slice() {
            [] if self.anonymous => return Ok(None),
            [] => (PROJECTS, self.client.url(&["projects"], &[("membership", "true"), ("per_page", "1")])),
            [group] => {
                let query = [("include_subgroups", "true"), ("with_shared", "false"), ("per_page", "1")];
                (GROUP_PROJECTS, self.client.url(&["groups", group, "projects"], &query))
            }
            // One request each, and a project may be in several.
            _ => return Ok(None),
        };
        let answer = self.client.get(endpoint, url).await?;
        Ok(answer.header("x-total").and_then(|total| total.trim().parse().ok()))
    }

    /// Pipelines to the end of the list or to the limit, as rows.
    pub(crate) async fn list_pipelines(&self, project: &Project, query: &PipelineQuery) -> Result<Pipelines> {
        if query.limit == 0 {
            return Ok(Pipelines::default());
        }
        let per_page = query.limit.min(PER_PAGE).to_string();
        // jiff writes `Z`, never an offset: a plus sign would have to be encoded twice behind some proxies.
        let since = query.since.map(|t| t.to_string());
        let mut parameters = vec![("per_page", per_page.as_str()), ("order_by", "id"), ("sort", "desc")];
        parameters.extend(query.branch.as_deref().map(|b| ("ref", b)));
        parameters.extend(since.as_deref().map(|t| ("updated_after", t)));
        let segments = ["projects", project.key.id.as_str(), "pipelines"];

        let mut out = Pipelines::default();
        let mut seen = HashSet::new();
        let mut page: Option<String> = None;
        for _ in 0..query.max_pages(MAX_PIPELINE_PAGES) {
            let url = page_url(&self.client, &segments, &parameters, page.as_deref());
            let listed = match list::<wire::Pipeline>(&self.client, PIPELINES, url).await {
                Ok(listed) => listed,
                Err(e) if page.is_none() => return Err(e),
                Err(e) => {
                    out.problems.push(e.to_partial("older pipelines"));
                    break;
                }
            };
            out.total = out.total.or(listed.total);
            out.problems.extend(broken_rows("pipelines", &listed));
            // Pages shift while new pipelines come: a row may come twice.
            let rows = listed.items.iter().map(convert::pipeline);
            out.items.extend(rows.filter(|run| seen.insert(run.id.clone()) && !query.is_beyond(run)));
            page = listed.next;
            if page.is_none() || out.items.len() >= query.limit {
                break;
            }
        }
        if page.is_some() && out.items.len() < query.limit && out.problems.is_empty() {
            let text = format!("pipelines: truncated after {} pages", query.max_pages(MAX_PIPELINE_PAGES));
            out.problems.push(Problem::new(ProblemKind::Partial, text));
        }
        let recent = |run: &Pipeline| match (query.since, run.updated_at.max(run.created_at)) {
            (Some(since), Some(at)) => at >= since,
            _ => true,
        };
        out.items.retain(recent);
        out.items.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
        out.items.truncate(query.limit);
        Ok(out)
    }
}
