//! Which URL gives what.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::actions::{file, full_ref, log, task_id};
use super::json::Json;
use super::paging::page;
use super::{API, Api, FACE, error, not_found};
use crate::access::Caller;
use crate::http::{Reply, Request};
use crate::store;
use crate::world::{JOBS_PER_RUN, Job, Pipeline, Project, ProjectId, RunStatus, Shape, World};

/// Whether a repository has Actions switched off: then its Actions answer 404.
pub(super) fn is_without_actions(project: &Project) -> bool {
    project.shape == Shape::CiDisabled
}

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    pub(super) api: Api,
    /// The site.
    pub(super) html: &'a str,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
}

fn ok(template: &'static str, value: &Value) -> Reply {
    Reply::json(template, StatusCode::OK, value)
}

impl Call<'_> {
    fn json(&self) -> Json<'_> {
        Json { html: self.html, api: self.api }
    }

    fn not_found(&self) -> Reply {
        not_found(self.html)
    }

    /// What the router does not know.
    fn unrouted(&self) -> Reply {
        Reply::text("(unrouted)", StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n")
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Reply {
        error(self.html, status, message)
    }

    pub(super) fn answer(&self, world: &mut World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (&self.request.method, parts.as_slice()) {
            (&Method::GET, ["version"]) => ok("GET /version", &json!({ "version": self.api.version() })),
            (&Method::GET, ["user"]) => match self.caller.person() {
                Some(person) => ok("GET /user", &self.json().user(person)),
                None => self.refuse(StatusCode::UNAUTHORIZED, "token is required"),
            },
            (&Method::GET, ["user", "repos"]) => match self.caller.person() {
                Some(_) => self.repos(world, "GET /user/repos", &|p| p.member),
                None => self.refuse(StatusCode::UNAUTHORIZED, "token is required"),
            },
            (&Method::GET, ["orgs", org, "repos"]) => {
                let fits = |p: &Project| !p.personal && p.namespace.eq_ignore_ascii_case(org);
                self.repos_of(world, "GET /orgs/{org}/repos", &fits)
            }
            (&Method::GET, ["users", user, "repos"]) => {
                let fits = |p: &Project| p.namespace.eq_ignore_ascii_case(user);
                self.repos_of(world, "GET /users/{username}/repos", &fits)
            }
            (method, ["repos", owner, repo, rest @ ..]) => {
                let path = format!("{owner}/{repo}");
                let found = world.find(FACE, &path).map(|p| p.id);
                let moved = world.find_former(FACE, &path).filter(|p| self.caller.sees(p));
                match (found, moved) {
                    (None, Some(moved)) => self.moved(moved, rest),
                    _ => self.in_repo(world, method, found, rest),
                }
            }
            _ => self.unrouted(),
        }
    }

    /// A renamed repository: a redirect to its present name, the rest of the URL kept, without the host.
    fn moved(&self, project: &Project, rest: &[&str]) -> Reply {
        let prefix = self.html.strip_prefix(&self.request.origin).unwrap_or("");
        let tail: String = rest.iter().map(|part| format!("/{}", crate::http::encode(part))).collect();
        let query = match self.request.raw_query.as_str() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let to = format!("{prefix}{API}/repos/{}{tail}{query}", project.full_path());
        Reply::text("(moved)", StatusCode::TEMPORARY_REDIRECT, "text/html; charset=utf-8", "")
            .with("location", to)
    }

    fn repos_of(&self, world: &World, template: &'static str, fits: &dyn Fn(&Project) -> bool) -> Reply {
        let known = world.projects_of(FACE).any(fits);
        if known { self.repos(world, template, fits) } else { self.not_found() }
    }

    fn repos(&self, world: &World, template: &'static str, fits: &dyn Fn(&Project) -> bool) -> Reply {
        let mut rows: Vec<&Project> =
            world.projects_of(FACE).filter(|p| fits(p) && self.caller.sees(p)).collect();
        rows.sort_by_key(|p| p.native_id);
        page(self.request, &rows, |p| self.json().repo(p, self.caller.may_act())).list(template)
    }

    fn in_repo(&self, world: &mut World, method: &Method, found: Option<ProjectId>, rest: &[&str]) -> Reply {
        let Some(project) = found.and_then(|id| world.get(id)).filter(|p| self.caller.sees(p)) else {
            return self.not_found();
        };
        let id = project.id;
        if method == Method::POST {
            return self.act(world, id, rest);
        }
        if method != Method::GET {
            return self.unrouted();
        }
        let json = self.json();
        match rest {
            [] => ok("GET /repos/{owner}/{repo}", &json.repo(project, self.caller.may_act())),
            ["branches"] => {
                let mut rows: Vec<_> = project.history().branches.iter().collect();
                rows.sort_by(|a, b| a.name.cmp(&b.name));
                page(self.request, &rows, |b| json.branch(project, b))
                    .list("GET /repos/{owner}/{repo}/branches")
            }
            // A branch's slashes may be encoded or not.
            ["branches", name @ ..] => match project.branch(&name.join("/")) {
                Some(b) => ok("GET /repos/{owner}/{repo}/branches/{branch}", &json.branch(project, b)),
                None => self.not_found(),
            },
            ["commits", reference @ .., "status"] => {
                let reference = reference.join("/");
                let at_branch = project.branch(&reference).and_then(|b| project.commit(&b.head));
                match project.commit(&reference).or(at_branch) {
                    Some(commit) => ok(
                        "GET /repos/{owner}/{repo}/commits/{ref}/status",
                        &json.combined_status(world, project, commit),
                    ),
                    None => self.not_found(),
                }
            }
            ["actions", ..] if is_without_actions(project) => self.not_found(),
            ["actions", rest @ ..] => self.actions(world, project, rest),
            ["pulls"] => self.pulls(project),
            ["issues"] => self.issues(project),
            _ => self.unrouted(),
        }
    }

    fn find_job<'p>(&self, project: &'p Project, id: &str) -> Option<(&'p Pipeline, &'p Job)> {
        let id = id.parse::<u64>().ok()?;
        let run = project.pipeline(id / JOBS_PER_RUN)?;
        Some((run, project.jobs(run).iter().find(|job| job.id == id)?))
    }

    fn actions(&self, world: &World, project: &Project, rest: &[&str]) -> Reply {
        let json = self.json();
        let forgejo = self.api == Api::Forgejo;
        match (self.api, rest) {
            (Api::Statuses, _) => self.unrouted(),
            (_, ["tasks"]) => {
                let mut tasks: Vec<(&Pipeline, &Job)> = project
                    .pipelines()
                    .iter()
                    .flat_map(|run| project.jobs(run).iter().map(move |job| (run, job)))
                    .filter(|(_, job)| job.started_at.is_some())
                    .collect();
                tasks.sort_by_key(|(_, job)| std::cmp::Reverse(task_id(job)));
                page(self.request, &tasks, |(run, job)| json.task(project, run, job)).counted(
                    "GET /repos/{owner}/{repo}/actions/tasks",
                    "workflow_runs",
                    false,
                )
            }
            (Api::Tasks, _) => self.unrouted(),
            (_, ["runs"]) => self.runs(project),
            (_, ["runs", id, rest @ ..]) => {
                let run = id.parse().ok().and_then(|id| project.pipeline(id));
                let Some(run) = run else { return self.not_found() };
                match rest {
                    [] => {
                        let value =
                            if forgejo { json.forgejo_run(project, run) } else { json.run(project, run) };
                        ok("GET /repos/{owner}/{repo}/actions/runs/{run}", &value)
                    }
                    ["jobs"] => self.jobs(project, run),
                    _ => self.unrouted(),
                }
            }
            (_, ["jobs", id, rest @ ..]) => {
                let Some((run, job)) = self.find_job(project, id) else { return self.not_found() };
                match rest {
                    [] => {
                        let value = if forgejo {
                            json.forgejo_job(project, run, job)
                        } else {
                            json.job(project, run, job)
                        };
                        ok("GET /repos/{owner}/{repo}/actions/jobs/{job_id}", &value)
                    }
                    ["logs"] => match log(project, job, world.now()) {
                        Some(text) => {
                            let template = "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs";
                            store::ranged(template, self.request, text.into_bytes())
                        }
                        None => self.not_found(),
                    },
                    _ => self.unrouted(),
                }
            }
            (Api::Runs, ["workflows"]) => {
                let rows: Vec<Value> = project.workflows.iter().map(|w| json.workflow(project, w)).collect();
                let body = json!({ "total_count": rows.len(), "workflows": rows });
                ok("GET /repos/{owner}/{repo}/actions/workflows", &body)
            }
            _ => self.unrouted(),
        }
    }

    fn runs(&self, project: &Project) -> Reply {
        let text = |name: &str| self.request.param(name).filter(|t| !t.is_empty());
        let forgejo = self.api == Api::Forgejo;
        // Each knows its own filter only.
        let reference = if forgejo { text("ref") } else { text("branch").map(|b| format!("refs/heads/{b}")) };
        let rows: Vec<&Pipeline> = project
            .pipelines()
            .iter()
            .rev()
            .filter(|run| reference.as_ref().is_none_or(|wanted| full_ref(run) == *wanted))
            .filter(|run| text("head_sha").is_none_or(|wanted| *run.sha == *wanted))
            .filter(|run| {
                let workflow = file(project.workflows.get(run.workflow));
                !forgejo || text("workflow_id").is_none_or(|wanted| workflow == wanted)
            })
            .collect();
        let json = self.json();
        page(self.request, &rows, |run| {
            if forgejo { json.forgejo_run(project, run) } else { json.run(project, run) }
        })
        .counted("GET /repos/{owner}/{repo}/actions/runs", "workflow_runs", !forgejo)
    }

    fn jobs(&self, project: &Project, run: &Pipeline) -> Reply {
        const TEMPLATE: &str = "GET /repos/{owner}/{repo}/actions/runs/{run}/jobs";
        let json = self.json();
        let rows: Vec<&Job> = project.jobs(run).iter().filter(|job| !job.retried).collect();
        if self.api == Api::Forgejo {
            let rows: Vec<Value> = rows.iter().map(|job| json.forgejo_job(project, run, job)).collect();
            return ok(TEMPLATE, &Value::Array(rows));
        }
        page(self.request, &rows, |job| json.job(project, run, job)).counted(TEMPLATE, "jobs", true)
    }

    fn wants(&self, open: bool) -> bool {
        match self.request.param("state").as_deref().unwrap_or("open") {
            "all" => true,
            "closed" => !open,
            _ => open,
        }
    }

    fn pulls(&self, project: &Project) -> Reply {
        let mut rows: Vec<_> =
            project.history().merge_requests.iter().filter(|mr| self.wants(mr.open)).collect();
        match self.request.param("sort").as_deref() {
            Some("recentupdate") => rows.sort_by_key(|mr| std::cmp::Reverse((mr.updated_at, mr.number))),
            Some("oldest") => rows.sort_by_key(|mr| mr.number),
            _ => rows.sort_by_key(|mr| std::cmp::Reverse(mr.number)),
        }
        page(self.request, &rows, |mr| self.json().pull(project, mr, self.caller.may_act()))
            .list("GET /repos/{owner}/{repo}/pulls")
    }

    fn issues(&self, project: &Project) -> Reply {
        let of_type = self.request.param("type");
        let mut rows: Vec<_> = project
            .history()
            .issues
            .iter()
            .filter(|issue| self.wants(issue.open) && of_type.as_deref() != Some("pulls"))
            .collect();
        let by_update =
            self.api == Api::Forgejo && self.request.param("sort").as_deref() == Some("recentupdate");
        rows.sort_by_key(|i| {
            std::cmp::Reverse((if by_update { i.updated_at } else { i.created_at }, i.number))
        });
        page(self.request, &rows, |issue| self.json().issue(project, issue))
            .list("GET /repos/{owner}/{repo}/issues")
    }

    /// Starting over and stopping.
    fn act(&self, world: &mut World, id: ProjectId, rest: &[&str]) -> Reply {
        let ["actions", "runs", run, action] = rest else { return self.unrouted() };
        let known = match self.api {
            Api::Runs => matches!(*action, "rerun" | "rerun-failed-jobs"),
            Api::Forgejo => matches!(*action, "rerun" | "cancel"),
            Api::Tasks | Api::Statuses => false,
        };
        if !known {
            return self.unrouted();
        }
        if !self.caller.is_known() {
            return self.refuse(StatusCode::UNAUTHORIZED, "token is required");
        }
        if !self.caller.may_act() {
            let message = "token does not have at least one of required scope(s), required=[write:repository], \
                           token scope=read:repository";
            return self.refuse(StatusCode::FORBIDDEN, message);
        }
        let found =
            run.parse::<u64>().ok().filter(|run| world.get(id).and_then(|p| p.pipeline(*run)).is_some());
        let Some(run) = found else { return self.not_found() };
        let status = world.get(id).and_then(|p| p.pipeline(run)).map(|r| r.status);
        if *action == "cancel" {
            // What has ended already is left as it is.
            let _ = world.cancel(id, run);
            return Reply::text(
                "POST /repos/{owner}/{repo}/actions/runs/{run}/cancel",
                StatusCode::NO_CONTENT,
                "",
                "",
            );
        }
        if *action == "rerun-failed-jobs" && !matches!(status, Some(RunStatus::Failed | RunStatus::Canceled))
        {
            return self.refuse(StatusCode::BAD_REQUEST, "this workflow run has no failed jobs to re-run");
        }
        let template = "POST /repos/{owner}/{repo}/actions/runs/{run}/rerun";
        match world.retry(id, run) {
            Ok(()) => match world.get(id).and_then(|p| Some((p, p.pipeline(run)?))) {
                Some((project, run)) if *action == "rerun" && self.api == Api::Runs => {
                    Reply::json(template, StatusCode::CREATED, &self.json().run(project, run))
                }
                _ => Reply::text(template, StatusCode::CREATED, "", ""),
            },
            Err(_) => self.refuse(StatusCode::BAD_REQUEST, "this workflow run is not done"),
        }
    }
}
