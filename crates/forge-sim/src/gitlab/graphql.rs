//! GitLab's GraphQL: projects and their pipelines, within the complexity that GitLab allows.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::FACE;
use super::json::{Json, reference, source, status};
use crate::access::Caller;
use crate::face::seconds;
use crate::graphql::{Args, Dear, Got, Node, Question, Schema, answer, complexity};
use crate::http::{Reply, Request};
use crate::world::{Pipeline, Project, Shape, World};

const SCHEMA: &str = include_str!("schema.graphql");
const TEMPLATE: &str = "POST /api/graphql";
/// What a question may be, with a token, …
const MAX_COMPLEXITY: u64 = 250;
/// … and without.
const MAX_ANONYMOUS: u64 = 200;
/// The longest query, in characters.
const MAX_CHARACTERS: usize = 10_000;
/// The largest page.
const MAX_PAGE: usize = 100;
const DEAR: Dear = Dear {
    gitaly: &["Pipeline.commit", "Project.repository", "Repository.rootRef", "Repository.empty"],
    resolved: &["Query.projects", "Project.pipelines"],
};

/// The schema.
pub(super) fn schema() -> Schema {
    Schema::parse(SCHEMA)
}

/// Answers a question of who may come in.
pub(super) fn reply(
    schema: &Schema,
    rest: Json<'_>,
    world: &World,
    request: &Request,
    caller: &Caller,
) -> Reply {
    let ok = |body: &Value| Reply::json(TEMPLATE, StatusCode::OK, body);
    let refuse = |message: String| ok(&json!({ "errors": [{ "message": message }] }));
    let question = match Question::read(schema, &request.body) {
        Ok(question) => question,
        Err(errors) => return ok(&json!({ "errors": errors })),
    };
    let characters = serde_json::from_slice::<Value>(&request.body)
        .ok()
        .and_then(|body| body["query"].as_str().map(str::len))
        .unwrap_or_default();
    if characters > MAX_CHARACTERS {
        return refuse("Query too large".to_owned());
    }
    let limit = if caller.is_known() { MAX_COMPLEXITY } else { MAX_ANONYMOUS };
    let score = complexity(schema, &question, &DEAR);
    if score > limit {
        return refuse(format!("Query has complexity of {score}, which exceeds max complexity of {limit}"));
    }
    let root = Node::new("", move |field, args| match field {
        "queryComplexity" => Got::One(Node::new("QueryComplexity", move |field, _| {
            Got::Leaf(json!(if field == "limit" { limit } else { score }))
        })),
        "projects" => Got::One(projects(rest, world, caller, args)),
        "project" => {
            let path = args.get("fullPath").and_then(Value::as_str).unwrap_or_default();
            Got::node(world.find(FACE, path).filter(|p| caller.sees(p)).map(|p| project(rest, p)))
        }
        _ => Got::Leaf(Value::Null),
    });
    ok(&answer(schema, &question, &root))
}

/// The first of a list, as many as a page has, and whether there are more.
fn first<T>(mut all: Vec<T>, args: &Args) -> (Vec<T>, usize, bool) {
    let (total, size) = (all.len(), args.get("first").and_then(Value::as_u64));
    let size = size.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).min(MAX_PAGE);
    all.truncate(size);
    (all, total, total > size)
}

fn page_info<'a>(more: bool) -> Node<'a> {
    Node::new("PageInfo", move |field, _| {
        Got::Leaf(match field {
            "hasNextPage" => json!(more),
            "hasPreviousPage" => json!(false),
            _ => Value::Null,
        })
    })
}

fn projects<'a>(rest: Json<'a>, world: &'a World, caller: &Caller, args: &Args) -> Node<'a> {
    let texts = |name: &str| {
        args.get(name).and_then(Value::as_array).map(|all| {
            all.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect::<Vec<String>>()
        })
    };
    let (ids, paths) = (texts("ids"), texts("fullPaths"));
    let members = args.get("membership").and_then(Value::as_bool).unwrap_or(false);
    let all = world.projects_of(FACE).filter(|p| caller.sees(p)).filter(|p| {
        ids.as_ref().is_none_or(|ids| ids.contains(&gid(p)))
            && paths.as_ref().is_none_or(|paths| paths.contains(&p.full_path()))
            && (!members || p.member)
    });
    let mut all: Vec<&Project> = all.collect();
    all.sort_by_key(|p| std::cmp::Reverse(p.native_id));
    let (page, total, more) = first(all, args);
    Node::new("ProjectConnection", move |field, _| match field {
        "count" => Got::Leaf(json!(total)),
        "nodes" => Got::Many(page.iter().map(|p| project(rest, p)).collect()),
        "pageInfo" => Got::One(page_info(more)),
        _ => Got::Leaf(Value::Null),
    })
}

fn gid(project: &Project) -> String {
    format!("gid://gitlab/Project/{}", project.native_id)
}

fn project<'a>(rest: Json<'a>, project: &'a Project) -> Node<'a> {
    Node::new("Project", move |field, args| match field {
        "id" => Got::Leaf(json!(gid(project))),
        "fullPath" => Got::Leaf(json!(project.full_path())),
        "name" => Got::Leaf(json!(project.name)),
        "path" => Got::Leaf(json!(project.path)),
        "archived" => Got::Leaf(json!(project.archived)),
        "lastActivityAt" => Got::Leaf(json!(seconds(project.updated_at))),
        "createdAt" => Got::Leaf(json!(seconds(project.created_at))),
        "repository" => Got::One(Node::new("Repository", move |field, _| {
            Got::Leaf(match field {
                "rootRef" => json!(project.default_branch),
                "empty" => json!(project.default_branch.is_none()),
                "exists" => json!(true),
                _ => Value::Null,
            })
        })),
        "pipelines" => Got::One(pipelines(rest, project, args)),
        _ => Got::Leaf(Value::Null),
    })
}

fn pipelines<'a>(rest: Json<'a>, project: &'a Project, args: &Args) -> Node<'a> {
    let text = |name: &str| args.get(name).and_then(Value::as_str);
    let time = |name: &str| text(name).and_then(|text| text.parse::<Timestamp>().ok());
    let (after, before) = (time("updatedAfter"), time("updatedBefore"));
    let off = project.shape == Shape::CiDisabled;
    let all = project.pipelines().iter().rev().filter(|run| {
        !off && after.is_none_or(|t| run.updated_at > t)
            && before.is_none_or(|t| run.updated_at < t)
            && text("ref").is_none_or(|wanted| reference(run) == wanted)
            && text("sha").is_none_or(|wanted| *run.sha == *wanted)
            && text("status").is_none_or(|wanted| status(run.status).to_uppercase() == wanted)
    });
    let (page, total, more) = first(all.collect(), args);
    Node::new("PipelineConnection", move |field, _| match field {
        "count" => Got::Leaf(json!(total)),
        "nodes" => Got::Many(page.iter().map(|run| pipeline(rest, project, run)).collect()),
        "pageInfo" => Got::One(page_info(more)),
        _ => Got::Leaf(Value::Null),
    })
}

/// Of what REST tells of it, by the names that GraphQL has.
fn told<'a>(of: &'static str, row: Value) -> Node<'a> {
    Node::new(of, move |field, _| {
        Got::Leaf(match field {
            "avatarUrl" => row["avatar_url"].clone(),
            "authorName" => row["author_name"].clone(),
            "authoredDate" => row["authored_date"].clone(),
            "committedDate" => row["committed_date"].clone(),
            "sha" => row["id"].clone(),
            "shortId" => row["short_id"].clone(),
            "webUrl" => row["web_url"].clone(),
            field => row[field].clone(),
        })
    })
}

fn pipeline<'a>(rest: Json<'a>, project: &'a Project, run: &'a Pipeline) -> Node<'a> {
    Node::new("Pipeline", move |field, _| {
        match field {
            "user" => return Got::One(told("UserCore", rest.user(run.actor))),
            "commit" => {
                let commit = project.commit(&run.sha);
                return Got::node(commit.map(|commit| told("Commit", rest.commit(project, commit))));
            }
            _ => {}
        }
        Got::Leaf(match field {
            "name" => rest.pipeline_row(project, run)["name"].clone(),
            "source" => json!(source(run)),
            "id" => json!(format!("gid://gitlab/Ci::Pipeline/{}", run.id)),
            "iid" => json!(run.number.to_string()),
            "sha" => json!(run.sha),
            "ref" => json!(reference(run)),
            "status" => json!(status(run.status).to_uppercase()),
            "warnings" => json!(run.warnings),
            "active" => json!(run.status.is_active()),
            "createdAt" => json!(seconds(run.created_at)),
            "updatedAt" => json!(seconds(run.updated_at)),
            "startedAt" => json!(run.started_at.map(seconds)),
            "finishedAt" => json!(run.finished_at.map(seconds)),
            "duration" => json!(run.duration_seconds().map(|s| s as u64)),
            "queuedDuration" => {
                let queued = run.started_at.filter(|_| run.finished_at.is_some());
                json!(queued.map(|at| at.duration_since(run.created_at).as_secs()))
            }
            _ => Value::Null,
        })
    })
}
