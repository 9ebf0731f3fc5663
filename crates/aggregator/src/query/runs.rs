//! Runs and branches, of one project or of all.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use api::v1;
use domain::{Branch, Pipeline, ProjectKey, RunId, Status, Timestamp};
use history::RunFilter;

use super::wire::{branch, branch_of, pipeline_with_estimate, state_of};
use super::{BadQuery, Paging, Terms, Wanted, direction, run_statuses};
use crate::board::{Entry, Rules};
use crate::hub::Present;

/// A question for runs, checked.
#[derive(Debug, Clone)]
pub struct PipelineQuery {
    project: Option<ProjectKey>,
    terms: Terms,
    sources: Vec<String>,
    platforms: Vec<String>,
    statuses: Vec<Status>,
    branch: Option<String>,
    sort: RunSort,
    reverse: bool,
    paging: Paging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunSort {
    Newest,
    Duration,
    Status,
}

pub(super) fn key(key: Option<&v1::ProjectKey>) -> Result<Option<ProjectKey>, BadQuery> {
    key.map(ProjectKey::try_from).transpose().map_err(|e| BadQuery(e.to_string()))
}

impl TryFrom<v1::ListPipelinesRequest> for PipelineQuery {
    type Error = BadQuery;
    fn try_from(r: v1::ListPipelinesRequest) -> Result<Self, BadQuery> {
        let (word, reverse) = direction(&r.sort);
        let sort = match word {
            "" | "newest" => RunSort::Newest,
            "duration" => RunSort::Duration,
            "status" => RunSort::Status,
            _ => return Err(BadQuery(format!("{word:?} is no sort: one of newest, duration, status"))),
        };
        Ok(Self {
            project: key(r.project.as_ref())?,
            terms: Terms::new(&r.q),
            sources: r.sources,
            platforms: r.platforms,
            statuses: run_statuses(&r.statuses)?,
            branch: r.branch,
            sort,
            reverse,
            paging: Paging::new(r.page, r.per_page)?,
        })
    }
}

pub(super) fn is_of(
    entry: &Entry,
    project: Option<&ProjectKey>,
    sources: &[String],
    platforms: &[String],
) -> bool {
    let p = &entry.project;
    project.is_none_or(|k| *k == p.key)
        && (sources.is_empty() || sources.iter().any(|s| s == p.key.source.as_str()))
        && (platforms.is_empty() || platforms.iter().any(|x| x == p.platform.as_str()))
}

impl PipelineQuery {
    /// How far into the runs of which project it goes, when it goes through them newest first: such a list goes on beyond what
    /// the board holds.
    #[must_use]
    pub fn reaches(&self) -> Option<Reach<'_>> {
        let project = self.project.as_ref()?;
        let countable = self.terms.is_empty() && self.sources.is_empty() && self.platforms.is_empty();
        let newest_first = self.sort == RunSort::Newest && !self.reverse;
        let filter = RunFilter { branch: self.branch.clone(), statuses: self.statuses.clone(), lane: None };
        let runs = (self.paging.page as usize).saturating_mul(self.paging.per_page as usize);
        (countable && newest_first).then_some(Reach { project, runs, filter })
    }
}

/// How far a question goes.
#[derive(Debug)]
pub struct Reach<'a> {
    /// Into whose runs.
    pub project: &'a ProjectKey,
    /// The newest how many that fit.
    pub runs: usize,
    /// Which fit.
    pub filter: RunFilter,
}

impl Reach<'_> {
    /// Whether all runs fit.
    #[must_use]
    pub const fn is_of_all(&self) -> bool {
        self.filter.branch.is_none() && self.filter.statuses.is_empty()
    }
}

/// Answers the question from one state of the board. `older` is what was read from history or from the platform because the
/// question goes on beyond the board, and how many there are; of a run that is in both the board knows more.
#[must_use]
pub fn list_pipelines(
    query: &PipelineQuery,
    present: &Present,
    older: Option<&connector::Pipelines>,
) -> v1::ListPipelinesResponse {
    let in_all = older.and_then(|o| o.total);
    let older: Vec<Arc<Pipeline>> =
        older.into_iter().flat_map(|o| &o.items).map(|r| Arc::new(r.clone())).collect();
    let all_of = |e: &Entry| -> Vec<Arc<Pipeline>> {
        let held: HashSet<&RunId> = e.runs().iter().map(|r| &r.id).collect();
        e.runs().iter().chain(older.iter().filter(|r| !held.contains(&r.id))).map(Arc::clone).collect()
    };
    let mut runs: Vec<_> = present
        .board
        .entries()
        .filter(|e| is_of(e, query.project.as_ref(), &query.sources, &query.platforms))
        .flat_map(|e| all_of(e).into_iter().map(move |r| (e, r)))
        .filter(|(e, r)| {
            let texts = [
                Some(e.project.name.as_str()),
                Some(r.id.as_str()),
                r.branch.as_deref(),
                r.sha.as_deref(),
                r.message.as_deref(),
                r.workflow.name.as_deref(),
                r.author.as_ref().map(|a| a.name.as_str()),
            ];
            (query.statuses.is_empty() || query.statuses.contains(&r.status))
                && query.branch.as_deref().is_none_or(|b| r.branch.as_deref() == Some(b))
                && query.terms.match_any(texts.into_iter().flatten())
        })
        .collect();
    runs.sort_by_cached_key(|(e, r)| (std::cmp::Reverse(r.age_key()), e.project.key.clone()));
    match query.sort {
        RunSort::Newest => {}
        RunSort::Duration => runs.sort_by_key(|(_, r)| std::cmp::Reverse(r.duration)),
        RunSort::Status => runs.sort_by_key(|(_, r)| std::cmp::Reverse(domain::Outcome::of(r.status))),
    }
    if query.reverse {
        runs.reverse();
    }
    let (listed, page) = query.paging.cut(runs);
    let whole = query.reaches().filter(Reach::is_of_all);
    let of_platform = whole.and_then(|reach| present.board.get(reach.project)).map_or(0, Entry::total_runs);
    let there_are = of_platform.max(in_all.unwrap_or_default());
    v1::ListPipelinesResponse {
        pipelines: page.into_iter().map(|(e, r)| pipeline_with_estimate(e, &r)).collect(),
        total: listed.max(u32::try_from(there_are).unwrap_or(u32::MAX)),
        page: query.paging.page,
        per_page: query.paging.per_page,
        version: Some(present.board.version().into()),
        loading: false,
        problems: Vec::new(),
    }
}

/// A question for branches, checked.
#[derive(Debug, Clone)]
pub struct BranchQuery {
    /// Of this project only.
    pub project: Option<ProjectKey>,
    terms: Terms,
    sources: Vec<String>,
    platforms: Vec<String>,
    wanted: Vec<Wanted>,
    by_name: bool,
    reverse: bool,
    name: Option<String>,
    paging: Paging,
}

impl TryFrom<v1::ListBranchesRequest> for BranchQuery {
    type Error = BadQuery;
    fn try_from(r: v1::ListBranchesRequest) -> Result<Self, BadQuery> {
        let (word, reverse) = direction(&r.sort);
        if !matches!(word, "" | "updated" | "name") {
            return Err(BadQuery(format!("{word:?} is no sort: one of updated, name")));
        }
        Ok(Self {
            project: key(r.project.as_ref())?,
            terms: Terms::new(&r.q),
            sources: r.sources,
            platforms: r.platforms,
            wanted: Wanted::parse_all(&r.statuses)?,
            by_name: word == "name",
            reverse,
            name: r.name,
            paging: Paging::new(r.page, r.per_page)?,
        })
    }
}

/// Answers the question from one state of the board. `known` is the platform's list of the asked project's branches,
/// where it was read; without it the branches are those that have runs, and the default branch.
#[must_use]
pub fn list_branches(
    query: &BranchQuery,
    present: &Present,
    known: Option<&[Branch]>,
) -> v1::ListBranchesResponse {
    let default_rules = Rules::default();
    let mut rows: Vec<v1::Branch> = Vec::new();
    for entry in present.board.entries() {
        if !is_of(entry, query.project.as_ref(), &query.sources, &query.platforms) {
            continue;
        }
        let rules = present.board.rules(&entry.project.key.source).unwrap_or(&default_rules);
        let default = entry.project.default_branch.as_deref();
        let listed: Vec<v1::Branch> = match known {
            Some(branches) => branches.iter().map(|b| branch(&entry.project.key, b, default)).collect(),
            None => {
                let mut names: Vec<&str> = default.into_iter().collect();
                // Merge request refs and tags are no branches; where the platform says so, its own list is taken.
                let of_runs = entry
                    .runs()
                    .iter()
                    .filter_map(|r| r.branch.as_deref())
                    .filter(|b| !b.starts_with("refs/"));
                for name in of_runs {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                names.into_iter().map(|n| branch_of(entry, n)).collect()
            }
        };
        for row in listed {
            let named = query.name.as_deref().is_none_or(|n| n == row.name);
            let texts = [
                Some(entry.project.name.as_str()),
                Some(row.name.as_str()),
                row.message.as_deref(),
                row.sha.as_deref(),
            ];
            if !named || !query.terms.match_any(texts.into_iter().flatten()) {
                continue;
            }
            let shown = entry.branch_state(&row.name, rules);
            let is = |w: &Wanted| match w {
                Wanted::Outcome(o) => shown.rollup.outcome == Some(*o),
                Wanted::Activity(a) => shown.rollup.activity == Some(*a),
                Wanted::Active => shown.rollup.activity.is_some(),
                Wanted::Waiting => shown.rollup.waiting.is_some(),
                Wanted::NoData => shown.rollup.outcome.is_none(),
            };
            if query.wanted.is_empty() || query.wanted.iter().any(is) {
                rows.push(v1::Branch { state: Some(state_of(entry, &shown)), ..row });
            }
        }
    }
    let touched = |b: &v1::Branch| -> Option<Timestamp> {
        let run = b.state.as_ref().and_then(|s| s.last_change_at.as_ref());
        run.or(b.committed_at.as_ref()).and_then(api::timestamp_back)
    };
    rows.sort_by(|a, b| {
        let order = if query.by_name {
            Ordering::Equal
        } else {
            b.default.cmp(&a.default).then_with(|| touched(b).cmp(&touched(a)))
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    if query.reverse {
        rows.reverse();
    }
    let (total, page) = query.paging.cut(rows);
    v1::ListBranchesResponse {
        branches: page,
        total,
        page: query.paging.page,
        per_page: query.paging.per_page,
        version: Some(present.board.version().into()),
        loading: false,
        problems: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use connector::{Heads, Pipelines};
    use domain::{NativeId, PlatformId, Project, SourceName, SystemClock};

    use super::*;
    use crate::board::{Observation, Seen};
    use crate::hub::Hub;

    fn run(id: u64, status: Status, branch: &str) -> Pipeline {
        let created_at = Timestamp::from_second(1_700_000_000 + id.cast_signed()).ok();
        Pipeline { created_at, branch: Some(branch.into()), ..Pipeline::new(RunId::from(id), status, "word") }
    }

    /// Of a project whose two newest runs the board has, which are all that the platform still has.
    fn list(request: v1::ListPipelinesRequest, older: Pipelines) -> (Vec<String>, u32) {
        let hub = Hub::new(Arc::new(SystemClock));
        let key = ProjectKey::new(SourceName::new("s").unwrap(), NativeId::new("1"));
        let project = Project::named(key.clone(), PlatformId::new("gitlab"), "p");
        hub.configure(|p| {
            let source = crate::sources::Source::new(key.source.clone(), "gitlab", String::new());
            p.sources.insert(key.source.clone(), source);
        });
        let asked_at = Timestamp::from_second(1_700_000_100).unwrap();
        hub.observe(Observation { asked_at, seen: Seen::Projects(vec![project]) });
        let pipelines = vec![run(9, Status::Success, "main"), run(8, Status::Failed, "main")];
        let heads = Box::new(Heads { pipelines, total_runs: Some(2), ..Heads::default() });
        hub.observe(Observation { asked_at, seen: Seen::Heads(key.clone(), heads) });
        let request = v1::ListPipelinesRequest { project: Some((&key).into()), per_page: 2, ..request };
        let query = PipelineQuery::try_from(request).unwrap();
        let answer = hub.read(|p| list_pipelines(&query, p, Some(&older)));
        (answer.pipelines.into_iter().map(|p| p.id).collect(), answer.total)
    }

    #[test]
    fn there_are_as_many_as_whoever_has_most_of_them_says() {
        let older = || Pipelines { items: Vec::new(), total: Some(7), problems: Vec::new() };
        assert_eq!(list(v1::ListPipelinesRequest::default(), older()), (vec!["9".into(), "8".into()], 7));
        let fewer = Pipelines { total: Some(1), ..older() };
        assert_eq!(list(v1::ListPipelinesRequest::default(), fewer).1, 2);
    }

    #[test]
    fn a_narrowed_list_goes_on_beyond_the_board() {
        let items = vec![
            run(8, Status::Running, "main"),
            run(3, Status::Failed, "main"),
            run(2, Status::Failed, "x"),
        ];
        let older = || Pipelines { items: items.clone(), total: Some(5), problems: Vec::new() };
        let failed = || v1::ListPipelinesRequest { statuses: vec!["failed".into()], ..Default::default() };
        assert_eq!(list(failed(), older()), (vec!["8".into(), "3".into()], 5), "the board knows better");
        let second = v1::ListPipelinesRequest { page: 2, ..failed() };
        assert_eq!(list(second, older()).0, ["2"]);
        let of_branch = v1::ListPipelinesRequest { branch: Some("x".into()), ..failed() };
        assert_eq!(list(of_branch, older()).0, ["2"]);
    }
}
