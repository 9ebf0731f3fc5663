//! Which URL gives what.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::json::Json;
use super::paging::{page, terms};
use super::{FACE, error, lacks_scope};
use crate::access::Caller;
use crate::http::{Reply, Request};
use crate::store;
use crate::world::{JOBS_PER_RUN, Job, LineKind, Pipeline, Project, ProjectId, Shape, Trigger, World};

/// The longest page of most lists …
const MAX: usize = 100;
/// … and of pull requests and issues.
const MAX_TALK: usize = 50;

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    /// `http://host`.
    pub(super) html: String,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "Resource not found")
}

fn gone() -> Reply {
    error(StatusCode::GONE, "CHANGE-2770 - Functionality has been deprecated")
}

fn ok(template: &'static str, value: &Value) -> Reply {
    Reply::json(template, StatusCode::OK, value)
}

/// The world's id at the end of a uuid of the kind.
fn id_of(uuid: &str, kind: &str) -> Option<u64> {
    let inside = uuid.trim_start_matches('{').trim_end_matches('}');
    let hex = inside.strip_prefix("00000000-0000-4000-")?.strip_prefix(kind)?.strip_prefix('-')?;
    u64::from_str_radix(hex, 16).ok()
}

impl Call<'_> {
    fn json(&self) -> Json<'_> {
        Json { html: &self.html }
    }

    pub(super) fn answer(&self, world: &mut World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let needs_user = || error(StatusCode::UNAUTHORIZED, "Authentication required");
        match (&self.request.method, parts.as_slice()) {
            (&Method::GET, ["user"]) => match self.caller.person() {
                Some(person) => ok("GET /user", &self.json().user(person)),
                None => needs_user(),
            },
            (&Method::GET, ["user", "workspaces"]) => match self.caller.person() {
                Some(_) => self.workspaces(world),
                None => needs_user(),
            },
            // Taken out of the API in 2026.
            (_, ["repositories"] | ["workspaces"] | ["user", "permissions", ..]) => gone(),
            (&Method::GET, ["repositories", workspace]) => self.repositories(world, workspace),
            (method, ["repositories", workspace, slug, rest @ ..]) => {
                let path = format!("{workspace}/{slug}");
                let found = world.find(FACE, &path).or_else(|| world.find_former(FACE, &path));
                let Some(project) = found.filter(|p| self.caller.sees(p)) else {
                    return error(StatusCode::NOT_FOUND, &format!("Repository {path} not found"));
                };
                let id = project.id;
                match *method {
                    Method::GET => self.read(project, rest),
                    Method::POST => self.act(world, id, rest),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn workspaces(&self, world: &World) -> Reply {
        let slugs: BTreeSet<&str> = world
            .projects_of(FACE)
            .filter(|p| p.member && self.caller.sees(p))
            .map(|p| p.namespace.as_str())
            .collect();
        let rows: Vec<&str> = slugs.into_iter().collect();
        page("GET /user/workspaces", self.request, MAX, &rows, |slug| self.json().workspace(slug))
    }

    fn repositories(&self, world: &World, workspace: &str) -> Reply {
        const TEMPLATE: &str = "GET /repositories/{workspace}";
        let all = || world.projects_of(FACE).filter(|p| p.namespace.eq_ignore_ascii_case(workspace));
        if all().next().is_none() {
            return error(StatusCode::NOT_FOUND, &format!("No workspace with identifier '{workspace}'."));
        }
        let wanted = match self.request.param("q").map(|q| terms(&q)) {
            Some(None) => return error(StatusCode::BAD_REQUEST, "Invalid query"),
            wanted => wanted.flatten(),
        };
        let fits = |p: &&Project| {
            wanted.as_ref().is_none_or(|terms| terms.iter().any(|(name, v)| name == "slug" && *v == p.path))
        };
        let member = self.request.param("role").is_some();
        let mut rows: Vec<&Project> =
            all().filter(|p| self.caller.sees(p) && (!member || p.member)).filter(fits).collect();
        match self.request.param("sort").as_deref() {
            Some("-updated_on") => rows.sort_by_key(|p| std::cmp::Reverse((p.pushed_at, p.native_id))),
            Some("updated_on") => rows.sort_by_key(|p| (p.pushed_at, p.native_id)),
            _ => {}
        }
        page(TEMPLATE, self.request, MAX, &rows, |p| self.json().repository(p))
    }

    fn read(&self, project: &Project, rest: &[&str]) -> Reply {
        let json = self.json();
        match rest {
            [] => ok("GET /repositories/{workspace}/{repo_slug}", &json.repository(project)),
            ["refs", "branches"] => {
                let mut rows: Vec<_> = project.history().branches.iter().collect();
                if self.request.param("sort").as_deref() == Some("-target.date") {
                    rows.sort_by_key(|b| std::cmp::Reverse(project.commit(&b.head).map(|c| c.at)));
                }
                let template = "GET /repositories/{workspace}/{repo_slug}/refs/branches";
                page(template, self.request, MAX, &rows, |branch| json.branch(project, branch))
            }
            ["refs", "branches", name] => match project.branch(name) {
                Some(branch) => ok(
                    "GET /repositories/{workspace}/{repo_slug}/refs/branches/{name}",
                    &json.branch(project, branch),
                ),
                None => error(StatusCode::NOT_FOUND, &format!("Branch {name} not found")),
            },
            ["pipelines", rest @ ..] if project.shape != Shape::CiDisabled => self.pipelines(project, rest),
            ["commit", sha, "statuses"] => {
                let rows: Vec<_> =
                    project.pipelines().iter().rev().filter(|run| run.sha.starts_with(*sha)).collect();
                let template = "GET /repositories/{workspace}/{repo_slug}/commit/{commit}/statuses";
                page(template, self.request, MAX, &rows, |run| json.status(project, run))
            }
            ["pullrequests"] => {
                let wanted = self.request.param("state").unwrap_or_else(|| "OPEN".to_owned());
                let mut rows: Vec<_> = project
                    .history()
                    .merge_requests
                    .iter()
                    .filter(|mr| (if mr.open { "OPEN" } else { "MERGED" }) == wanted)
                    .collect();
                rows.sort_by_key(|mr| std::cmp::Reverse((mr.updated_at, mr.number)));
                let template = "GET /repositories/{workspace}/{repo_slug}/pullrequests";
                page(template, self.request, MAX_TALK, &rows, |mr| json.pull(project, mr))
            }
            ["issues"] => {
                let wanted = match self.request.param("q").map(|q| terms(&q)) {
                    Some(None) => return error(StatusCode::BAD_REQUEST, "Invalid query"),
                    wanted => wanted.flatten(),
                };
                let word = |open| if open { "open" } else { "resolved" };
                let mut rows: Vec<_> = project
                    .history()
                    .issues
                    .iter()
                    .filter(|issue| {
                        wanted
                            .as_ref()
                            .is_none_or(|all| all.iter().any(|(_, value)| value == word(issue.open)))
                    })
                    .collect();
                rows.sort_by_key(|issue| std::cmp::Reverse((issue.updated_at, issue.number)));
                let template = "GET /repositories/{workspace}/{repo_slug}/issues";
                page(template, self.request, MAX_TALK, &rows, |issue| json.issue(project, issue))
            }
            _ => not_found(),
        }
    }

    fn pipelines(&self, project: &Project, rest: &[&str]) -> Reply {
        let json = self.json();
        let Some((id, rest)) = rest.split_first() else {
            let request = self.request;
            let branch = request.param("target.branch").or_else(|| request.param("target.ref_name"));
            let mut rows: Vec<&Pipeline> = project
                .pipelines()
                .iter()
                .filter(|run| branch.as_ref().is_none_or(|b| *run.branch == **b))
                .collect();
            // Left to itself it begins with the oldest.
            if request.param("sort").as_deref() == Some("-created_on") {
                rows.reverse();
            }
            let template = "GET /repositories/{workspace}/{repo_slug}/pipelines";
            return page(template, request, MAX, &rows, |run| json.pipeline(project, run));
        };
        let of_number = || project.pipelines().iter().find(|run| run.number.to_string() == **id);
        let found = id_of(id, "8000").and_then(|id| project.pipeline(id)).or_else(of_number);
        let Some(run) = found else {
            return error(StatusCode::NOT_FOUND, "Pipeline not found");
        };
        let steps = || -> Vec<&Job> { project.jobs(run).iter().filter(|job| !job.retried).collect() };
        let step = |uuid: &str| {
            let id = id_of(uuid, "9000")?;
            steps().into_iter().find(|job| job.id == id && id / JOBS_PER_RUN == run.id)
        };
        match rest {
            [] => ok(
                "GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}",
                &json.pipeline(project, run),
            ),
            ["steps"] => {
                let template = "GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps";
                page(template, self.request, MAX, &steps(), |job| json.step(run, job))
            }
            ["steps", uuid] => match step(uuid) {
                Some(job) => ok(
                    "GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}",
                    &json.step(run, job),
                ),
                None => error(StatusCode::NOT_FOUND, "Step not found"),
            },
            ["steps", uuid, "log"] => match step(uuid) {
                Some(job) if job.started_at.is_some() => store::ranged(
                    "GET /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/steps/{step_uuid}/log",
                    self.request,
                    self.log(project, job).into_bytes(),
                ),
                _ => error(StatusCode::NOT_FOUND, "Log not found"),
            },
            _ => not_found(),
        }
    }

    /// As it comes from the shell: commands after a plus sign.
    fn log(&self, project: &Project, job: &Job) -> String {
        let mut text = String::new();
        for line in project.log(job, self.request.now) {
            match line.kind {
                LineKind::SectionStart | LineKind::Output | LineKind::Warning | LineKind::Error => {
                    text.push_str(&line.text);
                }
                LineKind::Command => text.push_str(&format!("+ {}", line.text)),
                LineKind::Good => text.push_str(&format!("\u{1b}[32m{}\u{1b}[0m", line.text)),
                LineKind::SectionEnd => continue,
            }
            text.push('\n');
        }
        text
    }

    /// Stopping a pipeline, and starting one.
    fn act(&self, world: &mut World, id: ProjectId, rest: &[&str]) -> Reply {
        if !self.caller.may_act() {
            return lacks_scope("pipeline:write");
        }
        match rest {
            ["pipelines", uuid, "stopPipeline"] => {
                let Some(run) =
                    id_of(uuid, "8000").filter(|run| world.get(id).and_then(|p| p.pipeline(*run)).is_some())
                else {
                    return error(StatusCode::NOT_FOUND, "Pipeline not found");
                };
                match world.cancel(id, run) {
                    Ok(()) => Reply::text(
                        "POST /repositories/{workspace}/{repo_slug}/pipelines/{pipeline_uuid}/stopPipeline",
                        StatusCode::NO_CONTENT,
                        "application/json",
                        "",
                    ),
                    Err(_) => error(StatusCode::BAD_REQUEST, "The pipeline has already been completed"),
                }
            }
            ["pipelines"] => self.start(world, id),
            _ => not_found(),
        }
    }

    fn start(&self, world: &mut World, id: ProjectId) -> Reply {
        let body: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
        let target = &body["target"];
        let name = target["ref_name"].as_str().or_else(|| target["source"].as_str());
        let Some(name) = name else { return error(StatusCode::BAD_REQUEST, "Invalid target") };
        let custom =
            target["selector"]["pattern"].as_str().filter(|_| target["selector"]["type"] == "custom");
        let Some(project) = world.get(id) else { return not_found() };
        let workflow = match custom {
            Some(pattern) => project.workflows.iter().position(|w| w.name == pattern),
            None => Some(0),
        };
        let started = workflow.map(|at| world.start(id, name, at, Trigger::Manual, true));
        let Some(Ok(run)) = started else {
            return error(StatusCode::BAD_REQUEST, "The target of the pipeline does not exist");
        };
        let template = "POST /repositories/{workspace}/{repo_slug}/pipelines";
        match world.get(id).and_then(|p| Some(self.json().pipeline(p, p.pipeline(run)?))) {
            Some(row) => Reply::json(template, StatusCode::CREATED, &row),
            None => Reply::json(template, StatusCode::CREATED, &json!({})),
        }
    }
}
