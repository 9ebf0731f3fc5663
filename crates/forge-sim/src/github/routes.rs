//! Which URL gives what.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::json::{Json, event, status};
use super::paging::page;
use super::{DOCS, FACE, FIRST_JOB, FIRST_RUN, error};
use crate::access::{Caller, Reading};
use crate::http::{Reply, Request};
use crate::store;
use crate::world::{JOBS_PER_RUN, Job, Pipeline, Project, RunStatus, Shape, Visibility, World};

/// With any filter, GitHub counts and shows so many runs at most.
const MAX_FILTERED: usize = 1_000;

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    /// `http://host` and the prefix.
    pub(super) api: String,
    /// `http://host`.
    pub(super) html: String,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    /// Whether it is an App that asks, not a person.
    pub(super) integration: bool,
    pub(super) reading: Option<Reading>,
    /// What is left for GraphQL.
    pub(super) points: Option<Reading>,
    pub(super) store_url: &'a str,
    pub(super) store_key: u64,
}

fn not_found() -> Reply {
    error(StatusCode::NOT_FOUND, "Not Found", "")
}

fn ok(template: &'static str, value: &serde_json::Value) -> Reply {
    Reply::json(template, StatusCode::OK, value)
}

impl Call<'_> {
    fn json(&self) -> Json<'_> {
        Json { api: &self.api, html: &self.html }
    }

    pub(super) fn answer(&self, world: &mut World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (&self.request.method, parts.as_slice()) {
            (_, ["user", ..]) if self.integration => {
                error(StatusCode::FORBIDDEN, "Resource not accessible by integration", "/users/users")
            }
            (&Method::GET, ["installation", "repositories"]) if self.integration => {
                let rows: Vec<&Project> = world.projects_of(FACE).filter(|p| p.member).collect();
                page(self.request, &rows, |p| self.json().repo(p, true)).counted(
                    "GET /installation/repositories",
                    "repositories",
                    rows.len(),
                )
            }
            (&Method::GET, ["user"]) => match self.caller.person() {
                Some(person) => ok("GET /user", &self.json().current_user(person)),
                None => error(
                    StatusCode::UNAUTHORIZED,
                    "Requires authentication",
                    "/users/users#get-the-authenticated-user",
                ),
            },
            (&Method::GET, ["user", "repos"]) => match self.caller.person() {
                Some(_) => self.repos(world, "GET /user/repos", &|p| p.member),
                None => error(StatusCode::UNAUTHORIZED, "Requires authentication", "/repos/repos"),
            },
            (&Method::GET, ["orgs", org, "repos"]) => {
                let fits = |p: &Project| !p.personal && p.namespace.eq_ignore_ascii_case(org);
                self.repos_of(world, "GET /orgs/{org}/repos", &fits)
            }
            (&Method::GET, ["users", user, "repos"]) => {
                // Public ones only, even for the user.
                let known = world.projects_of(FACE).any(|p| p.namespace.eq_ignore_ascii_case(user));
                let fits = |p: &Project| {
                    p.namespace.eq_ignore_ascii_case(user) && p.visibility == Visibility::Public
                };
                if known { self.repos(world, "GET /users/{username}/repos", &fits) } else { not_found() }
            }
            (&Method::GET, ["rate_limit"]) => self.rate_limit(),
            (method, ["repositories", id, rest @ ..]) => {
                let found = id.parse().ok().and_then(|id| world.find_native(FACE, id)).map(|p| p.id);
                self.in_repo(world, method, found, rest)
            }
            (method, ["repos", owner, repo, rest @ ..]) => {
                let path = format!("{owner}/{repo}");
                let found = world.find(FACE, &path).map(|p| p.id);
                if found.is_none()
                    && let Some(moved) = world.find_former(FACE, &path).filter(|p| self.caller.sees(p))
                {
                    return self.moved(moved, rest);
                }
                self.in_repo(world, method, found, rest)
            }
            _ => not_found(),
        }
    }

    fn rate_limit(&self) -> Reply {
        let Some(reading) = self.reading else {
            return error(StatusCode::NOT_FOUND, "Rate limiting is not enabled.", "/rate-limit/rate-limit");
        };
        let core = json!({
            "limit": reading.limit, "used": reading.used, "remaining": reading.remaining(), "reset": reading.reset.as_second(),
        });
        let of = |reading: Reading| {
            json!({
                "limit": reading.limit, "used": reading.used, "remaining": reading.remaining(),
                "reset": reading.reset.as_second(),
            })
        };
        let points = self.points.map(of);
        let other = |limit: u32| json!({"limit": limit, "used": 0, "remaining": limit, "reset": reading.reset.as_second()});
        ok(
            "GET /rate_limit",
            &json!({
                "resources": { "core": core, "search": other(30), "graphql": points.unwrap_or_else(|| other(5_000)), "code_search": other(10) },
                "rate": core,
            }),
        )
    }

    /// A renamed repository: a redirect to its number, the rest of the URL kept.
    fn moved(&self, project: &Project, rest: &[&str]) -> Reply {
        let tail: String = rest.iter().map(|part| format!("/{}", crate::http::encode(part))).collect();
        let query = if self.request.raw_query.is_empty() {
            String::new()
        } else {
            format!("?{}", self.request.raw_query)
        };
        let to = format!("{}/repositories/{}{tail}{query}", self.api, project.native_id);
        let body = json!({
            "message": "Moved Permanently", "url": to,
            "documentation_url": format!("{DOCS}/guides/best-practices-for-using-the-rest-api#follow-redirects"),
        });
        Reply::json("(moved)", StatusCode::MOVED_PERMANENTLY, &body).with("location", to)
    }

    fn repos_of(&self, world: &World, template: &'static str, fits: &dyn Fn(&Project) -> bool) -> Reply {
        if world.projects_of(FACE).any(fits) { self.repos(world, template, fits) } else { not_found() }
    }

    fn repos(&self, world: &World, template: &'static str, fits: &dyn Fn(&Project) -> bool) -> Reply {
        let request = self.request;
        let kind = request.param("visibility").or_else(|| request.param("type"));
        let time = |name: &str| request.param(name).and_then(|text| text.parse::<Timestamp>().ok());
        let (since, before) = (time("since"), time("before"));
        let mut rows: Vec<&Project> = world
            .projects_of(FACE)
            .filter(|p| fits(p) && self.caller.sees(p))
            .filter(|p| match kind.as_deref() {
                Some("public") => p.visibility == Visibility::Public,
                Some("private") => p.visibility != Visibility::Public,
                Some("forks") => false,
                _ => true,
            })
            .filter(|p| since.is_none_or(|t| p.updated_at > t) && before.is_none_or(|t| p.updated_at < t))
            .collect();
        let sort = request
            .param("sort")
            .unwrap_or_else(|| if template.contains("orgs") { "created" } else { "full_name" }.to_owned());
        match sort.as_str() {
            "created" => rows.sort_by_key(|p| (p.created_at, p.native_id)),
            "updated" => rows.sort_by_key(|p| (p.updated_at, p.native_id)),
            "pushed" => rows.sort_by_key(|p| (p.pushed_at, p.native_id)),
            "full_name" => rows.sort_by_key(|p| p.full_path().to_lowercase()),
            _ => return error(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed", "/repos/repos"),
        }
        let default = if sort == "full_name" { "asc" } else { "desc" };
        if request.param("direction").as_deref().unwrap_or(default) == "desc" {
            rows.reverse();
        }
        page(request, &rows, |p| self.json().repo(p, self.caller.may_act())).list(template)
    }

    fn in_repo(
        &self,
        world: &mut World,
        method: &Method,
        found: Option<crate::world::ProjectId>,
        rest: &[&str],
    ) -> Reply {
        let Some(project) = found.and_then(|id| world.get(id)).filter(|p| self.caller.sees(p)) else {
            return not_found();
        };
        let id = project.id;
        if method == Method::POST {
            return self.act(world, id, rest);
        }
        if method != Method::GET {
            return not_found();
        }
        let json = self.json();
        let now = world.now();
        match rest {
            [] => ok("GET /repos/{owner}/{repo}", &json.repo_full(project, self.caller.may_act())),
            ["branches"] => {
                let protected = self.request.flag("protected");
                let mut rows: Vec<_> = project
                    .history()
                    .branches
                    .iter()
                    .filter(|b| protected.is_none_or(|p| b.protected == p))
                    .collect();
                rows.sort_by(|a, b| a.name.cmp(&b.name));
                page(self.request, &rows, |b| json.short_branch(project, b))
                    .list("GET /repos/{owner}/{repo}/branches")
            }
            // A branch's slashes may be encoded or not.
            ["branches", name @ ..] => match project.branch(&name.join("/")) {
                Some(branch) => {
                    ok("GET /repos/{owner}/{repo}/branches/{branch}", &json.branch(project, branch))
                }
                None => error(StatusCode::NOT_FOUND, "Branch not found", "/branches/branches#get-a-branch"),
            },
            ["commits", reference] => {
                let branch = project.branch(reference).and_then(|b| project.commit(&b.head));
                match project.commit(reference).or(branch) {
                    Some(commit) => {
                        ok("GET /repos/{owner}/{repo}/commits/{ref}", &json.commit(project, commit))
                    }
                    None => error(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        &format!("No commit found for SHA: {reference}"),
                        "/commits/commits#get-a-commit",
                    ),
                }
            }
            ["actions", rest @ ..] => self.actions(project, rest, now),
            ["check-runs", id, "annotations"] => match self.find_job(project, id) {
                Some((run, job)) => {
                    let rows = json.annotations(project, run, job);
                    page(self.request, &rows, Clone::clone)
                        .list("GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations")
                }
                None => not_found(),
            },
            ["deployments"] => {
                let mut rows = project.deployments();
                let text = |name: &str| self.request.param(name);
                rows.retain(|d| {
                    text("environment").is_none_or(|wanted| *d.environment == *wanted)
                        && text("sha").is_none_or(|wanted| *d.run.sha == *wanted)
                        && text("ref").is_none_or(|wanted| *d.run.branch == *wanted)
                });
                rows.reverse();
                page(self.request, &rows, |d| json.deployment(project, d))
                    .list("GET /repos/{owner}/{repo}/deployments")
            }
            ["deployments", id, "statuses"] => {
                let all = project.deployments();
                let found = id
                    .parse()
                    .ok()
                    .and_then(|id: u64| all.iter().find(|d| super::json::deployment_id(d) == id));
                match found {
                    Some(d) => {
                        let mut rows = json.deployment_statuses(project, d);
                        rows.reverse();
                        page(self.request, &rows, Clone::clone)
                            .list("GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses")
                    }
                    None => not_found(),
                }
            }
            ["pulls"] => self.pulls(project),
            ["issues"] => self.issues(project),
            _ => not_found(),
        }
    }

    fn find_job<'p>(&self, project: &'p Project, id: &str) -> Option<(&'p Pipeline, &'p Job)> {
        let id = id.parse::<u64>().ok()?.checked_sub(FIRST_JOB)?;
        let run = project.pipeline(id / JOBS_PER_RUN)?;
        // A job that waits for others does not exist there yet.
        let job = project.jobs(run).iter().find(|job| job.id == id && job.status != RunStatus::Created)?;
        Some((run, job))
    }

    fn actions(&self, project: &Project, rest: &[&str], now: Timestamp) -> Reply {
        let json = self.json();
        let run_of =
            |id: &str| id.parse::<u64>().ok()?.checked_sub(FIRST_RUN).and_then(|id| project.pipeline(id));
        match rest {
            ["runs"] => self.runs(project, None, "GET /repos/{owner}/{repo}/actions/runs"),
            ["runs", id, rest @ ..] => {
                let Some(run) = run_of(id) else { return not_found() };
                let pulls = self.request.flag("exclude_pull_requests") != Some(true);
                match rest {
                    [] => ok(
                        "GET /repos/{owner}/{repo}/actions/runs/{run_id}",
                        &json.run(project, run, None, pulls),
                    ),
                    ["jobs"] => {
                        let all = self.request.param("filter").as_deref() == Some("all");
                        let template = "GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs";
                        self.jobs(project, run, template, |job| all || !job.retried)
                    }
                    ["attempts", number, rest @ ..] => {
                        let Ok(number) = number.parse::<u32>() else { return not_found() };
                        let past = run.past_attempts.iter().find(|past| past.number == number);
                        if past.is_none() && number != run.attempt {
                            return not_found();
                        }
                        let template =
                            "GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}";
                        match rest {
                            [] => ok(template, &json.run(project, run, past, pulls)),
                            ["jobs"] => self.jobs(
                                project,
                                run,
                                "GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
                                |job| if past.is_some() { job.attempt == number } else { !job.retried },
                            ),
                            _ => not_found(),
                        }
                    }
                    _ => not_found(),
                }
            }
            ["jobs", id] => match self.find_job(project, id) {
                Some((run, job)) => {
                    ok("GET /repos/{owner}/{repo}/actions/jobs/{job_id}", &json.job(project, run, job))
                }
                None => not_found(),
            },
            ["jobs", id, "logs"] => {
                let template = "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs";
                if !self.caller.is_known() {
                    return error(
                        StatusCode::FORBIDDEN,
                        "Must have admin rights to Repository.",
                        "/actions/workflow-jobs",
                    );
                }
                match self.find_job(project, id) {
                    // Nothing in the store until the job is over.
                    Some((_, job)) if job.status.is_terminal() && job.started_at.is_some() => {
                        let link =
                            store::link(self.store_key, FACE, project.native_id, FIRST_JOB + job.id, now);
                        Reply::text(template, StatusCode::FOUND, "text/html;charset=utf-8", "")
                            .with("location", format!("{}{link}", self.store_url))
                    }
                    _ => not_found(),
                }
            }
            ["workflows"] => {
                let rows: Vec<_> = project.workflows.iter().collect();
                page(self.request, &rows, |w| json.workflow(project, w)).counted(
                    "GET /repos/{owner}/{repo}/actions/workflows",
                    "workflows",
                    rows.len(),
                )
            }
            ["workflows", wanted, rest @ ..] => {
                let found = project.workflows.iter().position(|w| {
                    w.native_id.to_string() == *wanted || w.path.rsplit('/').next() == Some(wanted)
                });
                match (found, rest) {
                    (Some(at), []) => ok(
                        "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}",
                        &json.workflow(project, &project.workflows[at]),
                    ),
                    (Some(at), ["runs"]) => self.runs(
                        project,
                        Some(at),
                        "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
                    ),
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    fn jobs(
        &self,
        project: &Project,
        run: &Pipeline,
        template: &'static str,
        fits: impl Fn(&Job) -> bool,
    ) -> Reply {
        let rows: Vec<&Job> =
            project.jobs(run).iter().filter(|job| job.status != RunStatus::Created && fits(job)).collect();
        page(self.request, &rows, |job| self.json().job(project, run, job)).counted(
            template,
            "jobs",
            rows.len(),
        )
    }

    fn runs(&self, project: &Project, workflow: Option<usize>, template: &'static str) -> Reply {
        let request = self.request;
        let text = |name: &str| request.param(name);
        let filters = ["actor", "branch", "check_suite_id", "created", "event", "head_sha", "status"];
        let filtered = filters.iter().any(|name| text(name).is_some());
        let created = text("created").map(|range| Created::parse(&range));
        if let Some(None) = created {
            return error(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed", "/actions/workflow-runs");
        }
        let created = created.flatten();
        let off = project.shape == Shape::CiDisabled;
        let mut rows: Vec<&Pipeline> = project
            .pipelines()
            .iter()
            .rev()
            .filter(|_| !off)
            .filter(|run| workflow.is_none_or(|at| run.workflow == at))
            .filter(|run| text("branch").is_none_or(|wanted| *run.branch == *wanted))
            .filter(|run| text("event").is_none_or(|wanted| event(run) == wanted))
            .filter(|run| text("head_sha").is_none_or(|wanted| *run.sha == *wanted))
            .filter(|run| text("actor").is_none_or(|wanted| run.actor.person().login == wanted))
            .filter(|run| {
                text("check_suite_id").is_none_or(|wanted| wanted == (20_000_000_000 + run.id).to_string())
            })
            .filter(|run| {
                text("status").is_none_or(|wanted| {
                    let (status, conclusion) = status(run.status);
                    status == wanted || conclusion == Some(wanted.as_str())
                })
            })
            .filter(|run| created.as_ref().is_none_or(|range| range.holds(run.created_at)))
            .collect();
        if filtered {
            rows.truncate(MAX_FILTERED);
        }
        let pulls = request.flag("exclude_pull_requests") != Some(true);
        page(request, &rows, |run| self.json().run(project, run, None, pulls)).counted(
            template,
            "workflow_runs",
            rows.len(),
        )
    }

    fn pulls(&self, project: &Project) -> Reply {
        let request = self.request;
        let head = request
            .param("head")
            .map(|head| head.split_once(':').map_or(head.clone(), |(_, b)| b.to_owned()));
        let mut rows: Vec<_> = project
            .history()
            .merge_requests
            .iter()
            .filter(|mr| match request.param("state").as_deref().unwrap_or("open") {
                "open" => mr.open,
                "closed" => !mr.open,
                _ => true,
            })
            .filter(|mr| head.as_ref().is_none_or(|wanted| *mr.source_branch == **wanted))
            .filter(|mr| request.param("base").is_none_or(|wanted| *mr.target_branch == *wanted))
            .collect();
        let updated = request.param("sort").as_deref() == Some("updated");
        rows.sort_by_key(|mr| (if updated { mr.updated_at } else { mr.created_at }, mr.number));
        let default = if request.param("sort").is_none_or(|s| s == "created") { "desc" } else { "asc" };
        if request.param("direction").as_deref().unwrap_or(default) == "desc" {
            rows.reverse();
        }
        page(request, &rows, |mr| self.json().pull(project, mr, self.caller.may_act()))
            .list("GET /repos/{owner}/{repo}/pulls")
    }

    fn issues(&self, project: &Project) -> Reply {
        let request = self.request;
        let json = self.json();
        let history = project.history();
        let wanted = request.param("state").unwrap_or_else(|| "open".to_owned());
        let fits = |open: bool| wanted == "all" || (wanted == "open") == open;
        let since = request.param("since").and_then(|text| text.parse::<Timestamp>().ok());
        // Pull requests are issues, too.
        let mut rows: Vec<(Timestamp, Timestamp, serde_json::Value)> = Vec::new();
        for mr in history.merge_requests.iter().filter(|mr| fits(mr.open)) {
            rows.push((mr.created_at, mr.updated_at, json.pull_as_issue(project, mr)));
        }
        for issue in history.issues.iter().filter(|issue| fits(issue.open)) {
            rows.push((issue.created_at, issue.updated_at, json.issue(project, issue)));
        }
        rows.retain(|(_, updated, _)| since.is_none_or(|since| *updated >= since));
        let updated = request.param("sort").as_deref() == Some("updated");
        rows.sort_by_key(|row| if updated { row.1 } else { row.0 });
        if request.param("direction").as_deref() != Some("asc") {
            rows.reverse();
        }
        page(request, &rows, |row| row.2.clone()).list("GET /repos/{owner}/{repo}/issues")
    }

    /// Rerun and cancel.
    fn act(&self, world: &mut World, id: crate::world::ProjectId, rest: &[&str]) -> Reply {
        if !self.caller.may_act() {
            return error(
                StatusCode::FORBIDDEN,
                "Resource not accessible by personal access token",
                "/actions/workflow-runs",
            );
        }
        let ["actions", "runs", run, action] = rest else { return not_found() };
        let Some(run) = run.parse::<u64>().ok().and_then(|run| run.checked_sub(FIRST_RUN)) else {
            return not_found();
        };
        if world.get(id).and_then(|p| p.pipeline(run)).is_none() {
            return not_found();
        }
        let empty = |template, status| Reply::json(template, status, &json!({}));
        match *action {
            "rerun" | "rerun-failed-jobs" => match world.retry(id, run) {
                Ok(()) => {
                    empty("POST /repos/{owner}/{repo}/actions/runs/{run_id}/rerun", StatusCode::CREATED)
                }
                Err(_) => {
                    error(StatusCode::FORBIDDEN, "This workflow is already running", "/actions/workflow-runs")
                }
            },
            "cancel" => match world.cancel(id, run) {
                Ok(()) => {
                    empty("POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel", StatusCode::ACCEPTED)
                }
                Err(_) => error(
                    StatusCode::CONFLICT,
                    "Cannot cancel a workflow run that is completed.",
                    "/actions/workflow-runs",
                ),
            },
            _ => not_found(),
        }
    }
}

/// The search syntax of `created`: `2026-11-01`, `>=2026-11-01`, `a..b`, days or moments.
struct Created {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Created {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = (|t: &str| Self::bounds(t).map(|b| b.0), |t: &str| Self::bounds(t).map(|b| b.1));
        if let Some((a, b)) = text.split_once("..") {
            let from = if a == "*" { None } else { Some(first(a)?) };
            let until = if b == "*" { None } else { Some(last(b)?) };
            return Some(Self { from, until });
        }
        let second = jiff::SignedDuration::from_secs(1);
        Some(match text {
            _ if text.starts_with(">=") => Self { from: Some(first(&text[2..])?), until: None },
            _ if text.starts_with("<=") => Self { from: None, until: Some(last(&text[2..])?) },
            _ if text.starts_with('>') => {
                Self { from: last(&text[1..])?.checked_add(second).ok(), until: None }
            }
            _ if text.starts_with('<') => {
                Self { from: None, until: first(&text[1..])?.checked_sub(second).ok() }
            }
            _ => Self { from: Some(first(text)?), until: Some(last(text)?) },
        })
    }

    /// First and last second that a day or a moment means.
    fn bounds(text: &str) -> Option<(Timestamp, Timestamp)> {
        if text.len() == "2026-11-01".len() {
            let first = format!("{text}T00:00:00Z").parse::<Timestamp>().ok()?;
            return Some((first, first.checked_add(jiff::SignedDuration::from_secs(86_399)).ok()?));
        }
        let at = text.parse::<Timestamp>().ok()?;
        Some((at, at))
    }

    fn holds(&self, at: Timestamp) -> bool {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at <= until)
    }
}
