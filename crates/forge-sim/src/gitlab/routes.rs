//! Which URL gives what.

use std::cmp::Reverse;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::json::{Json, reference, source, status};
use super::paging::{by_keyset, by_offset, invalid};
use super::{API, FACE, error, log};
use crate::access::{Caller, Meter};
use crate::face::millis;
use crate::http::{Reply, Request};
use crate::world::{Job, Pipeline, Project, ProjectId, RunStatus, Shape, Trigger, Visibility, World};

const STATUSES: &[&str] = &[
    "created",
    "waiting_for_resource",
    "preparing",
    "pending",
    "running",
    "success",
    "failed",
    "canceling",
    "canceled",
    "skipped",
    "manual",
    "scheduled",
    "waiting_for_callback",
];

/// One request on its way through the routes.
pub(super) struct Call<'a> {
    /// `http://host/prefix`.
    pub(super) base: String,
    pub(super) request: &'a Request,
    pub(super) caller: &'a Caller,
    pub(super) single_project: &'a Meter,
}

fn not_found(what: &str) -> Reply {
    error(StatusCode::NOT_FOUND, &format!("404 {what}"))
}

fn forbidden() -> Reply {
    error(StatusCode::FORBIDDEN, "403 Forbidden")
}

impl Call<'_> {
    fn json(&self) -> Json<'_> {
        Json { base: &self.base }
    }

    fn ok(template: &'static str, value: &serde_json::Value) -> Reply {
        Reply::json(template, StatusCode::OK, value)
    }

    pub(super) fn answer(&self, world: &mut World, parts: &[String]) -> Reply {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (&self.request.method, parts.as_slice()) {
            (&Method::GET, ["user"]) => match self.caller.person() {
                Some(person) => Self::ok("GET /user", &self.json().current_user(person)),
                None => error(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
            },
            (&Method::GET, ["personal_access_tokens", "self"]) => self.token_self(),
            (&Method::GET, ["version"]) => match self.caller.person() {
                Some(_) => Self::ok(
                    "GET /version",
                    &json!({"version": "18.5.1-ee", "revision": "a1b2c3d4e5f", "kas": {"enabled": false, "externalUrl": null, "version": null}, "enterprise": true}),
                ),
                None => error(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
            },
            (&Method::GET, ["projects"]) => self.projects(world, "GET /projects", None),
            (&Method::GET, ["groups", group, "projects"]) => {
                let known = world
                    .projects_of(FACE)
                    .any(|p| p.namespace == *group || p.namespace.starts_with(&format!("{group}/")));
                if known {
                    self.projects(world, "GET /groups/:id/projects", Some(group))
                } else {
                    not_found("Group Not Found")
                }
            }
            (method, ["projects", id, rest @ ..]) => self.in_project(world, method, id, rest),
            _ => Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"})),
        }
    }

    fn token_self(&self) -> Reply {
        let Caller::Known(token) = self.caller else {
            return error(StatusCode::UNAUTHORIZED, "401 Unauthorized");
        };
        let scopes: &[&str] = match token.power {
            crate::access::Power::Full => &["api"],
            crate::access::Power::Read => &["read_api"],
            _ => &["read_repository"],
        };
        let body = json!({
            "id": 321, "name": "dashboard", "revoked": false, "created_at": "2026-01-10T09:00:00.000Z", "description": "",
            "scopes": scopes, "user_id": 40, "last_used_at": millis(self.request.now), "active": true, "expires_at": "2027-06-30",
        });
        Self::ok("GET /personal_access_tokens/self", &body)
    }

    fn projects(&self, world: &World, template: &'static str, group: Option<&str>) -> Reply {
        let request = self.request;
        let inside = |p: &Project| match group {
            None => true,
            Some(group) if request.flag("include_subgroups") == Some(true) => {
                p.namespace == group || p.namespace.starts_with(&format!("{group}/"))
            }
            Some(group) => p.namespace == group,
        };
        let search = request.param("search").map(|text| text.to_lowercase());
        let after = request.param("last_activity_after").and_then(|text| text.parse::<Timestamp>().ok());
        let members_only =
            request.flag("membership") == Some(true) || request.param("min_access_level").is_some();
        let min_level: u32 =
            request.param("min_access_level").and_then(|level| level.parse().ok()).unwrap_or(0);
        let mut rows: Vec<&Project> = world
            .projects_of(FACE)
            .filter(|p| self.caller.sees(p) && inside(p))
            .filter(|p| !members_only || (p.member && self.caller.is_known() && min_level <= 30))
            .filter(|p| request.flag("archived").is_none_or(|wanted| p.archived == wanted))
            .filter(|p| {
                search
                    .as_ref()
                    .is_none_or(|s| p.path.to_lowercase().contains(s) || p.name.to_lowercase().contains(s))
            })
            .filter(|p| after.is_none_or(|after| p.updated_at > after))
            .filter(|p| {
                request.param("visibility").is_none_or(|v| {
                    v == match p.visibility {
                        Visibility::Public => "public",
                        Visibility::Internal => "internal",
                        Visibility::Private => "private",
                    }
                })
            })
            .collect();
        let ascending = request.param("sort").as_deref() == Some("asc");
        let order = request.param("order_by").unwrap_or_else(|| "created_at".to_owned());
        match order.as_str() {
            "id" => rows.sort_by_key(|p| p.native_id),
            "name" => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            "path" => rows.sort_by(|a, b| a.path.cmp(&b.path)),
            "created_at" => rows.sort_by_key(|p| (p.created_at, p.native_id)),
            "updated_at" | "last_activity_at" => rows.sort_by_key(|p| (p.updated_at, p.native_id)),
            _ => return invalid("order_by does not have a valid value"),
        }
        if !ascending {
            rows.reverse();
        }
        let simple = request.flag("simple") == Some(true) || !self.caller.is_known();
        let api = format!("{}{API}", self.base);
        let row = |p: &&Project| {
            let mut value = if simple { self.json().project_simple(p) } else { self.json().project(p, &api) };
            if let (true, Some(map)) = (simple, value.as_object_mut()) {
                map.remove("visibility");
            }
            value
        };
        if request.param("pagination").as_deref() == Some("keyset") && group.is_none() {
            if order != "id" {
                let text = "Keyset pagination is not yet available for this type of request";
                return Reply::json("(error)", StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": text }));
            }
            let bound = |name| request.param(name).and_then(|id| id.parse::<u64>().ok());
            let (id_after, id_before) = (bound("id_after"), bound("id_before"));
            rows.retain(|p| {
                id_after.is_none_or(|id| p.native_id > id) && id_before.is_none_or(|id| p.native_id < id)
            });
            let name = if ascending { "id_after" } else { "id_before" };
            return by_keyset(template, request, &rows, row, |p| (name, p.native_id.to_string()));
        }
        by_offset(template, request, &rows, row)
    }

    fn in_project(&self, world: &mut World, method: &Method, id: &str, rest: &[&str]) -> Reply {
        let found = match id.parse::<u64>() {
            Ok(native) => world.find_native(FACE, native),
            Err(_) => world.find(FACE, id),
        };
        let Some(project) = found else {
            let moved = world.find_former(FACE, id).filter(|p| self.caller.sees(p));
            return moved.map_or_else(|| not_found("Project Not Found"), |p| self.moved(p, rest));
        };
        if !self.caller.sees(project) {
            return not_found("Project Not Found");
        }
        let project_id = project.id;
        if method == Method::POST {
            return self.act(world, project_id, rest);
        }
        if method != Method::GET {
            return Reply::json(
                "(error)",
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({"error": "405 Not Allowed"}),
            );
        }
        let ci = matches!(rest.first(), Some(&"pipelines" | &"jobs" | &"deployments" | &"environments"));
        if ci && project.shape == Shape::CiDisabled {
            return forbidden();
        }
        let now = world.now();
        match rest {
            [] => self.project(project),
            ["repository", "branches"] => self.branches(project),
            ["repository", "branches", name] => match project.branch(name) {
                Some(branch) => Self::ok(
                    "GET /projects/:id/repository/branches/:branch",
                    &self.json().branch(project, branch),
                ),
                None => not_found("Branch Not Found"),
            },
            ["repository", "commits", sha] => {
                let commit =
                    project.commit(sha).or_else(|| project.branch(sha).and_then(|b| project.commit(&b.head)));
                match commit {
                    Some(commit) => self.commit(project, commit),
                    None => not_found("Commit Not Found"),
                }
            }
            ["pipelines"] => self.pipelines(project),
            ["pipelines", "latest"] => self.latest(project),
            ["pipelines", run, rest @ ..] => match run.parse().ok().and_then(|id| project.pipeline(id)) {
                None => not_found("Not found"),
                Some(run) => match rest {
                    [] => {
                        Self::ok("GET /projects/:id/pipelines/:pipeline", &self.json().pipeline(project, run))
                    }
                    ["jobs"] => self.jobs_of(project, run, now),
                    ["bridges"] => by_offset(
                        "GET /projects/:id/pipelines/:pipeline/bridges",
                        self.request,
                        &[(); 0],
                        |()| json!(null),
                    ),
                    _ => Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"})),
                },
            },
            ["jobs"] => self.jobs(project, now),
            ["jobs", id, rest @ ..] => {
                let found = id.parse::<u64>().ok().and_then(|id| {
                    let run = project.pipeline(id / crate::world::JOBS_PER_RUN)?;
                    Some((run, project.jobs(run).iter().find(|job| job.id == id)?))
                });
                match (found, rest) {
                    (Some((run, job)), []) => {
                        Self::ok("GET /projects/:id/jobs/:job", &self.json().job(project, run, job, now))
                    }
                    (Some((_, job)), ["trace"]) => Reply::text(
                        "GET /projects/:id/jobs/:job/trace",
                        StatusCode::OK,
                        "text/plain",
                        log::trace(&project.log(job, now)),
                    ),
                    _ => not_found("Not Found"),
                }
            }
            ["deployments"] => self.deployments(project, now),
            ["environments"] => self.environments(project),
            ["merge_requests"] => self.merge_requests(project),
            ["merge_requests", number] => {
                let found = number
                    .parse()
                    .ok()
                    .and_then(|n: u32| project.history().merge_requests.iter().find(|m| m.number == n));
                match found {
                    Some(mr) => Self::ok(
                        "GET /projects/:id/merge_requests/:iid",
                        &self.json().merge_request(project, mr, true),
                    ),
                    None => not_found("Not found"),
                }
            }
            ["merge_requests", number, "pipelines"] => {
                let number = number.parse().unwrap_or(0);
                let rows: Vec<&Pipeline> = project
                    .pipelines()
                    .iter()
                    .rev()
                    .filter(|r| r.trigger == Trigger::MergeRequest(number))
                    .collect();
                by_offset("GET /projects/:id/merge_requests/:iid/pipelines", self.request, &rows, |run| {
                    self.json().pipeline_row(project, run)
                })
            }
            ["issues"] => self.issues(project),
            _ => Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"})),
        }
    }

    /// A project under a path that it has left: a redirect to its number, the rest of the URL kept.
    fn moved(&self, project: &Project, rest: &[&str]) -> Reply {
        let tail: String = rest.iter().map(|part| format!("/{}", crate::http::encode(part))).collect();
        let query = if self.request.raw_query.is_empty() {
            String::new()
        } else {
            format!("?{}", self.request.raw_query)
        };
        let to = format!("{}{API}/projects/{}{tail}{query}", self.base, project.native_id);
        let text = format!("This resource has been moved permanently to {to}");
        Reply::text("(moved)", StatusCode::MOVED_PERMANENTLY, "text/plain", text).with("location", to)
    }

    fn project(&self, project: &Project) -> Reply {
        if self.single_project.count(self.caller.key(), self.request.now, 0).is_some_and(|r| r.is_exhausted())
        {
            // This limit answers without the usual headers.
            let text = json!({"message": {"error": "This endpoint has been requested too many times. Try again later."}});
            return Reply::json("(throttled)", StatusCode::TOO_MANY_REQUESTS, &text);
        }
        self.single_project.count(self.caller.key(), self.request.now, 1);
        Self::ok("GET /projects/:id", &self.json().project(project, &format!("{}{API}", self.base)))
    }

    fn branches(&self, project: &Project) -> Reply {
        let search = self.request.param("search").unwrap_or_default();
        let fits = |name: &str| match (search.strip_prefix('^'), search.strip_suffix('$')) {
            (Some(start), _) => name.starts_with(start),
            (_, Some(end)) => name.ends_with(end),
            _ => name.contains(&search),
        };
        let mut rows: Vec<_> =
            project.history().branches.iter().filter(|branch| fits(&branch.name)).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        by_offset("GET /projects/:id/repository/branches", self.request, &rows, |branch| {
            self.json().branch(project, branch)
        })
    }

    fn commit(&self, project: &Project, commit: &crate::world::Commit) -> Reply {
        let mut body = self.json().commit(project, commit);
        let last = project.pipelines().iter().rev().find(|run| run.sha == commit.sha);
        body["status"] = json!(last.map(|run| status(run.status)));
        body["project_id"] = json!(project.native_id);
        body["last_pipeline"] = json!(last.map(|run| self.json().pipeline_row(project, run)));
        Self::ok("GET /projects/:id/repository/commits/:sha", &body)
    }

    fn pipelines(&self, project: &Project) -> Reply {
        let request = self.request;
        let text = |name: &str| request.param(name);
        if let Some(wanted) = text("status").filter(|s| !STATUSES.contains(&s.as_str())) {
            tracing::debug!(%wanted, "unknown status");
            return invalid("status does not have a valid value");
        }
        let scope = text("scope");
        if scope
            .as_deref()
            .is_some_and(|s| !["running", "pending", "finished", "branches", "tags"].contains(&s))
        {
            return invalid("scope does not have a valid value");
        }
        let time = |name: &str| match text(name) {
            None => Ok(None),
            Some(value) => {
                value.parse::<Timestamp>().map(Some).map_err(|_| invalid(&format!("{name} is invalid")))
            }
        };
        let bounds = (|| {
            Ok((
                time("updated_after")?,
                time("updated_before")?,
                time("created_after")?,
                time("created_before")?,
            ))
        })();
        let (updated_after, updated_before, created_after, created_before) = match bounds {
            Ok(bounds) => bounds,
            Err(reply) => return reply,
        };
        let mut rows: Vec<&Pipeline> = project
            .pipelines()
            .iter()
            .filter(|run| text("ref").is_none_or(|wanted| reference(run) == wanted))
            .filter(|run| text("sha").is_none_or(|wanted| *run.sha == *wanted))
            .filter(|run| text("status").is_none_or(|wanted| status(run.status) == wanted))
            .filter(|run| text("source").is_none_or(|wanted| source(run) == wanted))
            .filter(|run| text("username").is_none_or(|wanted| run.actor.person().login == wanted))
            .filter(|run| match scope.as_deref() {
                Some("running") => run.status == RunStatus::Running,
                Some("pending") => matches!(run.status, RunStatus::Queued | RunStatus::Created),
                Some("finished") => run.status.is_terminal(),
                Some("branches") => project.branch(&run.branch).is_some_and(|b| b.head == run.sha),
                Some("tags") => run.trigger == Trigger::Tag,
                _ => true,
            })
            .filter(|run| {
                updated_after.is_none_or(|t| run.updated_at > t)
                    && updated_before.is_none_or(|t| run.updated_at < t)
            })
            .filter(|run| {
                created_after.is_none_or(|t| run.created_at > t)
                    && created_before.is_none_or(|t| run.created_at < t)
            })
            .collect();
        match text("order_by").as_deref().unwrap_or("id") {
            "id" => rows.sort_by_key(|run| run.id),
            "status" => rows.sort_by_key(|run| (status(run.status), run.id)),
            "ref" => rows.sort_by_key(|run| (reference(run), run.id)),
            "updated_at" => rows.sort_by_key(|run| (run.updated_at, run.id)),
            "user_id" => rows.sort_by_key(|run| (run.actor.0, run.id)),
            _ => return invalid("order_by does not have a valid value"),
        }
        match text("sort").as_deref().unwrap_or("desc") {
            "asc" => {}
            "desc" => rows.reverse(),
            _ => return invalid("sort does not have a valid value"),
        }
        by_offset("GET /projects/:id/pipelines", request, &rows, |run| self.json().pipeline_row(project, run))
    }

    /// The newest pipeline of the head commit of a ref; 403 when there is none, as the documentation says.
    fn latest(&self, project: &Project) -> Reply {
        let wanted =
            self.request.param("ref").or_else(|| project.default_branch.as_ref().map(ToString::to_string));
        let head = wanted.as_deref().and_then(|name| project.branch(name)).map(|branch| branch.head.clone());
        let found = head.and_then(|head| {
            project.pipelines().iter().rev().find(|r| r.sha == head && Some(reference(r)) == wanted)
        });
        match found {
            Some(run) => Self::ok("GET /projects/:id/pipelines/latest", &self.json().pipeline(project, run)),
            None => forbidden(),
        }
    }

    fn scoped(&self) -> Result<Vec<String>, Reply> {
        let scope = self.request.params_of("scope");
        if scope.iter().any(|wanted| !STATUSES.contains(&wanted.as_str())) {
            return Err(invalid("scope does not have a valid value"));
        }
        Ok(scope)
    }

    fn jobs_of(&self, project: &Project, run: &Pipeline, now: Timestamp) -> Reply {
        let scope = match self.scoped() {
            Ok(scope) => scope,
            Err(reply) => return reply,
        };
        let retried = self.request.flag("include_retried") == Some(true);
        let mut rows: Vec<&Job> = project
            .jobs(run)
            .iter()
            .filter(|job| retried || !job.retried)
            .filter(|job| scope.is_empty() || scope.iter().any(|wanted| wanted == status(job.status)))
            .collect();
        rows.sort_by_key(|job| Reverse(job.id));
        by_offset("GET /projects/:id/pipelines/:pipeline/jobs", self.request, &rows, |job| {
            self.json().job(project, run, job, now)
        })
    }

    fn jobs(&self, project: &Project, now: Timestamp) -> Reply {
        let scope = match self.scoped() {
            Ok(scope) => scope,
            Err(reply) => return reply,
        };
        let mut rows: Vec<(&Pipeline, &Job)> = project
            .pipelines()
            .iter()
            .flat_map(|run| project.jobs(run).iter().map(move |job| (run, job)))
            .filter(|(_, job)| scope.is_empty() || scope.iter().any(|wanted| wanted == status(job.status)))
            .collect();
        rows.sort_by_key(|(_, job)| Reverse(job.id));
        let row = |(run, job): &(&Pipeline, &Job)| self.json().job(project, run, job, now);
        let template = "GET /projects/:id/jobs";
        if self.request.param("pagination").as_deref() == Some("keyset") {
            // The cursor is opaque to clients; here it is the last id, in hexadecimal.
            if let Some(cursor) = self.request.param("cursor") {
                let Ok(last) = u64::from_str_radix(&cursor, 16) else { return invalid("cursor is invalid") };
                rows.retain(|(_, job)| job.id < last);
            }
            return by_keyset(template, self.request, &rows, row, |(_, job)| {
                ("cursor", format!("{:x}", job.id))
            });
        }
        by_offset(template, self.request, &rows, row)
    }

    fn merge_requests(&self, project: &Project) -> Reply {
        let request = self.request;
        let after = request.param("updated_after").and_then(|text| text.parse::<Timestamp>().ok());
        let mut rows: Vec<_> = project
            .history()
            .merge_requests
            .iter()
            .filter(|mr| match request.param("state").as_deref() {
                Some("opened") => mr.open,
                Some("merged") => !mr.open,
                Some("closed" | "locked") => false,
                _ => true,
            })
            .filter(|mr| after.is_none_or(|after| mr.updated_at > after))
            .filter(|mr| request.param("source_branch").is_none_or(|wanted| *mr.source_branch == *wanted))
            .filter(|mr| request.param("target_branch").is_none_or(|wanted| *mr.target_branch == *wanted))
            .collect();
        match request.param("order_by").as_deref() {
            Some("updated_at") => rows.sort_by_key(|mr| (mr.updated_at, mr.number)),
            _ => rows.sort_by_key(|mr| (mr.created_at, mr.number)),
        }
        if request.param("sort").as_deref() != Some("asc") {
            rows.reverse();
        }
        by_offset("GET /projects/:id/merge_requests", request, &rows, |mr| {
            self.json().merge_request(project, mr, false)
        })
    }

    fn deployments(&self, project: &Project, now: Timestamp) -> Reply {
        let request = self.request;
        let text = |name: &str| request.param(name);
        let time = |name: &str| match text(name) {
            None => Ok(None),
            Some(value) => {
                value.parse::<Timestamp>().map(Some).map_err(|_| invalid(&format!("{name} is invalid")))
            }
        };
        let (after, before) = match (time("updated_after"), time("updated_before")) {
            (Ok(after), Ok(before)) => (after, before),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let order = text("order_by").unwrap_or_else(|| "id".to_owned());
        if (after.is_some() || before.is_some()) && order != "updated_at" {
            let text = "`updated_at` filter and `updated_at` sorting must be paired";
            return Reply::json("(error)", StatusCode::BAD_REQUEST, &json!({ "message": text }));
        }
        let mut rows = project.deployments();
        rows.retain(|d| {
            after.is_none_or(|t| d.updated_at() >= t)
                && before.is_none_or(|t| d.updated_at() <= t)
                && text("environment").is_none_or(|wanted| *d.environment == *wanted)
                && text("status").is_none_or(|wanted| super::json::deployment_status(d.job.status) == wanted)
        });
        match order.as_str() {
            "id" | "iid" | "ref" => rows.sort_by_key(|d| d.job.id),
            "created_at" => rows.sort_by_key(|d| (d.run.created_at, d.job.id)),
            "updated_at" => rows.sort_by_key(|d| (d.updated_at(), d.job.id)),
            _ => return invalid("order_by does not have a valid value"),
        }
        if text("sort").as_deref() == Some("desc") {
            rows.reverse();
        }
        by_offset("GET /projects/:id/deployments", request, &rows, |d| {
            self.json().deployment(project, d, now)
        })
    }

    fn environments(&self, project: &Project) -> Reply {
        let mut names: Vec<_> = project.deployments().into_iter().map(|d| d.environment).collect();
        names.sort();
        names.dedup();
        names.retain(|name| self.request.param("name").is_none_or(|wanted| **name == *wanted));
        by_offset("GET /projects/:id/environments", self.request, &names, |name| {
            self.json().environment(project, name)
        })
    }

    fn issues(&self, project: &Project) -> Reply {
        let request = self.request;
        let after = request.param("updated_after").and_then(|text| text.parse::<Timestamp>().ok());
        let mut rows: Vec<_> = project
            .history()
            .issues
            .iter()
            .filter(|issue| match request.param("state").as_deref() {
                Some("opened") => issue.open,
                Some("closed") => !issue.open,
                _ => true,
            })
            .filter(|issue| after.is_none_or(|after| issue.updated_at > after))
            .collect();
        match request.param("order_by").as_deref() {
            Some("updated_at") => rows.sort_by_key(|issue| (issue.updated_at, issue.number)),
            _ => rows.sort_by_key(|issue| (issue.created_at, issue.number)),
        }
        if request.param("sort").as_deref() != Some("asc") {
            rows.reverse();
        }
        by_offset("GET /projects/:id/issues", request, &rows, |issue| self.json().issue(project, issue))
    }

    /// Retry and cancel.
    fn act(&self, world: &mut World, id: ProjectId, rest: &[&str]) -> Reply {
        if !self.caller.is_known() {
            return error(StatusCode::UNAUTHORIZED, "401 Unauthorized");
        }
        if !self.caller.may_act() {
            return super::oauth_error(
                StatusCode::FORBIDDEN,
                json!({
                    "error": "insufficient_scope",
                    "error_description": "The request requires higher privileges than provided by the access token.",
                    "scope": "api",
                }),
            );
        }
        let ["pipelines", run, action] = rest else {
            return Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"}));
        };
        let Ok(run_id) = run.parse::<u64>() else { return not_found("Not found") };
        let (template, status) = match *action {
            "retry" => {
                let _ = world.retry(id, run_id);
                ("POST /projects/:id/pipelines/:pipeline/retry", StatusCode::CREATED)
            }
            "cancel" => {
                // A finished pipeline answers 200 and stays as it is.
                let _ = world.cancel(id, run_id);
                ("POST /projects/:id/pipelines/:pipeline/cancel", StatusCode::OK)
            }
            _ => return Reply::json("(no route)", StatusCode::NOT_FOUND, &json!({"error": "404 Not Found"})),
        };
        match world.get(id).and_then(|project| Some((project, project.pipeline(run_id)?))) {
            Some((project, run)) => Reply::json(template, status, &self.json().pipeline(project, run)),
            None => not_found("Not found"),
        }
    }
}
