//! What moved in many repositories, by one GraphQL question about each hundred of them.
//!
//! GitHub counts points for GraphQL, apart from requests: one point for each hundred connections. The question has one
//! connection for each commit whose check suites it asks for, so that a hundred repositories whose default branch alone is
//! shown cost one point, whether anything moved or not. Points are rounded to the nearest, so that there is room for some
//! forty connections more: they count the open pull requests of those repositories in which they were counted longest ago
//! ([`counted`]), and a few questions later all are. What a run is – its workflow, its state, its commit – comes along at no further cost, so that most of what
//! happens is told at once; [`news`](crate::news) compares it with what is known.
//!
//! Asked for, of each repository, are the newest commits of the branches that are shown, and the commits elsewhere on which
//! known runs go on.

use std::collections::HashSet;
use std::fmt::Write as _;

use connector::HeadsAsk;
use connector::graphql::{Answer, Dialect};
use connector::http::Budget;
use connector::wire::{lenient_string, lenient_time, lenient_u64};
use domain::Timestamp;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::base::owner_and_name;

/// GitHub's GraphQL. The resource's name is that of its headers.
pub(crate) const DIALECT: Dialect = Dialect {
    endpoint: "POST /graphql",
    resource: Some("graphql"),
    most: 100,
    least: 10,
    has_plain: true,
    optional: &["pullRequests"],
};
/// From so many repositories on, a point is cheaper than the requests, of which most are free.
pub(crate) const WORTH_A_QUESTION: usize = 4;
/// What GitHub counts points in.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Connections in a point.
const OF_A_POINT: usize = 100;
/// So many more do not make it two: half a point does.
const ROUNDED_AWAY: usize = 40;
/// Check suites of one commit that are asked for, the last of them: a nightly run adds one each night.
pub(crate) const SUITES: usize = 30;
/// Further branches of one repository that are asked for: each costs as much as a repository.
const MAX_BRANCHES: usize = 5;
/// Commits of one repository, besides the newest of its branches, that are asked for.
const MAX_ELSEWHERE: usize = 5;

/// Whether a question about many may do for this one.
pub(crate) fn fits(ask: &HeadsAsk) -> bool {
    !ask.full && ask.branches.len() <= MAX_BRANCHES && owner_and_name(ask.project.key.id.as_str()).is_some()
}

/// The question about these. Names are of GitHub's own alphabet; what is not is written as a JSON string, which GraphQL's
/// are as well. `counts`: whether pull requests may be counted.
pub(crate) fn question(asks: &[HeadsAsk], counts: bool) -> (String, Value) {
    let counted = if counts { counted(asks) } else { HashSet::new() };
    let mut query = String::from("query Moved {\n rateLimit { cost limit remaining resetAt }\n");
    for (at, ask) in asks.iter().enumerate() {
        let Some((owner, name)) = owner_and_name(ask.project.key.id.as_str()) else { continue };
        let _ = write!(query, " r{at}: repository(owner: \"{owner}\", name: \"{name}\") {{ ...R");
        if counted.contains(&at) {
            query.push_str(" pullRequests(states: OPEN, first: 1) { totalCount }");
        }
        for (number, branch) in others(ask).enumerate() {
            let name = Value::from(format!("refs/heads/{branch}"));
            let _ = write!(query, " b{number}: ref(qualifiedName: {name}) {{ ...B }}");
        }
        for (number, sha) in elsewhere(ask).iter().enumerate() {
            let _ = write!(query, " c{number}: object(oid: {}) {{ ...C }}", Value::from(*sha));
        }
        query.push_str(" }\n");
    }
    let _ = write!(
        query,
        "}}\nfragment R on Repository {{ pushedAt defaultBranchRef {{ ...B }} }}\n\
         fragment B on Ref {{ name target {{ ...C }} }}\n\
         fragment C on Commit {{ oid message committedDate author {{ name avatarUrl }} checkSuites(last: {SUITES}) {{ totalCount nodes {{ \
         status conclusion branch {{ name }} workflowRun {{ resourcePath runNumber event url createdAt updatedAt \
         workflow {{ databaseId name }} }} }} }} }}\n"
    );
    (query, Value::Object(Map::new()))
}

/// Those of them, by their places, in which pull requests are counted: as many as that adds nothing to the question's price.
fn counted(asks: &[HeadsAsk]) -> HashSet<usize> {
    let connections: usize = asks.iter().map(|ask| 1 + others(ask).count() + elsewhere(ask).len()).sum();
    let points = (connections.saturating_add(OF_A_POINT / 2) / OF_A_POINT).max(1);
    let room = (points * OF_A_POINT + ROUNDED_AWAY).saturating_sub(connections);
    let mut longest_ago: Vec<usize> = (0..asks.len()).collect();
    longest_ago.sort_by_key(|at| asks[*at].counted_at);
    longest_ago.into_iter().take(room).collect()
}

/// The branches besides the default one.
fn others(ask: &HeadsAsk) -> impl Iterator<Item = &String> {
    let default = ask.project.default_branch.as_deref();
    ask.branches.iter().filter(move |branch| Some(branch.as_str()) != default)
}

/// Commits on which known runs go on, other than the known head of the default branch: those of other branches, and those that
/// something newer was pushed on.
fn elsewhere(ask: &HeadsAsk) -> Vec<&str> {
    let head = ask.known_head.as_ref().and_then(|(branch, _)| branch.sha.as_deref());
    let mut commits: Vec<&str> = Vec::new();
    for sha in ask.known.iter().filter(|run| run.status.is_active()).filter_map(|run| run.sha.as_deref()) {
        if commits.len() < MAX_ELSEWHERE && Some(sha) != head && !commits.contains(&sha) {
            commits.push(sha);
        }
    }
    commits
}

/// The answer: the price, and a row for each repository.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Told {
    #[serde(default, rename = "rateLimit")]
    price: Option<Price>,
    #[serde(flatten)]
    rows: Map<String, Value>,
}

/// What an answer cost, and what is left of the points.
#[derive(Debug, Deserialize)]
pub(crate) struct Price {
    #[serde(default, deserialize_with = "lenient_u64")]
    cost: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "lenient_u64")]
    remaining: Option<u64>,
    #[serde(default, rename = "resetAt", deserialize_with = "lenient_time")]
    reset_at: Option<Timestamp>,
}

impl Price {
    /// The cost, and what is left.
    pub(crate) fn paid(&self) -> (u64, Option<Budget>) {
        let budget = self.limit.zip(self.remaining).map(|(limit, remaining)| Budget {
            limit,
            remaining,
            reset_at: self.reset_at,
            window: self.reset_at.map(|_| HOUR),
        });
        (self.cost.unwrap_or(1), budget)
    }
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    #[serde(default, rename = "pushedAt", deserialize_with = "lenient_time")]
    pub(crate) pushed_at: Option<Timestamp>,
    #[serde(default, rename = "defaultBranchRef")]
    pub(crate) head: Option<Ref>,
    #[serde(default, rename = "pullRequests")]
    pub(crate) pulls: Option<Count>,
    /// `b0`, `b1`, …: further branches; `c0`, `c1`, …: commits elsewhere.
    #[serde(flatten)]
    aliased: Map<String, Value>,
}

/// How many there are.
#[derive(Debug, Deserialize)]
pub(crate) struct Count {
    #[serde(default, rename = "totalCount", deserialize_with = "lenient_u64")]
    pub(crate) total: Option<u64>,
}

/// A branch.
#[derive(Debug, Deserialize)]
pub(crate) struct Ref {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) target: Option<Commit>,
}

/// A commit, with its check suites, of which each run of Actions is one.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) oid: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) message: Option<String>,
    #[serde(default, rename = "committedDate", deserialize_with = "lenient_time")]
    pub(crate) committed_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) author: Option<Author>,
    #[serde(default, rename = "checkSuites")]
    pub(crate) suites: Option<Suites>,
}

/// Who wrote it.
#[derive(Debug, Deserialize)]
pub(crate) struct Author {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
    #[serde(default, rename = "avatarUrl", deserialize_with = "lenient_string")]
    pub(crate) avatar_url: Option<String>,
}

/// The last [`SUITES`] of a commit's.
#[derive(Debug, Deserialize)]
pub(crate) struct Suites {
    #[serde(default, rename = "totalCount", deserialize_with = "lenient_u64")]
    pub(crate) total: Option<u64>,
    #[serde(default)]
    pub(crate) nodes: Vec<Option<Suite>>,
}

/// A check suite.
#[derive(Debug, Deserialize)]
pub(crate) struct Suite {
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) conclusion: Option<String>,
    /// `None` where it is gone, or a fork's.
    #[serde(default)]
    pub(crate) branch: Option<Ref>,
    /// `None` where it is not of Actions.
    #[serde(default, rename = "workflowRun")]
    pub(crate) run: Option<Run>,
}

/// A run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    /// `/owner/repository/actions/runs/ID`: the `databaseId` is a number of 32 bits, and the ids of runs are not.
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) resource_path: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) run_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) event: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    pub(crate) updated_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) workflow: Option<WorkflowOf>,
}

/// A run's workflow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkflowOf {
    #[serde(default, deserialize_with = "lenient_u64")]
    pub(crate) database_id: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    pub(crate) name: Option<String>,
}

impl Run {
    /// Its id.
    pub(crate) fn id(&self) -> Option<u64> {
        self.resource_path.as_deref()?.rsplit('/').next()?.parse().ok()
    }
}

impl Row {
    /// The commits whose suites were asked for, those of branches with their branch. One that is gone has none.
    pub(crate) fn commits<'a>(&'a mut self, ask: &'a HeadsAsk) -> Vec<(Option<&'a str>, Commit)> {
        let mut take = |alias: String| self.aliased.remove(&alias).filter(|value| !value.is_null());
        let mut commits = Vec::new();
        for (number, branch) in others(ask).enumerate() {
            let read = |value| serde_json::from_value::<Ref>(value).ok();
            let commit = take(format!("b{number}")).and_then(read).and_then(|read| read.target);
            commits.extend(commit.map(|commit| (Some(branch.as_str()), commit)));
        }
        for number in 0..elsewhere(ask).len() {
            let commit = take(format!("c{number}")).and_then(|value| serde_json::from_value(value).ok());
            commits.extend(commit.map(|commit| (None, commit)));
        }
        let head = self.head.as_mut().and_then(|head| head.target.take());
        commits.extend(head.map(|commit| (ask.project.default_branch.as_deref(), commit)));
        commits
    }
}

impl Told {
    /// What the answer cost, and what is left of the points.
    pub(crate) fn price(&self) -> Option<(u64, Option<Budget>)> {
        self.price.as_ref().map(Price::paid)
    }

    /// Each question with its row; without one where it was not told of, or not in a way that can be read.
    pub(crate) fn dealt(asks: Vec<HeadsAsk>, answer: Option<Answer<Self>>) -> Vec<(HeadsAsk, Option<Row>)> {
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
