//! Which URL gives what.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::json::{
    attempts, build, collaboration, job, job_details, jobs_of, me, pipeline, project as project_json,
    read_pipeline_id, read_workflow_id, workflow, workflow_id,
};
use super::{FACE, error};
use crate::access::Caller;
use crate::http::{Reply, Request};
use crate::store;
use crate::world::{ID_STRIDE, JOBS_PER_RUN, Pipeline, Project, ProjectId, RunStatus, Shape, World};

/// Rows on a page; there is no parameter for it.
const PER_PAGE: usize = 20;

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) store_url: &'a str,
    pub(super) store_key: u64,
}

fn ok(template: &'static str, value: &Value) -> Reply {
    Reply::json(template, StatusCode::OK, value)
}

fn not_found(what: &str) -> Reply {
    error(StatusCode::NOT_FOUND, &format!("{what} not found"))
}

impl Call<'_> {
    /// Whether CircleCI builds this project and shows it to who asks.
    fn sees(&self, project: &Project) -> bool {
        project.face == FACE && project.shape != Shape::CiDisabled && self.caller.sees(project)
    }

    fn project<'w>(&self, world: &'w World, vcs: &str, org: &str, repo: &str) -> Option<&'w Project> {
        let path = format!("{org}/{repo}");
        let found = world.find(FACE, &path).or_else(|| world.find_former(FACE, &path));
        found.filter(|p| matches!(vcs, "gh" | "github") && self.sees(p))
    }

    /// The run of an id that every sort of object has inside, and its project.
    fn run<'w>(&self, world: &'w World, run: u64) -> Option<(&'w Project, &'w Pipeline)> {
        let place = u32::try_from(run % ID_STRIDE).ok()?;
        let project = world.get(ProjectId(place)).filter(|p| self.sees(p))?;
        Some((project, project.pipeline(run)?))
    }

    pub(super) fn answer(&self, world: &mut World, parts: &[&str]) -> Reply {
        let origin = &self.request.origin;
        match (&self.request.method, parts) {
            (&Method::GET, ["me"]) => match self.caller.person() {
                Some(person) => ok("GET /me", &me(origin, person)),
                None => error(StatusCode::UNAUTHORIZED, "You must log in first."),
            },
            (&Method::GET, ["me", "collaborations"]) => {
                let mine = world.projects_of(FACE).filter(|p| p.member && self.sees(p));
                let namespaces: BTreeSet<_> = mine.map(|p| p.namespace.as_str()).collect();
                let rows: Vec<_> = namespaces.into_iter().map(|n| collaboration(origin, n)).collect();
                ok("GET /me/collaborations", &Value::Array(rows))
            }
            (&Method::GET, ["pipeline"]) => self.of_organization(world),
            (&Method::GET, ["project", vcs, org, repo, rest @ ..]) => {
                match self.project(world, vcs, org, repo) {
                    Some(project) => self.of_project(project, rest),
                    None => not_found("Project"),
                }
            }
            (&Method::GET, ["pipeline", id, rest @ ..]) => {
                let Some((project, run)) = read_pipeline_id(id).and_then(|id| self.run(world, id)) else {
                    return not_found("Pipeline");
                };
                match rest {
                    [] => ok("GET /pipeline/:id", &pipeline(origin, project, run)),
                    ["workflow"] => {
                        let tries = (1..=attempts(run)).rev();
                        let rows: Vec<_> = tries.filter_map(|n| workflow(project, run, n)).collect();
                        ok("GET /pipeline/:id/workflow", &json!({ "next_page_token": null, "items": rows }))
                    }
                    _ => not_found("Page"),
                }
            }
            (&Method::GET, ["workflow", id, rest @ ..]) => self.of_workflow(world, id, rest),
            (&Method::POST, ["workflow", id, action]) => self.act(world, id, action),
            _ => not_found("Page"),
        }
    }

    /// v1.1.
    pub(super) fn answer_v1(&self, world: &World, parts: &[&str]) -> Reply {
        if let ["projects"] = parts {
            let followed = world.projects_of(FACE).filter(|p| p.member && self.sees(p));
            return ok(
                "GET /api/v1.1/projects",
                &Value::Array(followed.map(super::json::followed).collect()),
            );
        }
        let ["project", vcs, org, repo, number] = parts else { return not_found("Page") };
        let found = self.project(world, vcs, org, repo).zip(number.parse::<u64>().ok());
        let found = found.and_then(|(project, number)| {
            let run = project.pipeline(number / JOBS_PER_RUN)?;
            Some((project, project.jobs(run).iter().find(|job| job.id == number)?))
        });
        let Some((project, job)) = found else {
            return error(StatusCode::NOT_FOUND, "Build not found");
        };
        let link = |step: usize| {
            let path = format!("/circleci-output/{}/{}/{step}.json", project.native_id, job.id);
            format!("{}{}", self.store_url, store::signed(self.store_key, &path, self.request.now))
        };
        ok("GET /api/v1.1/project/:slug/:job", &build(project, job, self.request.now, link))
    }

    /// A page of rows, which come newest first and are numbered by their ids; the token is the last id.
    fn page<'w>(&self, template: &'static str, rows: Vec<(&'w Project, &'w Pipeline)>) -> Reply {
        let after = self.request.param("page-token");
        let from = match after.as_deref().map(read_pipeline_id) {
            None => 0,
            Some(Some(id)) => rows.iter().position(|(_, run)| run.id == id).map_or(rows.len(), |at| at + 1),
            Some(None) => return error(StatusCode::BAD_REQUEST, "Invalid page token."),
        };
        let on_page: Vec<_> = rows.iter().skip(from).take(PER_PAGE).collect();
        let more = from + on_page.len() < rows.len();
        let next = on_page.last().filter(|_| more).map(|(_, run)| super::json::pipeline_id(run));
        let items: Vec<_> =
            on_page.into_iter().map(|(project, run)| pipeline(&self.request.origin, project, run)).collect();
        ok(template, &json!({ "next_page_token": next, "items": items }))
    }

    fn of_organization(&self, world: &World) -> Reply {
        let Some(slug) = self.request.param("org-slug") else {
            return error(StatusCode::BAD_REQUEST, "org-slug is required.");
        };
        let namespace = slug.strip_prefix("gh/").or_else(|| slug.strip_prefix("github/"));
        let projects: Vec<_> = world
            .projects_of(FACE)
            .filter(|p| Some(p.namespace.as_str()) == namespace && p.member && self.sees(p))
            .collect();
        if projects.is_empty() {
            return not_found("Organization");
        }
        let of = |project: &'_ &'_ Project| project.pipelines().len();
        let mut rows = Vec::with_capacity(projects.iter().map(of).sum());
        for project in projects {
            rows.extend(project.pipelines().iter().map(|run| (project, run)));
        }
        rows.sort_by_key(|(_, run)| std::cmp::Reverse((run.created_at, run.id)));
        self.page("GET /pipeline", rows)
    }

    fn of_project(&self, project: &Project, rest: &[&str]) -> Reply {
        match rest {
            [] => ok("GET /project/:slug", &project_json(project)),
            ["pipeline"] => {
                let branch = self.request.param("branch");
                let fits = |run: &&Pipeline| branch.as_deref().is_none_or(|b| *run.branch == *b);
                let runs = project.pipelines().iter().rev().filter(fits);
                self.page("GET /project/:slug/pipeline", runs.map(|run| (project, run)).collect())
            }
            ["job", number] => {
                let number = number.parse::<u64>().unwrap_or(0);
                let run = project.pipeline(number / JOBS_PER_RUN);
                let found =
                    run.and_then(|run| Some((run, project.jobs(run).iter().find(|j| j.id == number)?)));
                match found {
                    Some((run, job)) => ok(
                        "GET /project/:slug/job/:number",
                        &job_details(project, run, job, self.request.now),
                    ),
                    None => not_found("Job"),
                }
            }
            _ => not_found("Page"),
        }
    }

    fn of_workflow(&self, world: &World, id: &str, rest: &[&str]) -> Reply {
        let found = read_workflow_id(id).and_then(|(attempt, run)| Some((attempt, self.run(world, run)?)));
        let found = found.and_then(|(n, (project, run))| Some((n, project, run, workflow(project, run, n)?)));
        let Some((attempt, project, run, value)) = found else { return not_found("Workflow") };
        match rest {
            [] => ok("GET /workflow/:id", &value),
            ["job"] => {
                let jobs = jobs_of(project.jobs(run), attempt);
                let rows: Vec<_> = jobs.iter().map(|j| job(project, j, &jobs)).collect();
                ok("GET /workflow/:id/job", &json!({ "next_page_token": null, "items": rows }))
            }
            _ => not_found("Page"),
        }
    }

    /// Starting a workflow over, and stopping it.
    fn act(&self, world: &mut World, id: &str, action: &str) -> Reply {
        let found = read_workflow_id(id).and_then(|(attempt, run)| {
            let (project, run) = self.run(world, run)?;
            Some((project.id, run.id, run.status, attempt == run.attempt))
        });
        let Some((project, run, status, newest)) = found else { return not_found("Workflow") };
        if !self.caller.may_act() {
            return error(StatusCode::FORBIDDEN, "Permission denied.");
        }
        match action {
            "rerun" => {
                let body: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
                let from_failed = body.get("from_failed").and_then(Value::as_bool) == Some(true);
                if from_failed && !matches!(status, RunStatus::Failed | RunStatus::Canceled) {
                    return error(StatusCode::BAD_REQUEST, "Workflow has no failed job to rerun from.");
                }
                if !newest || world.retry(project, run).is_err() {
                    return error(StatusCode::BAD_REQUEST, "Workflow cannot be rerun.");
                }
                let new = world.get(project).and_then(|p| p.pipeline(run)).map(|r| workflow_id(r, r.attempt));
                Reply::json("POST /workflow/:id/rerun", StatusCode::ACCEPTED, &json!({ "workflow_id": new }))
            }
            "cancel" => {
                // One that has ended is accepted as well, and stays as it is.
                let _ = world.cancel(project, run);
                let accepted = json!({ "message": "Accepted." });
                Reply::json("POST /workflow/:id/cancel", StatusCode::ACCEPTED, &accepted)
            }
            _ => not_found("Page"),
        }
    }
}
