//! GitHub's GraphQL: the world's repositories by the published schema, at the published price.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::FIRST_RUN;
use super::json::{Json, deployment_id, deployment_states, event, node, status};
use crate::access::{Caller, Reading};
use crate::face::seconds;
use crate::graphql::{Args, Got, Node, Question, Schema, answer, points};
use crate::world::{Branch, Commit, Deployment, Pipeline, Project, Shape, Workflow, World};

/// What is published, cut.
const SCHEMA: &str = include_str!("schema.graphql");

/// The schema.
pub(super) fn schema() -> Schema {
    Schema::parse(SCHEMA)
}

/// What a question costs; none where it is refused without being answered.
pub(super) struct Priced {
    question: Question,
    pub(super) points: u64,
    nodes: u64,
}

/// Reads and prices a question.
///
/// # Errors
/// The body of GitHub's refusal.
pub(super) fn read(schema: &Schema, body: &[u8]) -> Result<Priced, Value> {
    let question = Question::read(schema, body).map_err(|errors| json!({ "errors": errors }))?;
    let (points, nodes) = points(schema, &question).map_err(|error| json!({ "errors": [error] }))?;
    Ok(Priced { question, points, nodes })
}

/// Answers it. `reading` is what is left after it was paid.
pub(super) fn reply(
    schema: &Schema,
    world: &World,
    priced: &Priced,
    caller: &Caller,
    reading: Option<Reading>,
    html: &str,
) -> Value {
    let Priced { question, points, nodes } = priced;
    let (points, nodes) = (*points, *nodes);
    let root = Node::new("", move |field, args| match field {
        "rateLimit" => Got::node(reading.map(|reading| rate_limit(reading, points, nodes))),
        "repository" => repository_of(world, caller, args, html),
        _ => Got::Leaf(Value::Null),
    });
    answer(schema, question, &root)
}

fn rate_limit<'a>(reading: Reading, points: u64, nodes: u64) -> Node<'a> {
    Node::new("RateLimit", move |field, _| {
        Got::Leaf(match field {
            "cost" => json!(points),
            "limit" => json!(reading.limit),
            "nodeCount" => json!(nodes),
            "remaining" => json!(reading.remaining()),
            "used" => json!(reading.used),
            "resetAt" => json!(seconds(reading.reset)),
            _ => Value::Null,
        })
    })
}

fn repository_of<'a>(world: &'a World, caller: &Caller, args: &Args, html: &'a str) -> Got<'a> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = format!("{}/{}", text("owner"), text("name"));
    let found = world.find(super::FACE, &path).or_else(|| world.find_former(super::FACE, &path));
    match found.filter(|project| caller.sees(project)) {
        Some(project) => Got::One(repository(project, html)),
        None => {
            Got::Missing("NOT_FOUND", format!("Could not resolve to a Repository with the name '{path}'."))
        }
    }
}

fn repository<'a>(project: &'a Project, html: &'a str) -> Node<'a> {
    Node::new("Repository", move |field, args| match field {
        "id" => Got::Leaf(json!(node("R", project.native_id))),
        "databaseId" => Got::Leaf(json!(project.native_id)),
        "name" => Got::Leaf(json!(project.path)),
        "nameWithOwner" => Got::Leaf(json!(project.full_path())),
        "description" => Got::Leaf(json!(project.description)),
        "url" => Got::Leaf(json!(format!("{html}/{}", project.full_path()))),
        "isArchived" => Got::Leaf(json!(project.archived)),
        "isEmpty" => Got::Leaf(json!(project.default_branch.is_none())),
        "isPrivate" => Got::Leaf(json!(project.visibility != crate::world::Visibility::Public)),
        "pushedAt" => Got::Leaf(json!(seconds(project.pushed_at))),
        "updatedAt" => Got::Leaf(json!(seconds(project.updated_at))),
        "createdAt" => Got::Leaf(json!(seconds(project.created_at))),
        "defaultBranchRef" => {
            let branch = project.default_branch.as_deref().and_then(|name| project.branch(name));
            Got::node(branch.map(|branch| reference(project, branch, html)))
        }
        "pullRequests" => Got::One(pull_requests(project, args)),
        "deployments" => Got::One(deployments(project, args, html)),
        "ref" => {
            let name = args.get("qualifiedName").and_then(Value::as_str).unwrap_or_default();
            let name = name.strip_prefix("refs/heads/").unwrap_or(name);
            Got::node(project.branch(name).map(|branch| reference(project, branch, html)))
        }
        "object" => {
            let oid = args.get("oid").and_then(Value::as_str).unwrap_or_default();
            Got::node(project.commit(oid).map(|commit| of_commit(project, commit, html)))
        }
        _ => Got::Leaf(Value::Null),
    })
}

/// How many there are in one of these states; their nodes are not told.
fn pull_requests<'a>(project: &'a Project, args: &Args) -> Node<'a> {
    let states: Option<Vec<String>> = args.get("states").map(|states| match states {
        Value::Array(states) => states.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        state => state.as_str().map(str::to_owned).into_iter().collect(),
    });
    let state = |open: bool| if open { "OPEN" } else { "CLOSED" };
    let is_wanted = |open: bool| states.as_ref().is_none_or(|of| of.iter().any(|s| s == state(open)));
    let total = project.history().merge_requests.iter().filter(|mr| is_wanted(mr.open)).count();
    Node::new("PullRequestConnection", move |field, _| match field {
        "totalCount" => Got::Leaf(json!(total)),
        _ => Got::Leaf(Value::Null),
    })
}

/// Newest first: no other order is there. A cursor is the place after which a page begins.
fn deployments<'a>(project: &'a Project, args: &Args, html: &'a str) -> Node<'a> {
    let number = |name: &str| args.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let after = args.get("after").and_then(Value::as_str).and_then(|at| at.parse().ok()).unwrap_or(0);
    let mut all = project.deployments();
    all.reverse();
    let total = all.len();
    let page: Vec<Deployment<'_>> =
        all.into_iter().skip(after).take(number("first").unwrap_or_default()).collect();
    let end = after + page.len();
    Node::new("DeploymentConnection", move |field, _| match field {
        "totalCount" => Got::Leaf(json!(total)),
        "nodes" => Got::Many(page.iter().map(|d| deployment(project, d.clone(), html)).collect()),
        "pageInfo" => Got::One(Node::new("PageInfo", move |field, _| {
            Got::Leaf(match field {
                "hasNextPage" => json!(end < total),
                "endCursor" => json!(end.to_string()),
                _ => Value::Null,
            })
        })),
        _ => Got::Leaf(Value::Null),
    })
}

fn deployment<'a>(project: &'a Project, d: Deployment<'a>, html: &'a str) -> Node<'a> {
    let log = Json { api: html, html }.deployment_log(project, &d);
    let states = deployment_states(&d);
    let touched = states.last().map_or_else(|| d.created_at(), |(_, at)| *at);
    Node::new("Deployment", move |field, args| match field {
        "id" => Got::Leaf(json!(node("DE", deployment_id(&d)))),
        "commitOid" => Got::Leaf(json!(d.run.sha)),
        "createdAt" => Got::Leaf(json!(seconds(d.created_at()))),
        "updatedAt" => Got::Leaf(json!(seconds(touched))),
        "environment" | "latestEnvironment" | "originalEnvironment" => Got::Leaf(json!(d.environment)),
        "task" => Got::Leaf(json!("deploy")),
        "ref" => Got::node(project.branch(&d.run.branch).map(|branch| reference(project, branch, html))),
        "latestStatus" => Got::node(states.last().map(|state| deployment_status(*state, log.clone()))),
        "statuses" => {
            let first = args.get("first").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let page: Vec<_> = states.iter().rev().take(first.unwrap_or_default()).copied().collect();
            let (total, log) = (states.len(), log.clone());
            Got::One(Node::new("DeploymentStatusConnection", move |field, _| match field {
                "totalCount" => Got::Leaf(json!(total)),
                "nodes" => {
                    Got::Many(page.iter().map(|state| deployment_status(*state, log.clone())).collect())
                }
                _ => Got::Leaf(Value::Null),
            }))
        }
        _ => Got::Leaf(Value::Null),
    })
}

fn deployment_status<'a>((state, at): (&'static str, Timestamp), log: String) -> Node<'a> {
    Node::new("DeploymentStatus", move |field, _| {
        Got::Leaf(match field {
            "state" => upper(state),
            "createdAt" | "updatedAt" => json!(seconds(at)),
            "logUrl" => json!(log),
            _ => Value::Null,
        })
    })
}

fn reference<'a>(project: &'a Project, branch: &'a Branch, html: &'a str) -> Node<'a> {
    Node::new("Ref", move |field, _| match field {
        "name" => Got::Leaf(json!(branch.name)),
        "prefix" => Got::Leaf(json!("refs/heads/")),
        "target" => Got::node(project.commit(&branch.head).map(|commit| of_commit(project, commit, html))),
        _ => Got::Leaf(Value::Null),
    })
}

fn of_commit<'a>(project: &'a Project, commit: &'a Commit, html: &'a str) -> Node<'a> {
    Node::new("Commit", move |field, args| match field {
        "oid" => Got::Leaf(json!(commit.sha)),
        "author" | "committer" => Got::One(actor(commit)),
        "abbreviatedOid" => Got::Leaf(json!(commit.sha[..7])),
        "message" | "messageHeadline" => Got::Leaf(json!(commit.title)),
        "committedDate" | "authoredDate" => Got::Leaf(json!(seconds(commit.at))),
        "checkSuites" => {
            let off = project.shape == Shape::CiDisabled;
            let of_commit = project.pipelines().iter().filter(|run| !off && run.sha == commit.sha);
            let suites: Vec<&Pipeline> = of_commit.collect();
            Got::One(connection(project, suites, args, html))
        }
        _ => Got::Leaf(Value::Null),
    })
}

/// Actions makes a check suite for each run; the oldest comes first.
fn connection<'a>(project: &'a Project, suites: Vec<&'a Pipeline>, args: &Args, html: &'a str) -> Node<'a> {
    let size = |name: &str| args.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let total = suites.len();
    let page: Vec<&Pipeline> = match (size("first"), size("last")) {
        (Some(first), _) => suites.into_iter().take(first).collect(),
        (None, last) => suites.into_iter().skip(total.saturating_sub(last.unwrap_or(0))).collect(),
    };
    Node::new("CheckSuiteConnection", move |field, _| match field {
        "totalCount" => Got::Leaf(json!(total)),
        "nodes" => Got::Many(page.iter().map(|run| suite(project, run, html)).collect()),
        _ => Got::Leaf(Value::Null),
    })
}

fn upper(word: &str) -> Value {
    json!(word.to_uppercase())
}

fn suite<'a>(project: &'a Project, run: &'a Pipeline, html: &'a str) -> Node<'a> {
    let at = |at: Timestamp| json!(seconds(at));
    Node::new("CheckSuite", move |field, _| match field {
        "databaseId" => Got::Leaf(json!(20_000_000_000 + run.id)),
        "status" => Got::Leaf(upper(status(run.status).0)),
        "conclusion" => Got::Leaf(status(run.status).1.map_or(Value::Null, upper)),
        "createdAt" => Got::Leaf(at(run.created_at)),
        "updatedAt" => Got::Leaf(at(run.updated_at)),
        "branch" => Got::node(project.branch(&run.branch).map(|branch| reference(project, branch, html))),
        "workflowRun" => Got::One(workflow_run(project, run, html)),
        _ => Got::Leaf(Value::Null),
    })
}

fn workflow_run<'a>(project: &'a Project, run: &'a Pipeline, html: &'a str) -> Node<'a> {
    let path = format!("/{}/actions/runs/{}", project.full_path(), FIRST_RUN + run.id);
    Node::new("WorkflowRun", move |field, _| {
        if field == "workflow" {
            return Got::node(project.workflows.get(run.workflow).map(workflow));
        }
        Got::Leaf(match field {
            "databaseId" => json!(FIRST_RUN + run.id),
            "resourcePath" => json!(path),
            "runNumber" => json!(run.workflow_number),
            "event" => json!(event(run)),
            "url" => json!(format!("{html}{path}")),
            "createdAt" => json!(seconds(run.created_at)),
            "updatedAt" => json!(seconds(run.updated_at)),
            _ => Value::Null,
        })
    })
}

fn workflow(of: &Workflow) -> Node<'_> {
    Node::new("Workflow", move |field, _| {
        Got::Leaf(match field {
            "databaseId" => json!(of.native_id),
            "name" => json!(of.name),
            _ => Value::Null,
        })
    })
}

fn actor(commit: &Commit) -> Node<'_> {
    let person = commit.author.person();
    Node::new("GitActor", move |field, _| {
        Got::Leaf(match field {
            "name" => json!(person.name),
            "avatarUrl" => json!(format!("https://avatars.githubusercontent.com/u/{}", commit.author.0)),
            "date" => json!(seconds(commit.at)),
            _ => Value::Null,
        })
    })
}
