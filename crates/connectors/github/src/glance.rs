//! Repositories of which nothing is known yet, at a glance: the newest commit of each default branch and its runs, by one
//! GraphQL question about a hundred of them, for the one point that a question about what moved costs. So a large
//! organization has its colours within moments; what led to them is read by REST afterwards, as the limit allows.
//!
//! Where the newest commit has no run (it is left out of CI, or nothing is set up) there is nothing to be seen this way, and the
//! whole state is to be read first.

use std::fmt::Write as _;

use connector::wire::{lenient_string, lenient_time, lenient_u64};
use connector::{Extent, Heads, HeadsAsk};
use domain::{Pipeline, Timestamp, WebUrl};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::base::owner_and_name;
use crate::batch::SUITES;
use crate::{convert, wire};

/// Whether a glance may do for this one: nothing is known, and the whole is not asked for.
pub(crate) fn fits(ask: &HeadsAsk) -> bool {
    !ask.full
        && ask.branches.is_empty()
        && ask.known_head.is_none()
        && ask.known.is_empty()
        && owner_and_name(ask.project.key.id.as_str()).is_some()
}

/// The question about these.
pub(crate) fn question(asks: &[HeadsAsk]) -> (String, Value) {
    let mut query = String::from("query Glance {\n rateLimit { cost limit remaining resetAt }\n");
    for (at, ask) in asks.iter().enumerate() {
        let Some((owner, name)) = owner_and_name(ask.project.key.id.as_str()) else { continue };
        let _ = writeln!(query, " r{at}: repository(owner: \"{owner}\", name: \"{name}\") {{ ...R }}");
    }
    let _ = write!(
        query,
        "}}\nfragment R on Repository {{ defaultBranchRef {{ name target {{ oid ... on Commit {{ message committedDate \
         author {{ name avatarUrl }} checkSuites(last: {SUITES}) {{ nodes {{ status conclusion branch {{ name }} \
         workflowRun {{ resourcePath runNumber event url createdAt updatedAt workflow {{ databaseId name }} }} }} }} }} }} }} }}\n"
    );
    (query, Value::Object(Map::new()))
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    #[serde(default, rename = "defaultBranchRef")]
    head: Option<Ref>,
}

#[derive(Debug, Deserialize)]
struct Ref {
    name: String,
    #[serde(default)]
    target: Option<Commit>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default, deserialize_with = "lenient_string")]
    oid: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    message: Option<String>,
    #[serde(default, rename = "committedDate", deserialize_with = "lenient_time")]
    committed_at: Option<Timestamp>,
    #[serde(default)]
    author: Option<Author>,
    #[serde(default, rename = "checkSuites")]
    suites: Option<Suites>,
}

#[derive(Debug, Deserialize)]
struct Author {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
    #[serde(default, rename = "avatarUrl", deserialize_with = "lenient_string")]
    avatar_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Suites {
    #[serde(default)]
    nodes: Vec<Option<Suite>>,
}

#[derive(Debug, Deserialize)]
struct Suite {
    #[serde(default, deserialize_with = "lenient_string")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    conclusion: Option<String>,
    #[serde(default)]
    branch: Option<Named>,
    #[serde(default, rename = "workflowRun")]
    run: Option<Run>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    /// Ends with the run's id: `databaseId` is too small a number for it.
    #[serde(default, deserialize_with = "lenient_string")]
    resource_path: Option<String>,
    #[serde(default, deserialize_with = "lenient_u64")]
    run_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    event: Option<String>,
    #[serde(default, deserialize_with = "lenient_string")]
    url: Option<String>,
    #[serde(default, deserialize_with = "lenient_time")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient_time")]
    updated_at: Option<Timestamp>,
    #[serde(default)]
    workflow: Option<WorkflowOf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkflowOf {
    #[serde(default, deserialize_with = "lenient_u64")]
    database_id: Option<u64>,
    #[serde(default, deserialize_with = "lenient_string")]
    name: Option<String>,
}

/// What is seen of a repository: news that it has these runs, or that its whole state is to be read.
pub(crate) fn seen(ask: &HeadsAsk, row: Option<&Row>) -> Heads {
    let to_be_read = || Heads { extent: Extent::Moved, ..Heads::default() };
    let Some(head) = row.and_then(|row| row.head.as_ref()) else { return to_be_read() };
    let Some(commit) = &head.target else { return to_be_read() };
    let signature = commit.author.as_ref().map(|author| wire::Signature {
        name: author.name.clone(),
        email: None,
        date: commit.committed_at,
    });
    let suites = commit.suites.iter().flat_map(|suites| suites.nodes.iter().flatten());
    let mut pipelines: Vec<Pipeline> =
        suites.filter_map(|suite| run(commit, suite, signature.as_ref())).collect();
    if pipelines.is_empty() {
        return to_be_read();
    }
    pipelines.sort_by_cached_key(|run| std::cmp::Reverse(run.age_key()));
    let mut branch = convert::branch(
        &ask.project,
        wire::Branch {
            name: head.name.clone(),
            protected: None,
            commit: Some(wire::BranchCommit {
                sha: commit.oid.clone(),
                commit: Some(wire::GitCommit {
                    message: commit.message.clone(),
                    author: signature.clone(),
                    committer: signature,
                }),
                author: None,
            }),
        },
    );
    branch.default = true;
    if let (Some(person), Some(author)) = (&mut branch.author, &commit.author) {
        person.avatar_url = author.avatar_url.as_deref().and_then(WebUrl::parse);
    }
    Heads { extent: Extent::News, default_branch: Some(branch), pipelines, ..Heads::default() }
}

/// A check suite's run, in the form in which REST tells of it.
fn run(commit: &Commit, suite: &Suite, signature: Option<&wire::Signature>) -> Option<Pipeline> {
    let run = suite.run.as_ref()?;
    let lower = |word: &Option<String>| word.as_ref().map(|word| word.to_ascii_lowercase());
    // A commit is on many branches, also of forks: those are no branches here, and have none.
    let branch = suite.branch.as_ref()?.name.clone()?;
    let here = Some(wire::RepositoryRef { id: Some(1), owner: None });
    Some(convert::run(&wire::Run {
        id: run.resource_path.as_deref()?.rsplit('/').next()?.parse().ok()?,
        name: run.workflow.as_ref().and_then(|w| w.name.clone()),
        path: None,
        display_title: None,
        workflow_id: run.workflow.as_ref().and_then(|w| w.database_id),
        run_number: run.run_number,
        run_attempt: None,
        event: run.event.clone(),
        status: lower(&suite.status),
        conclusion: lower(&suite.conclusion),
        head_branch: Some(branch),
        head_sha: commit.oid.clone(),
        created_at: run.created_at,
        updated_at: run.updated_at,
        run_started_at: None,
        html_url: run.url.clone(),
        actor: None,
        triggering_actor: None,
        head_commit: Some(wire::HeadCommit { message: commit.message.clone(), author: signature.cloned() }),
        repository: here.clone(),
        head_repository: here,
    }))
}
