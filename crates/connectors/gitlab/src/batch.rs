//! What moved in many projects, by one GraphQL question about each hundred of them.
//!
//! GitLab's REST API has no list over projects, and a question about one counts even where nothing is new. GraphQL has
//! `projects(ids)` with the pipelines of each that were updated since. A hundred projects share one window, which begins when
//! the first of them was last read; they are dealt by that, so that one that is read rarely does not widen the window of
//! those that are read often. Of those of which nothing is known the newest pipelines are asked for. The complexity stays below
//! half of what GitLab allows, whatever the number of projects.
//!
//! | seen | then |
//! | --- | --- |
//! | nothing else than is known | nothing is asked |
//! | a pipeline that is new or in another state | told at once |
//! | one of a shown branch failed, or passed with warnings | told at once; its failed jobs are asked for by REST |
//! | a pipeline of the default branch on another commit | that is its newest commit |
//! | other activity in the project (which GitLab writes down once an hour) | its default branch is read |
//! | more changes than fit on the page, a project that it does not tell of | to be read by REST |
//!
//! Servers that do not know every field ([`GraphQl::is_plain`](connector::graphql::GraphQl::is_plain)) tell states of known
//! pipelines; new ones are read by REST there.
//!
//! What is to be read is said by [`connector::Extent::Moved`]; the schedule decides when, and reads the whole.
//!
//! What it cannot see: commits without a pipeline until that activity is written down, and what was deleted. That is found
//! when the whole state is read, now and then ([`connector::HeadsAsk::full`]). Servers whose lists of pipelines know no
//! `updatedAfter` are asked by REST.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use connector::graphql::{Answer, Dialect};
use connector::wire::{lenient_string, lenient_time, lenient_u64};
use connector::{Heads, HeadsAsk};
use domain::{Branch, Completeness, Pipeline, Project, RunId, Status, Timestamp, stats::STRIP_RUNS};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{convert, enrich, status, wire};

/// GitLab's GraphQL, which is throttled as everything else is.
pub(crate) const DIALECT: Dialect = Dialect {
    endpoint: "POST /api/graphql",
    resource: None,
    most: 100,
    least: 5,
    has_plain: true,
    optional: &[],
};
/// From so many projects on, a question is cheaper than one for each.
pub(crate) const WORTH_A_QUESTION: usize = 2;
/// Changed pipelines of one project that are asked for.
const PIPELINES: usize = 20;
/// How far the window reaches back before the last reading: clocks differ, and transactions end in another order than
/// they write.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// Whether a question about many may do for this one.
pub(crate) fn fits(ask: &HeadsAsk) -> bool {
    !ask.full && !ask.project.ci_disabled && number(ask).is_some()
}

/// Whether it can be named to GraphQL.
pub(crate) fn is_numbered(ask: &HeadsAsk) -> bool {
    number(ask).is_some()
}

/// A project's number; whatever else stands for one is asked by REST.
fn number(ask: &HeadsAsk) -> Option<u64> {
    ask.project.key.id.as_str().parse().ok()
}

/// What every server that has the list knows of a pipeline, …
const PLAIN: &str = "id status updatedAt startedAt finishedAt duration queuedDuration warnings";
/// … and what makes one that was not known.
const WHOLE: &str = "iid name ref sha source createdAt user { name username avatarUrl }
 commit { title message authorName authoredDate }";

/// What moved in these. `plain`: the server does not know every field.
pub(crate) fn question(asks: &[HeadsAsk], plain: bool) -> (String, Value) {
    let fields = if plain { "" } else { WHOLE };
    let query = format!(
        "query Moved($ids: [ID!], $first: Int, $page: Int, $since: Time) {{
 queryComplexity {{ score limit }}
 projects(ids: $ids, first: $first) {{ nodes {{ id lastActivityAt
  pipelines(first: $page, updatedAfter: $since) {{ pageInfo {{ hasNextPage }} nodes {{ {PLAIN} {fields} }} }} }} }}
}}"
    );
    let ids = gids(asks);
    let nothing_known = asks.iter().any(|ask| ask.known_at.is_none());
    let since = asks.iter().filter_map(|ask| ask.known_at).min().filter(|_| !nothing_known);
    let since = since.map(|since| since.saturating_sub(OVERLAP).unwrap_or(since).to_string());
    (query, json!({ "ids": ids, "first": ids.len(), "page": PIPELINES, "since": since }))
}

/// The newest pipelines of the default branch of one: as many as a strip shows.
pub(crate) fn strip(asks: &[HeadsAsk]) -> (String, Value) {
    let query = format!(
        "query Strip($ids: [ID!], $page: Int, $ref: String) {{
 projects(ids: $ids, first: 1) {{ nodes {{ id
  pipelines(first: $page, ref: $ref) {{ pageInfo {{ hasNextPage }} nodes {{ {PLAIN} {WHOLE} }} }} }} }}
}}"
    );
    let branch = asks.first().and_then(|ask| ask.project.default_branch.clone());
    (query, json!({ "ids": gids(asks), "page": STRIP_RUNS, "ref": branch }))
}

fn gids(asks: &[HeadsAsk]) -> Vec<String> {
    asks.iter().filter_map(number).map(|n| format!("gid://gitlab/Project/{n}")).collect()
}

/// The answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Told {
    #[serde(default, rename = "queryComplexity")]
    complexity: Option<Value>,
    #[serde(default)]
    projects: Nodes<Value>,
}

#[derive(Debug, Deserialize)]
struct Nodes<T> {
    #[serde(default = "Vec::new")]
    nodes: Vec<T>,
    #[serde(default, rename = "pageInfo")]
    page: PageInfo,
}

impl<T> Default for Nodes<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), page: PageInfo::default() }
    }
}

#[derive(Debug, Default, Deserialize)]
struct PageInfo {
    #[serde(default, rename = "hasNextPage")]
    more: bool,
}

/// A project.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    id: String,
    #[serde(default, rename = "lastActivityAt", deserialize_with = "lenient_time")]
    last_activity_at: Option<Timestamp>,
    /// Null where they are not to be seen.
    pipelines: Nodes<Option<Run>>,
}

#[derive(Debug, Deserialize)]
struct Run {
    id: String,
    #[serde(default, deserialize_with = "lenient_string")]
    status: Option<String>,
    #[serde(default, rename = "updatedAt", deserialize_with = "lenient_time")]
    updated_at: Option<Timestamp>,
    #[serde(default, rename = "startedAt", deserialize_with = "lenient_time")]
    started_at: Option<Timestamp>,
    #[serde(default, rename = "finishedAt", deserialize_with = "lenient_time")]
    finished_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "wire::seconds")]
    duration: Option<Duration>,
    #[serde(default, rename = "queuedDuration", deserialize_with = "wire::seconds")]
    queued: Option<Duration>,
    #[serde(default)]
    warnings: Option<bool>,
    #[serde(default, deserialize_with = "lenient_u64")]
    iid: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
    #[serde(default, rename = "ref", deserialize_with = "lenient_string")]
    git_ref: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    sha: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    source: Option<String>,
    #[serde(default, rename = "createdAt", deserialize_with = "lenient_time")]
    created_at: Option<Timestamp>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    commit: Option<Commit>,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    username: Option<String>,
    #[serde(default, rename = "avatarUrl", deserialize_with = "lenient_string")]
    avatar_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    message: Option<String>,
    #[serde(default, rename = "authorName", deserialize_with = "lenient_string")]
    author_name: Option<String>,
    #[serde(default, rename = "authoredDate", deserialize_with = "lenient_time")]
    authored_at: Option<Timestamp>,
}

impl Row {
    /// Its pipelines, as far as they can be read.
    pub(crate) fn pipelines(&self, project: &Project) -> Vec<Pipeline> {
        self.pipelines.nodes.iter().flatten().filter_map(|run| run.to_pipeline(project)).collect()
    }
}

impl Run {
    /// The pipeline in the form in which REST tells of it. `None` where the server does not tell enough.
    fn to_pipeline(&self, project: &Project) -> Option<Pipeline> {
        // Of its source and name the lane is made: without them it would take the place of no other.
        let (git_ref, _) = (self.git_ref.as_ref()?, self.source.as_ref()?);
        let id = of_gid(&self.id)?;
        let warned = self.warnings == Some(true);
        let row = wire::Pipeline {
            id,
            iid: self.iid,
            sha: self.sha.clone(),
            git_ref: Some(git_ref.clone()),
            status: self.status.as_deref().map(str::to_ascii_lowercase),
            source: self.source.clone(),
            name: self.name.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            web_url: project.url.as_ref().map(|url| format!("{url}/-/pipelines/{id}")),
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration: self.duration,
            queued_duration: self.queued,
            user: self.user.as_ref().map(|user| wire::User {
                username: user.username.clone(),
                name: user.name.clone(),
                avatar_url: user.avatar_url.clone(),
            }),
            yaml_errors: None,
            detailed_status: warned
                .then(|| wire::DetailedStatus { group: Some(status::WITH_WARNINGS.into()) }),
        };
        let mut run = convert::pipeline(&row);
        if let Some(commit) = self.commit.as_ref().map(|commit| commit.to_wire(self.sha.as_deref())) {
            run.author = convert::commit_author(&commit, row.user.as_ref()).or(run.author);
            run.message = convert::commit_message(&commit);
        }
        // What failed is told by its jobs alone.
        let is_all = !(run.status.is_active() || matches!(run.status, Status::Failed | Status::Warning));
        run.completeness = if is_all { Completeness::Full } else { Completeness::Row };
        Some(run)
    }
}

impl Commit {
    fn to_wire(&self, sha: Option<&str>) -> wire::Commit {
        wire::Commit {
            id: sha.map(str::to_owned),
            title: self.title.clone(),
            message: self.message.clone(),
            author_name: self.author_name.clone(),
            committed_date: self.authored_at,
            created_at: None,
        }
    }
}

/// `123` of `gid://gitlab/Ci::Pipeline/123`.
fn of_gid(gid: &str) -> Option<u64> {
    gid.strip_prefix("gid://")?.rsplit('/').next()?.parse().ok()
}

impl Told {
    /// Each question with its row; without one where it was not told of, or not in a way that can be read.
    pub(crate) fn dealt(asks: Vec<HeadsAsk>, answer: Option<Answer<Self>>) -> Vec<(HeadsAsk, Option<Row>)> {
        let Some(Answer { data, errors }) = answer.filter(|answer| answer.errors.is_empty()) else {
            return asks.into_iter().map(|ask| (ask, None)).collect();
        };
        debug_assert!(errors.is_empty(), "filtered above");
        if let Some(complexity) = &data.complexity {
            tracing::trace!(%complexity, "GitLab's word on the question");
        }
        let rows = data.projects.nodes.into_iter().filter_map(|row| serde_json::from_value::<Row>(row).ok());
        let mut rows: HashMap<u64, Row> = rows.filter_map(|row| Some((of_gid(&row.id)?, row))).collect();
        asks.into_iter()
            .map(|ask| {
                let row = number(&ask).and_then(|number| rows.remove(&number));
                (ask, row)
            })
            .collect()
    }
}

/// What follows from a row.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Pipelines that are new, or in another state.
    pub(crate) pipelines: Vec<Pipeline>,
    /// The default branch, where a pipeline of it tells of another commit.
    pub(crate) head: Option<Branch>,
    /// The project's last activity, where that is news.
    pub(crate) activity: Option<Timestamp>,
    /// Whether nothing that was told accounts for that activity: the default branch may have moved.
    pub(crate) unaccounted: bool,
    /// Those of which all is told but what failed.
    pub(crate) unexplained: Vec<usize>,
    /// Whether REST has to tell the rest.
    pub(crate) more: bool,
}

/// Compares a row with what is known.
pub(crate) fn judge(ask: &HeadsAsk, row: &Row) -> Verdict {
    let mut verdict = Verdict { activity: newer(ask, row), head: head(ask, row), ..Verdict::default() };
    let nothing_known = ask.known_at.is_none();
    if row.pipelines.page.more && !nothing_known {
        // A part of it would leave a hole among the runs.
        return Verdict { more: true, head: None, ..verdict };
    }
    let known: HashMap<&RunId, &Pipeline> = ask.known.iter().map(|run| (&run.id, &**run)).collect();
    let oldest = ask.known.iter().filter_map(|run| run.id.as_str().parse::<u64>().ok()).min();
    // Older than all that a full page holds: of no concern, and REST would not tell it either.
    let beyond =
        |number: u64| ask.known.len() >= Heads::MAX_RUNS && oldest.is_some_and(|oldest| number < oldest);
    for run in row.pipelines.nodes.iter().flatten() {
        let Some(number) = of_gid(&run.id) else {
            verdict.more = true;
            continue;
        };
        let before = known.get(&RunId::from(number)).copied();
        let is_nothing_new = |known| is_same(known, run) && !completes(run, known);
        if before.map_or_else(|| beyond(number), is_nothing_new) {
            continue;
        }
        let told = match (run.to_pipeline(&ask.project), before) {
            (Some(told), Some(known)) => Some(in_order(told, known).filled_from(known)),
            (told @ Some(_), None) => told,
            (None, Some(known)) => step(known, run),
            (None, None) => None,
        };
        match told {
            Some(told) => verdict.pipelines.push(told),
            None => verdict.more = true,
        }
    }
    // A branch that could not be read is asked for again.
    let default = ask.project.default_branch.as_deref();
    let headless = default.is_some() && ask.known_head.is_none() && verdict.head.is_none();
    verdict.unaccounted = headless || (verdict.activity.is_some() && !accounts(ask, row));
    let lacking = lacking(ask, &verdict.pipelines);
    let told = |id: &RunId| verdict.pipelines.iter().position(|run| run.id == *id && run.message.is_some());
    match lacking.iter().map(told).collect::<Option<Vec<_>>>() {
        // Of what was never read as a whole that is still to come.
        Some(few) if few.is_empty() || (!nothing_known && few.len() <= enrich::FAILURES_PER_REFRESH) => {
            verdict.unexplained = few;
        }
        _ => verdict.more = true,
    }
    verdict.more |= nothing_known && verdict.pipelines.is_empty();
    verdict
}

/// Whether a pipeline of the default branch was made since the last reading: its push is the activity.
fn accounts(ask: &HeadsAsk, row: &Row) -> bool {
    let default = ask.project.default_branch.as_deref();
    let of_default = |run: &Run| run.git_ref.as_deref() == default && run.commit.is_some();
    row.pipelines.nodes.iter().flatten().any(|run| of_default(run) && is_since(ask, run))
}

/// Whether it was made since the last reading, though a webhook may have told of it.
fn is_since(ask: &HeadsAsk, run: &Run) -> bool {
    let Some(id) = of_gid(&run.id).map(RunId::from) else { return false };
    ask.known.iter().all(|known| known.id != id) || run.created_at > ask.known_at
}

/// The default branch with the commit of its newest pipeline, where that is another than is known. Only of one that was made
/// since the last reading: after those before there may have been commits without any.
fn head(ask: &HeadsAsk, row: &Row) -> Option<Branch> {
    let name = ask.project.default_branch.as_deref()?;
    // They come newest first.
    let run = row.pipelines.nodes.iter().flatten().find(|run| run.git_ref.as_deref() == Some(name))?;
    let (sha, commit) = (run.sha.as_deref()?, run.commit.as_ref()?);
    let known = ask.known_head.as_ref().map(|(branch, _)| branch).filter(|branch| branch.name == name);
    if !is_since(ask, run) || known.is_some_and(|known| known.sha.as_deref() == Some(sha)) {
        return None;
    }
    let row = wire::Branch {
        name: name.to_owned(),
        default: Some(true),
        protected: known.and_then(|known| known.protected),
        commit: Some(commit.to_wire(Some(sha))),
        web_url: known.and_then(|known| known.url.as_ref()).map(ToString::to_string),
    };
    Some(convert::branch(&ask.project, &row))
}

/// The project's last activity, where that is news.
fn newer(ask: &HeadsAsk, row: &Row) -> Option<Timestamp> {
    row.last_activity_at.filter(|at| Some(*at) > ask.project.last_activity_at)
}

/// GraphQL tells whole seconds, and REST their thousandths.
pub(crate) fn second(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_second)
}

/// Whether a known pipeline is as it was.
fn is_same(known: &Pipeline, run: &Run) -> bool {
    run.status.as_deref().is_some_and(|word| word.eq_ignore_ascii_case(&known.native_status))
        && second(run.updated_at) <= second(known.updated_at)
}

/// What was told, with the finer of the two times where they are the same second: else it would count as older.
fn in_order(told: Pipeline, known: &Pipeline) -> Pipeline {
    let same = second(told.updated_at) == second(known.updated_at);
    let updated_at = if same { told.updated_at.max(known.updated_at) } else { told.updated_at };
    Pipeline { updated_at, ..told }
}

/// Whether it tells more of a known pipeline that has ended: of one that a webhook told of.
fn completes(run: &Run, known: &Pipeline) -> bool {
    known.completeness != Completeness::Full && !known.status.is_active() && run.commit.is_some()
}

/// What became of a known pipeline, of a server that tells its state alone: another state of going on, or that it passed.
/// `None` when it is to be read.
fn step(known: &Pipeline, run: &Run) -> Option<Pipeline> {
    let word = run.status.as_deref()?.to_ascii_lowercase();
    let status = status::pipeline(&word, None);
    let passed = status == Status::Success && run.warnings == Some(false);
    if !known.status.is_active() || !(status.is_active() || passed) {
        return None;
    }
    let ended = |at| if passed { at } else { None };
    Some(Pipeline {
        status,
        native_status: word,
        updated_at: run.updated_at.max(known.updated_at),
        started_at: run.started_at.or(known.started_at),
        queued: run.queued.or(known.queued),
        finished_at: ended(run.finished_at),
        duration: if passed { run.duration } else { None },
        failure: None,
        ..known.clone()
    })
}

/// The pipelines of the strips that are still to be read.
fn lacking(ask: &HeadsAsk, told: &[Pipeline]) -> BTreeSet<RunId> {
    let ids: HashSet<&RunId> = told.iter().map(|run| &run.id).collect();
    let known = ask.known.iter().map(|run| &**run).filter(|run| !ids.contains(&run.id));
    let mut runs: Vec<&Pipeline> = known.chain(told).collect();
    runs.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    let of = |branch: &String| {
        let of_branch = runs.iter().filter(|run| run.branch.as_ref() == Some(branch));
        let strip = of_branch.take(STRIP_RUNS);
        let unread = strip.filter(|run| run.completeness != Completeness::Full && !run.status.is_active());
        unread.map(|run| run.id.clone()).collect::<Vec<_>>()
    };
    ask.project.default_branch.iter().chain(&ask.branches).flat_map(of).collect()
}

/// The same question, of a project that was active then.
pub(crate) fn informed(ask: &HeadsAsk, row: &Row) -> HeadsAsk {
    let last_activity_at = row.last_activity_at.max(ask.project.last_activity_at);
    let project = Arc::new(Project { last_activity_at, ..Project::clone(&ask.project) });
    HeadsAsk { project, known_head: None, ..ask.clone() }
}
