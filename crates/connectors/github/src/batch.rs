//! What moved in many repositories, by one GraphQL question about each hundred of them.
//!
//! GitHub counts points for GraphQL, apart from requests: one point for each hundred connections. The question has one
//! connection for each branch that is shown – the check suites of its newest commit – so that a hundred repositories whose
//! default branch alone is shown cost one point, whether anything moved or not. (A count of open pull requests would be
//! a second connection, and double that.)
//!
//! GraphQL has no list of a repository's runs, no attempts and no jobs, so it says *that* something moved, and REST what:
//!
//! | seen | then |
//! | --- | --- |
//! | nothing else than is known | nothing is asked |
//! | a run that goes on is in another state of going on | told at once |
//! | a run of a shown branch's newest commit that is not known, has ended or was started over | read by REST |
//! | a push to any branch, for a while: runs come a moment after it | read by REST |
//! | a known run goes on elsewhere: another branch, an older commit | read by REST |
//! | more check suites than are asked for, and not the newest ones; a repository that it does not tell of | read by REST |
//!
//! Reading by REST is conditional, and a 304 is free: what goes on elsewhere costs a request only when it moves.
//!
//! What it cannot see: a run that nobody pushed for (started by hand or over again, for a fork's pull request) on what
//! is not the newest commit of a shown branch. That is found when the whole state is read, now and then
//! ([`connector::HeadsAsk::full`]), or when a webhook tells of it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use connector::graphql::{Answer, Dialect};
use connector::http::Budget;
use connector::wire::{lenient_string, lenient_time, lenient_u64};
use connector::{Extent, Heads, HeadsAsk};
use domain::{Completeness, Pipeline, RunId, Status, Timestamp};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::base::owner_and_name;
use crate::{heads, status};

/// GitHub's GraphQL. The resource's name is that of its headers.
pub(crate) const DIALECT: Dialect =
    Dialect { endpoint: "POST /graphql", resource: Some("graphql"), most: 100, least: 10 };
/// From so many repositories on, a point is cheaper than the requests, of which most are free.
pub(crate) const WORTH_A_QUESTION: usize = 4;
/// What GitHub counts points in.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Check suites of one commit that are asked for, the last of them: a nightly run adds one each night.
pub(crate) const SUITES: usize = 30;
/// Further branches of one repository that are asked for: each costs as much as a repository.
const MAX_BRANCHES: usize = 5;
/// How long after a push a repository is read by REST as well: its runs come into being after it.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(3);

/// Whether a question about many may do for this one.
pub(crate) fn fits(ask: &HeadsAsk) -> bool {
    !ask.full && ask.branches.len() <= MAX_BRANCHES && owner_and_name(ask.project.key.id.as_str()).is_some()
}

/// The question about these. Names are of GitHub's own alphabet; branches are written as JSON strings, which GraphQL's are
/// as well.
pub(crate) fn question(asks: &[HeadsAsk]) -> (String, Value) {
    let mut query = String::from("query Moved {\n rateLimit { cost limit remaining resetAt }\n");
    for (at, ask) in asks.iter().enumerate() {
        let Some((owner, name)) = owner_and_name(ask.project.key.id.as_str()) else { continue };
        let _ = write!(query, " r{at}: repository(owner: \"{owner}\", name: \"{name}\") {{ ...R");
        for (number, branch) in others(ask).enumerate() {
            let name = Value::from(format!("refs/heads/{branch}"));
            let _ = write!(query, " b{number}: ref(qualifiedName: {name}) {{ ...B }}");
        }
        query.push_str(" }\n");
    }
    let _ = write!(
        query,
        "}}\nfragment R on Repository {{ pushedAt defaultBranchRef {{ name ...B }} }}\n\
         fragment B on Ref {{ target {{ oid ... on Commit {{ checkSuites(last: {SUITES}) {{ totalCount nodes {{ \
         status conclusion workflowRun {{ resourcePath updatedAt }} }} }} }} }} }}\n"
    );
    (query, Value::Object(Map::new()))
}

/// The branches besides the default one.
fn others(ask: &HeadsAsk) -> impl Iterator<Item = &String> {
    let default = ask.project.default_branch.as_deref();
    ask.branches.iter().filter(move |branch| Some(branch.as_str()) != default)
}

/// The answer: the price, and a row for each repository.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Told {
    #[serde(default, rename = "rateLimit")]
    price: Option<Price>,
    #[serde(flatten)]
    rows: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Price {
    #[serde(default, deserialize_with = "lenient_u64")]
    cost: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    remaining: Option<u64>,
    #[serde(default, rename = "resetAt", deserialize_with = "lenient_time")]
    reset_at: Option<Timestamp>,
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    #[serde(default, rename = "pushedAt", deserialize_with = "lenient_time")]
    pushed_at: Option<Timestamp>,
    #[serde(default, rename = "defaultBranchRef")]
    head: Option<Ref>,
    #[serde(flatten)]
    others: HashMap<String, Option<Ref>>,
}

#[derive(Debug, Deserialize)]
struct Ref {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
    #[serde(default)]
    target: Option<Commit>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    oid: Option<String>,
    #[serde(default, rename = "checkSuites")]
    suites: Option<Suites>,
}

#[derive(Debug, Deserialize)]
struct Suites {
    #[serde(default, rename = "totalCount", deserialize_with = "lenient_u64")]
    total: Option<u64>,
    #[serde(default)]
    nodes: Vec<Option<Suite>>,
}

#[derive(Debug, Deserialize)]
struct Suite {
    #[serde(default, deserialize_with = "lenient_string")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    conclusion: Option<String>,
    #[serde(default, rename = "workflowRun")]
    run: Option<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    /// `/owner/repository/actions/runs/ID`: the `databaseId` is a number of 32 bits, and the ids of runs are not.
    #[serde(default, rename = "resourcePath", deserialize_with = "lenient_string")]
    path: Option<String>,
    #[serde(default, rename = "updatedAt", deserialize_with = "lenient_time")]
    updated_at: Option<Timestamp>,
}

impl Told {
    /// What the answer cost, and what is left of the points.
    pub(crate) fn price(&self) -> Option<(u64, Option<Budget>)> {
        let price = self.price.as_ref()?;
        let budget = price.limit.zip(price.remaining).map(|(limit, remaining)| Budget {
            limit,
            remaining,
            reset_at: price.reset_at,
            window: price.reset_at.map(|_| HOUR),
        });
        Some((price.cost.unwrap_or(1), budget))
    }

    /// Each question with its row; without one where it was not told of, or not in a way that can be read.
    pub(crate) fn dealt<R: DeserializeOwned>(
        asks: Vec<HeadsAsk>,
        answer: Option<Answer<Self>>,
    ) -> Vec<(HeadsAsk, Option<R>)> {
        let Some(Answer { data: mut told, errors }) = answer else {
            return asks.into_iter().map(|ask| (ask, None)).collect();
        };
        // What an error is about is perhaps told in part: as good as not at all.
        let spoilt: HashSet<&str> = errors.iter().filter_map(|e| e.path.first()?.as_str()).collect();
        let nowhere = errors.iter().any(|e| e.path.is_empty());
        let row = |(at, ask)| {
            let alias = format!("r{at}");
            let value = told.rows.remove(&alias).filter(|_| !nowhere && !spoilt.contains(&*alias));
            (ask, value.and_then(|value| serde_json::from_value(value).ok()))
        };
        asks.into_iter().enumerate().map(row).collect()
    }
}

/// Compares a row with what is known. What it does not tell of, or not enough, is to be read.
pub(crate) fn judge(ask: &HeadsAsk, row: Option<&Row>, anonymous: bool, now: Timestamp) -> Heads {
    let moved_on = |last_activity_at| Heads { extent: Extent::Moved, last_activity_at, ..Heads::default() };
    let Some(row) = row else { return moved_on(None) };
    let pushed = row.pushed_at > ask.project.last_activity_at;
    let settling = row.pushed_at.is_some_and(|at| now.duration_since(at) < SETTLES_WITHIN);
    let (told, known) = (row.head.as_ref(), ask.known_head.as_ref().map(|(branch, _)| branch));
    let told_sha = told.and_then(|head| head.target.as_ref()?.oid.as_deref());
    let same_head = told.and_then(|head| head.name.as_deref()) == known.map(|head| head.name.as_str())
        && told_sha == known.and_then(|head| head.sha.as_deref());
    let news = (!pushed && !settling && same_head).then(|| moved(ask, row)).flatten();
    match news {
        Some(pipelines) if !lacks_details(ask, anonymous) => {
            Heads { extent: Extent::News, pipelines, ..Heads::default() }
        }
        _ => moved_on(row.pushed_at.filter(|_| pushed)),
    }
}

/// The known runs that are in another state now; `None` when there is more than that.
fn moved(ask: &HeadsAsk, row: &Row) -> Option<Vec<Pipeline>> {
    let known: HashMap<&RunId, &Pipeline> = ask.known.iter().map(|run| (&run.id, &**run)).collect();
    let mut seen: HashSet<RunId> = HashSet::new();
    let mut out = Vec::new();
    let default = row.head.as_ref().zip(ask.project.default_branch.as_deref());
    // One that is gone has no newest commit; its runs stand.
    let others = others(ask).enumerate().filter_map(|(number, branch)| {
        Some((row.others.get(&format!("b{number}"))?.as_ref()?, branch.as_str()))
    });
    for (head, branch) in default.into_iter().chain(others) {
        let Some(suites) = head.target.as_ref().and_then(|commit| commit.suites.as_ref()) else { continue };
        // Further back than what is known of the branch is of no concern.
        let oldest = ask.known.iter().filter(|run| run.branch.as_deref() == Some(branch));
        let oldest = oldest.filter_map(|run| run.id.as_str().parse::<u64>().ok()).min();
        for suite in suites.nodes.iter().flatten() {
            let Some(run) = &suite.run else { continue };
            let number: u64 = run.path.as_deref()?.rsplit('/').next()?.parse().ok()?;
            let id = RunId::from(number);
            if !seen.insert(id.clone()) {
                continue;
            }
            match known.get(&id) {
                Some(known) => out.extend(step(known, suite, run)?),
                None if oldest.is_some_and(|oldest| number < oldest) => {}
                None => return None,
            }
        }
        // In which order they come is not said: what is not among the last has to be older than what is known.
        let all = suites.total.is_some_and(|total| total <= suites.nodes.len() as u64);
        let sha = head.target.as_ref().and_then(|commit| commit.oid.as_deref());
        let mut of_commit = ask.known.iter().filter(|run| run.sha.as_deref() == sha);
        if !all && of_commit.next().is_none_or(|newest| !seen.contains(&newest.id)) {
            return None;
        }
    }
    let shown = |run: &Pipeline| {
        run.branch.is_some()
            && (run.branch == ask.project.default_branch
                || ask.branches.iter().any(|b| Some(b) == run.branch.as_ref()))
    };
    // One that waits for somebody on a fork's branch may wait for ever.
    let goes_on = |run: &Pipeline| run.status.is_active() || (run.status == Status::Manual && shown(run));
    ask.known.iter().all(|run| seen.contains(&run.id) || !goes_on(run)).then_some(out)
}

/// What became of a known run: nothing, or another state of going on. `None` when it is to be read.
fn step(known: &Pipeline, suite: &Suite, run: &Run) -> Option<Option<Pipeline>> {
    let word = |word: &Option<String>| word.as_ref().map(|word| word.to_ascii_lowercase());
    let (state, conclusion) = (word(&suite.status), word(&suite.conclusion));
    let native = status::native(state.as_deref(), conclusion.as_deref());
    let now = status::status(state.as_deref(), conclusion.as_deref());
    let newer = run.updated_at > known.updated_at;
    if native == known.native_status && !newer {
        return Some(None);
    }
    let goes_on = now.is_active() && known.status.is_active();
    goes_on.then(|| {
        Some(Pipeline {
            status: now,
            native_status: native,
            updated_at: run.updated_at.max(known.updated_at),
            ..known.clone()
        })
    })
}

/// Whether the jobs of a run that decides for a shown branch are still to be read.
fn lacks_details(ask: &HeadsAsk, anonymous: bool) -> bool {
    let shown = heads::shown(ask);
    let workflows = ask.known_workflows.as_ref().map(|(workflows, _)| workflows);
    !anonymous
        && heads::deciding(ask.known.iter().map(|run| &**run), &shown, workflows)
            .any(|(_, run)| run.completeness == Completeness::Row)
}
